"""What the reference needs beside autodoc: links that are found, only public base classes, and nothing left out."""

from __future__ import annotations

import collections.abc
import functools
import importlib
import pkgutil
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import desc, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.intersphinx import resolve_reference_detect_inventory
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.util import logging

PACKAGE = "easynetwork"

_logger = logging.getLogger(__name__)
_TYPE_VARIABLE = re.compile(r"(.*\.)?(_T(_\w+)?|_P|\w+_(co|contra)|Self)")
_OTHER_NAMES = {
    # Names as modules import them, which signatures show.
    "SSLContext": "ssl.SSLContext",
    "SSLObject": "ssl.SSLObject",
    "SSLSession": "ssl.SSLSession",
    "_socket.socket": "socket.socket",
    "socket": "socket.socket",
    "concurrent.futures._base.Future": "concurrent.futures.Future",
    "Pickler": "pickle.Pickler",
    "Unpickler": "pickle.Unpickler",
}
# Names without a page: aliases for type checkers, private parameters of public functions, packages without inventories.
_WITHOUT_PAGES = re.compile(
    r"(BZ2|LZ4Frame|ZLib|Zstd)(Compress|Decompress)(or)?|Measurement"
    r"|Buffer|FrameError|Number|SupportsKeysAndGetItem|UnnamedAddressesBehavior|WriteableBuffer"
    r"|easynetwork\.(.+\.)?_.+|.*\.ServedClient"
    r"|(typing_extensions|cbor2|google\.protobuf|opentelemetry|prometheus_client|sniffio)\..+"
)


# Napoleon takes "The size: ..." at the start of an attribute's docstring for a type. Ours have annotations.
GoogleDocstring._parse_attribute_docstring = lambda self: self._consume_to_end()  # type: ignore[method-assign]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("repository", "", "env")
    app.connect("source-read", link_to_repository)
    app.connect("autodoc-process-bases", keep_public_bases)
    app.connect("autodoc-process-signature", tidy_signature)
    app.connect("doctree-read", search_everywhere)
    app.connect("doctree-read", check_texts)
    app.connect("missing-reference", resolve)
    app.connect("env-check-consistency", check_coverage)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# ------------------------------------------------------------------------------------------------------ base classes


def keep_public_bases(app: Sphinx, name: str, obj: type, options: Any, bases: list[Any]) -> None:
    """Show the public base classes of the private ones in place of these."""
    bases[:] = dict.fromkeys(public for base in bases for public in _public_bases(base)) or [object]


def _public_bases(base: Any) -> Iterator[Any]:
    cls = typing.get_origin(base) or base
    if not isinstance(cls, type) or cls is typing.Generic or cls is object:
        return
    if not cls.__module__.startswith(PACKAGE) or cls in _public_classes():
        yield cls
        return
    for outer in cls.__bases__:
        yield from _public_bases(outer)


@functools.cache
def _public_classes() -> frozenset[type]:
    return frozenset(value for _, _, value in public_names() if isinstance(value, type))


def _is_private(path: str) -> bool:
    return any(part.startswith("_") for part in path.split("."))


def tidy_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Show ``...`` in place of ``<factory>``, which Sphinx cannot parse, and modules by their own names."""
    return signature and signature.replace("<factory>", "...").replace("_socket.", "socket."), returned


# ------------------------------------------------------------------------------------------------------------- links


def search_everywhere(app: Sphinx, doctree: nodes.document) -> None:
    """Let `SomeClass` or `SomeClass.method` refer to the only public name that ends so.

    Other names are looked up where they are: `type` and `socket` are also attributes of our classes.
    """
    for node in doctree.findall(pending_xref):
        if node.get("refdomain") == "py":
            node.attributes.pop("refspecific", None)
            if any(part[:1].isupper() for part in node["reftarget"].split(".")[-2:]):
                node["refspecific"] = True


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, contents: nodes.TextElement) -> nodes.Node | None:
    target = node.get("reftarget", "")
    if _TYPE_VARIABLE.fullmatch(target) or _WITHOUT_PAGES.fullmatch(target):
        return contents
    for module in (collections.abc, typing):
        if target in module.__all__:
            target = f"{module.__name__}.{target}"
    if (target := _OTHER_NAMES.get(target, target)) != node["reftarget"]:
        node["reftarget"] = target
        node["reftype"] = "obj"
        return resolve_reference_detect_inventory(env, node, contents)
    if node.get("reftype") in {"class", "exc"}:  # an alias of a type is data
        domain = env.domains.python_domain
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contents)
    return None


def link_to_repository(app: Sphinx, docname: str, source: list[str]) -> None:
    """Let links to files outside of the site lead to the repository. Links between pages are checked by Sphinx."""
    docs = Path(app.srcdir)
    page = Path(app.env.doc2path(docname)).parent
    if docname == "changelog":
        source[0] = (docs.parent / "CHANGELOG.md").read_text()
        page = docs.parent

    def absolute(match: re.Match[str]) -> str:
        path, _, anchor = match[1].partition("#")
        target = (page / path).resolve()
        if "://" in path or not path or not target.exists():
            return match[0]
        if target.is_relative_to(docs):
            return f"](/{target.relative_to(docs)}{'#' * bool(anchor)}{anchor})"
        return f"]({app.config.repository}/blob/main/{target.relative_to(docs.parent)}{'#' * bool(anchor)}{anchor})"

    source[0] = re.sub(r"\]\(([^)\s]+)\)", absolute, source[0])
    # The names of programs are comments, which tests read and GitHub hides.
    source[0] = re.sub(r"<!-- file: (\S+) -->\n+```python\n", r"```{code-block} python\n:caption: \1\n\n", source[0])


# ---------------------------------------------------------------------------------------------------------- coverage


def check_texts(app: Sphinx, doctree: nodes.document) -> None:
    """Warn about each description without a text."""
    for description in doctree.findall(desc):
        if description["domain"] == "py" and not description[-1].astext().strip():
            name = description[0].astext()
            _logger.warning("the reference says nothing about %s", name, type="reference", subtype="coverage")


def check_coverage(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn about each public name, and each public member of a public class, that the reference does not describe."""
    described = {path for path, entry in env.domains.python_domain.objects.items() if not entry.aliased}
    names = list(public_names())  # this also imports the modules
    homes = {id(obj): path for path in described if (obj := _find(path)) is not None}
    for module, name, obj in names:
        path = f"{module}.{name}" if f"{module}.{name}" in described else homes.get(id(obj))
        if path is None:
            _logger.warning("the reference lacks %s.%s", module, name, type="reference", subtype="coverage")
            continue
        if isinstance(obj, type):
            for member in public_members(obj):
                if f"{path}.{member}" not in described:
                    _logger.warning("the reference lacks %s.%s", path, member, type="reference", subtype="coverage")


def public_names() -> Iterator[tuple[str, str, Any]]:
    """Yield the module, the name and the value of all that the public modules export."""
    package = importlib.import_module(PACKAGE)
    for info in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
        if _is_private(info.name) or info.name.startswith(f"{PACKAGE}.cli"):
            continue
        module = importlib.import_module(info.name)
        for name in getattr(module, "__all__", ()):
            yield info.name, name, getattr(module, name)


def public_members(cls: type) -> Iterator[str]:
    """Yield the names of the members that the classes of this package add."""
    for name in {*dir(cls), *getattr(cls, "__dataclass_fields__", ())}:
        owner = next((base for base in cls.__mro__ if name in vars(base)), cls)
        if name.startswith("_") or not owner.__module__.startswith(PACKAGE):
            continue
        yield name


def _find(path: str) -> Any:
    """Return the object at *path* in a module. None if it is a member, or a plain value, which many names may share."""
    module, _, name = path.rpartition(".")
    value = getattr(sys.modules.get(module), name, None)
    return None if isinstance(value, (int, float, str)) else value
