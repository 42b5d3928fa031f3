"""The README is true: its code runs, and the files it names exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python_blocks_run_as_written(number, capsys):
    exec(compile(BLOCKS[number], f"README.md, python block {number}", "exec"), {})
    out = capsys.readouterr().out
    # what the README shows below the block, up to what another machine may round differently
    shown = re.search(r"```\n(.*?)^```", README.split(BLOCKS[number])[1][3:], re.M | re.S).group(1)
    words, numbers = (re.compile(pattern) for pattern in (r"[a-z]+", r"\d+\.\d*"))
    assert words.findall(out) == words.findall(shown)
    printed = [float(x) for x in numbers.findall(out)]
    assert printed == pytest.approx([float(x) for x in numbers.findall(shown)], abs=0.05)


def test_there_is_an_example():
    assert BLOCKS


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


def test_map_names_every_module_of_the_package_and_no_other():
    tree = re.search(r"^```\nsklearn_emma/\n(.*?)^tests/", README, flags=re.M | re.DOTALL).group(1)
    named = set(re.findall(r"\w+\.py\b", tree))
    package = ROOT / "sklearn_emma"
    there = {path.name for path in package.glob("*.py")}
    there |= {
        path.name
        for folder in ("nn", "_training", "inspection")
        for path in (package / folder).glob("*.py")
    }
    assert named == there
