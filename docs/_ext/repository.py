"""What the pages take from the repository: the notes of changelog/ and tables of benchmarks/."""

import re
from pathlib import Path

from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
KINDS = {"added": "New", "changed": "Changed", "fixed": "Fixed"}


def write_changes(app):
    """Gather the notes of changelog/ by kind, as Markdown."""
    lines = []
    for kind, title in KINDS.items():
        notes = sorted((ROOT / "changelog").glob(f"*.{kind}.md"))
        if notes:
            lines += [f"# {title}", ""]
            for note in notes:
                first, *rest = note.read_text("utf-8").strip().splitlines()
                lines += [f"* {first}", *(f"  {line}" for line in rest)]
            lines.append("")
    target = Path(app.srcdir) / "api" / "generated" / "changes.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(lines), "utf-8")


def find_table(heading):
    """Give the rows of the first table of benchmarks/README.md below a heading that matches."""
    text = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    match = re.search(rf"^#+ [^\n]*{heading}[^\n]*\n\s*((?:\|[^\n]*\n)+)", text, re.MULTILINE)
    if match is None:
        raise ValueError(f"benchmarks/README.md has no table below a heading like {heading!r}.")
    lines = [line.strip("| ").split("|") for line in match[1].splitlines()]
    return [[cell.strip() for cell in line] for k, line in enumerate(lines) if k != 1]


class PlotsFirst:
    """Order of the gallery: the numbered examples, then the others."""

    def __init__(self, folder):
        pass

    def __call__(self, name):
        """Give what an example is sorted by."""
        return not name.startswith("plot_"), name


class BenchmarkTable(SphinxDirective):
    """A table as the benchmark printed it; the argument is a pattern for its heading."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        """Write the table."""
        self.env.note_dependency(str(ROOT / "benchmarks" / "README.md"))
        lines = [".. list-table::", "   :header-rows: 1", "   :class: benchmark", ""]
        for row in find_table(self.arguments[0]):
            lines += [f"   {'*' if k == 0 else ' '} - {cell}" for k, cell in enumerate(row)]
        return self.parse_text_to_nodes(StringList(lines, source="benchmarks/README.md"))


def setup(app):
    """Register with Sphinx."""
    app.connect("builder-inited", write_changes)
    app.add_directive("benchmark-table", BenchmarkTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
