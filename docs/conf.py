"""How Sphinx builds the documentation; `make docs` runs it."""

import os
import sys
import tomllib
import warnings
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS / "_ext"))
sys.path.append(str(ROOT / "examples"))  # for modules that examples share

os.environ.setdefault("OMP_NUM_THREADS", "1")  # such small networks run best so
LOCAL_DATA = ROOT.parent / "shared" / "data"
if LOCAL_DATA.is_dir():  # what tests and benchmarks use too; otherwise data are downloaded
    os.environ.setdefault("SKLEARN_EMMA_DATA", str(LOCAL_DATA))

project = "sklearn_emma"
author = "the sklearn_emma developers"
project_copyright = author
release = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
version = release

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",  # for the Markdown files of the repository: changelog, contributing, benchmarks
    "matplotlib.sphinxext.plot_directive",
    "sphinx_gallery.gen_gallery",
    "elsewhere",
    "mathml",
    "repository",
]
exclude_patterns = ["_build", "**/*.md"]
templates_path = ["_templates"]
suppress_warnings = ["myst.header"]  # parts of Markdown files begin below the first level
default_role = "literal"  # `coldness`: names of parameters
nitpicky = True
# numpydoc links attributes that are properties
nitpick_ignore = [
    ("py:obj", f"{name}_") for name in ("classes", "n_features_in", "feature_names_in")
]

# API reference: methods are listed by the template of a class, without those of other packages.
autosummary_generate = True
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # shapes and types stand in the docstrings
numpydoc_show_class_members = False

# Pictures drawn while the pages are built.
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = [("png", 110)]
plot_rcparams = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
plot_apply_rcparams = True

sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"(plot_\w+|plain_torch_loop)\.py$",
    "ignore_pattern": r"(demo|pulsars|thesis_figures)\.py$",
    "within_subsection_order": "repository.PlotsFirst",
    "backreferences_dir": "api/generated/examples",
    "doc_module": ("sklearn_emma",),
    "reference_url": {"sklearn_emma": None},
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 3600,
}
# what sphinx-gallery and its dependencies deprecate among themselves
warnings.filterwarnings("ignore", category=DeprecationWarning, module="sphinx_gallery")

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_emma"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"index": [], "tutorial": [], "comparison": [], "citation": [], "changelog": []}

linkcheck_timeout = 20
linkcheck_ignore = [r"https://doi\.org/.*"]  # publishers turn robots away
