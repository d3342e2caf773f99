"""Settings of Sphinx for the documentation site; `build.py` lays out what it reads."""

from __future__ import annotations

import click
from sphinx.application import Sphinx

import unweave

project = "unweave"
version = release = unweave.__version__
copyright = "the authors of unweave, Apache-2.0"  # noqa: A001 - Sphinx's own name for it
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]

# Every reference has to lead somewhere. Types of other packages, and rooms that are no part of the library's page,
# are told by name alone: autodoc's references to them are left as words.
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]

# Pages are plain Markdown, which a repository's viewer shows as well: a link to a heading is its words with dashes.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

default_role = "code"  # docstrings write `code` as Markdown does
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = "unweave"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"light_css_variables": {"color-brand-primary": "#1f5fa8", "color-brand-content": "#1f5fa8"}}


def setup(app: Sphinx) -> None:
    """Help is plain text, in which an asterisk is one."""
    app.connect("sphinx-click-process-description", _plain)


def _plain(_app: Sphinx, _context: click.Context, lines: list[str]) -> None:
    lines[:] = [line.replace("*", "\\*") for line in lines]
