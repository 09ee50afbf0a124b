"""How the site is built: `make docs`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

from peerwire import __version__  # noqa: E402

project = "peerwire"
release = version = __version__
html_title = f"peerwire {release}"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "inlined_svg",
    "linked_sources",
    "short_names",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
# What GitHub ignores as well: comments in the sources say how a block is tested.
suppress_warnings = ["myst.header"]

default_role = "py:obj"  # docstrings name things in single backticks
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

nitpicky = True
nitpick_ignore = [("py:class", "AsyncPeer"), ("py:obj", "hashes.check")]
nitpick_ignore_regex = [
    # The standard library's.
    (
        r"py:.*",
        r"(_?asyncio|collections|enum|functools|ipaddress|os|socket|struct|types|typing)\..*",
    ),
    # Arguments and attributes, named in the context of what they belong to; expressions.
    (r"py:obj", r"[a-z_0-9]+|.*\(.*|wire\..*"),
    (r"py:class", r"(.*\.)?[A-Z]"),  # type variables
]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["peerwire.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b5e8a",
        "color-brand-content": "#0b5e8a",
        "code-font-size": "80%",
    },
    "dark_css_variables": {"color-brand-primary": "#6cc3f0", "color-brand-content": "#6cc3f0"},
}
