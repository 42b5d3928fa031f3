"""The documentation is complete and true. Builds nothing.

Every public name, attribute and page is there, and the examples of the pages print what they say.
"""

import doctest
import importlib
import re
import sys
from pathlib import Path

import pytest

import sklearn_emma

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    page
    for folder in (".", "guide", "howto", "contributing")
    for page in (DOCS / folder).glob("*.rst")
    if ">>> " in page.read_text("utf-8")
)
MODULES = {
    "estimators": "sklearn_emma",
    "model_selection": "sklearn_emma.model_selection",
    "metrics": "sklearn_emma.metrics",
    "corruption": "sklearn_emma.corruption",
    "inspection": "sklearn_emma.inspection",
    "datasets": "sklearn_emma.datasets",
    "export": "sklearn_emma.export",
    "nn": "sklearn_emma.nn",
}


def listed(page):
    """Names below the options of the autosummaries of a page."""
    text = (DOCS / "api" / f"{page}.rst").read_text("utf-8")
    tables = re.findall(r"\.\. autosummary::\n(?: {3}:.*\n)+\n((?: {3}\w+\n)+)", text)
    return [name.strip() for table in tables for name in table.splitlines()]


def toctree(page):
    """Documents in the toctrees of a page."""
    text = page.read_text("utf-8")
    trees = re.findall(r"\.\. toctree::\n(?: {3}:.*\n)*\n((?: {3}\S+\n?)+)", text)
    return [name for tree in trees for name in tree.split()]


def check_examples(page):
    """Run the examples of a page, and compare what they print with what the page says."""
    text = page.read_text("utf-8")
    if page.suffix == ".md":
        text = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    parsed = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, page.name, page, 0)
    assert parsed.examples
    report = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    results = doctest.DocTestRunner(optionflags=flags).run(parsed, out=report.append)
    assert results.failed == 0, "".join(report)


def test_the_readme_prints_what_it_says():
    check_examples(ROOT / "README.md")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_pages_print_what_they_say(page):
    if "pyod" in page.read_text("utf-8"):
        pytest.importorskip("pyod", reason="needs PyOD, of the extra bench")
    check_examples(page)


@pytest.mark.parametrize(("page", "module"), MODULES.items())
def test_reference_lists_every_public_name_once(page, module):
    assert sorted(listed(page)) == sorted(importlib.import_module(module).__all__)


@pytest.mark.parametrize("folder", ["api", "benchmarks", "guide", "howto", "contributing"])
def test_every_page_is_in_the_index_of_its_folder(folder):
    pages = {path.stem for path in (DOCS / folder).glob("*.rst")} - {"index"}
    assert sorted(toctree(DOCS / folder / "index.rst")) == sorted(pages)


def test_every_page_is_in_the_home_page():
    pages = {path.stem for path in DOCS.glob("*.rst")} - {"index", "sg_execution_times"}
    pages |= {f"{path.parent.name}/index" for path in DOCS.glob("*/index.rst")}
    assert set(toctree(DOCS / "index.rst")) == pages | {"auto_examples/index"}


@pytest.mark.parametrize(
    "name", ["EMMAClassifier", "EMMAClassifierCV", "EMMARegressor", "DAEEnergyScorer"]
)
def test_guide_reads_every_fitted_attribute(name):
    docstring = getattr(sklearn_emma, name).__doc__
    section = re.search(r"Attributes\n +-+\n(.*?)\n\n", docstring, re.DOTALL).group(1)
    headers = re.findall(r"^ {4}(\w.*?) :", section, re.MULTILINE)
    attributes = {attribute for header in headers for attribute in header.split(", ")}
    guide = (DOCS / "guide" / "fitted_model.rst").read_text("utf-8")
    assert len(attributes) > 5
    assert sorted(attribute for attribute in attributes if f"``{attribute}``" not in guide) == []


def test_every_table_of_the_benchmarks_has_a_page():
    tables = {path.stem for path in (ROOT / "benchmarks" / "tables").glob("*.md")}
    assert {path.stem for path in (DOCS / "benchmarks").glob("*.rst")} - {"index"} == tables


def test_tables_of_the_comparison_are_in_the_benchmarks(monkeypatch):
    pytest.importorskip("sphinx", reason="needs Sphinx, of the extra docs")
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    find_table = importlib.import_module("repository").find_table
    monkeypatch.delitem(sys.modules, "repository")
    text = (DOCS / "comparison.rst").read_text("utf-8")
    for heading in re.findall(r"\.\. benchmark-table:: (.+)", text):
        header, *rows = find_table(heading)
        assert rows
        assert {len(row) for row in rows} == {len(header)}
