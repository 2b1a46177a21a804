from __future__ import annotations

import asyncio
import importlib
import pkgutil

import easynetwork
import easynetwork.version


def test_version_is_a_string() -> None:
    assert easynetwork.__version__.count(".") == 2


def test_the_version_has_a_module_of_its_own() -> None:
    assert easynetwork.version.__version__ is easynetwork.__version__
    assert easynetwork.version.__all__ == ["__version__"]


def test_every_public_package_lists_its_names() -> None:
    packages = [
        info.name
        for info in pkgutil.walk_packages(easynetwork.__path__, "easynetwork.")
        if info.ispkg and not any(part.startswith("_") for part in info.name.split("."))
    ]
    assert "easynetwork.lowlevel.api_async.backend" in packages
    for name in packages:
        assert isinstance(importlib.import_module(name).__all__, list), name


async def test_each_async_test_runs_on_every_loop() -> None:
    assert asyncio.get_running_loop().is_running()
