"""What those who join the project read agrees with the metadata of the package."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from tests.docs.pages import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY: str = PROJECT["urls"]["Repository"]


@pytest.mark.parametrize("name", ["SECURITY.md", ".github/ISSUE_TEMPLATE/config.yml", "pyproject.toml"])
def test_all_links_to_the_project_lead_to_its_repository(name: str) -> None:
    text = (ROOT / name).read_text()
    links = re.findall(r'https://github\.com/[^\s)"]*', text.partition("[project.optional-dependencies]")[0])
    assert links
    assert all(f"{link}/".startswith(f"{REPOSITORY}/") for link in links)


def test_the_public_ci_runs_every_python_that_the_package_names() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    matrix = re.search(r"^ +python: \[(.*)\]$", workflow, re.MULTILINE)
    assert matrix is not None
    assert re.findall(r'"([^"]+)"', matrix[1]) == named


def test_the_contributing_page_names_every_python_that_the_package_names() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    promise = re.search(r"same script on Python ([\d., and\n]+),", text)
    assert promise is not None
    assert re.findall(r"3\.\d+", promise[1]) == re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
