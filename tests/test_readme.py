"""README and CONTRIBUTING are true: the files they name exist, and the map of the code is complete.

That the README prints what it says is checked in test_docs.py.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sklearn_emma"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PAGES = ("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "changelog/README.md")


def read_map():
    """Paths of the modules that the map of CONTRIBUTING names."""
    tree = re.search(r"^```\nsklearn_emma/\n(.*?)^tests/", CONTRIBUTING, re.M | re.S).group(1)
    folder = ""
    for line in tree.splitlines():
        if re.match(r"  \S", line):  # deeper lines belong to the folder above
            found = re.match(r"  (\w+/)", line)
            folder = found.group(1) if found else ""
        for name in re.findall(r"\w+\.py\b", line):
            yield folder + name


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    path = ROOT / page
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert missing == []


def test_map_names_every_module_of_the_package_once_and_no_other():
    modules = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    modules -= {name for name in modules if name.endswith("/__init__.py")}
    assert sorted(read_map()) == sorted(modules)


@pytest.mark.parametrize("target", ["demo", "test", "docs", "lint"])
def test_commands_are_targets_of_the_makefile(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.M)


def test_benchmarks_page_names_every_program_and_links_every_table():
    folder = ROOT / "benchmarks"
    text = (folder / "README.md").read_text("utf-8")
    programs = {path.name for path in folder.glob("[!_]*.py")}
    tables = {f"tables/{path.name}" for path in (folder / "tables").glob("*.md")}
    assert {name for name in programs if name not in text} == set()
    assert set(re.findall(r"\((tables/[^)]+)\)", text)) == tables
