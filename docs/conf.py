"""Sphinx's settings for the documentation site: `make docs` builds it, and every warning is an error."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

project = "bitwatt"
copyright = "the bitwatt contributors"  # noqa: A001 - Sphinx's name
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "reference"]
exclude_patterns = ["_build", "_ext", "examples"]
html_theme = "furo"
html_title = "bitwatt"
html_extra_path = ["llms.txt"]
smartquotes = False  # a flag begins with two hyphens
html_copy_source = False
html_show_sphinx = False
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False
nitpicky = False
suppress_warnings = ["misc.highlighting_failure"]
linkcheck_timeout = 20
linkcheck_retries = 2
