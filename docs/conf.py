"""The documentation site: `sphinx-build -W docs FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from easynetwork.version import __version__

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "easynetwork-uvloop"
author = "The easynetwork-uvloop authors"
copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "reference",
]
exclude_patterns = ["examples"]
nitpicky = True

myst_heading_anchors = 4

default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {
    "members": True,
    "imported-members": True,
    "show-inheritance": True,
    "inherited-members": "object,tuple,str,int,Exception,BaseException,OSError,Enum,Flag,ABC,Protocol",
}
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False

# The network is not there when the site is built: these files were fetched before.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", "inventories/python.inv"),
    "trio": ("https://trio.readthedocs.io/en/stable", "inventories/trio.inv"),
}

manpages_url = "https://man7.org/linux/man-pages/man{section}/{page}.{section}.html"

repository = "https://github.com/easynetwork-uvloop/easynetwork-uvloop"
html_theme = "furo"
pygments_dark_style = "monokai"
html_title = "easynetwork-uvloop"
html_theme_options = {
    "source_repository": repository,
    "source_branch": "main",
    "source_directory": "docs/",
}
