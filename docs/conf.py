"""How Sphinx builds the site: ``make docs``. Nothing is fetched while it builds."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import accelsched  # noqa: E402

project = "accelsched"
version = release = accelsched.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generator.extension",
]
exclude_patterns = ["generator", "_static"]

# Python.
add_module_names = False
autodoc_typehints = "none"
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
highlight_language = "python"

# Markdown.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

# A name of another package has no page here, and its inventory is not fetched.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(torch|torch_xla|numpy|matplotlib|collections|Tensor|optax|keras|cerebras)\b.*"),
    (r"py:obj", r"accelsched\.schedules\._fields\.T"),
]

html_theme = "pydata_sphinx_theme"
html_title = "accelsched"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
# Pages of these sections list their siblings in the sidebar.
_SECTIONS = ("gallery", "reference", "recipes", "coming_from", "back_ends")
html_sidebars = {"*": []} | {f"{name}/*": ["sidebar-nav-bs"] for name in _SECTIONS}
html_theme_options = {
    "navigation_with_keys": False,
    "header_links_before_dropdown": 5,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": [],
}
