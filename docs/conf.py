"""How Sphinx builds the documentation. It needs no network."""

from __future__ import annotations

import tomllib
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

import trioserver

project = "trioserver"
author = "The trioserver authors"
project_copyright = f"2026 {author}"
pyproject = Path(__file__).parents[1] / "pyproject.toml"
release = tomllib.loads(pyproject.read_text("utf-8"))["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "changelog.d", "examples"]

html_theme = "furo"
html_title = "trioserver"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings write `name` for a name of ours or of anybody's.
default_role = "py:obj"

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 72

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = ["Cancellation"]

# A constructor's arguments are documented where they are.
autoclass_content = "both"
autodoc_member_order = "bysource"

nitpick_ignore_regex = [
    # Names of other projects: to link them, the build would have to fetch inventories.
    (r"py:.*", r"trio\..*"),
    (
        r"py:.*",
        r"(asyncio|collections|http|io|logging|math|os|socket|socketserver|ssl|sys|types)\..*",
    ),
    # What our own code calls the module of that name.
    (r"py:class", r"stdlib_socket\..*"),
    # Aliases: the docstrings say in words what they stand for.
    (r"py:class", r"ClientAddress|DropPolicy|HandlerFactory|Request|Server|SessionEnd"),
    # The type of an object, which comes back as it went in.
    (r"py:class", r"trioserver\._bridge\.serve_socketserver\.ServerT"),
    (r"py:class", r"trioserver\._testing\.(\w+)\.(ServerT|ClientT|Job)"),
    (r"py:class", r"PosArgsT|trioserver\.testing\.Literal"),
    # Arguments that are for the library itself.
    (r"py:class", r"trioserver\._(streams|datagrams)\..*"),
]


def _show_attribute_docstrings() -> None:
    """Let autodoc find the docstrings of attributes.

    The public classes say that they live in ``trioserver``, where autodoc looks for
    the source. So it finds the source of all modules in one.
    """
    files = sorted(Path(trioserver.__file__).parent.rglob("*.py"))
    source = "\n".join(file.read_text("utf-8") for file in files)
    analyzer = ModuleAnalyzer.for_string(source, "trioserver")
    ModuleAnalyzer.cache["module", "trioserver"] = analyzer


_show_attribute_docstrings()


def setup(app: Sphinx) -> None:
    """Be called by Sphinx before it reads anything."""
    # Napoleon listens as well, with the default of 500; this has to come first.
    app.connect("autodoc-process-docstring", _keep_prose, priority=400)


def _keep_prose(
    _app: Sphinx,
    what: str,
    _name: str,
    _value: object,
    _options: object,
    lines: list[str],
) -> None:
    """Keep napoleon from taking what stands before a colon for a type."""
    if what == "attribute":
        # It looks at the first line only. This one is nothing, in reStructuredText.
        lines.insert(0, "\\")
