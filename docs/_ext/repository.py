"""What pages take from the repository: Markdown files, notes of changelog/, benchmark tables."""

import os
import re
from pathlib import Path

from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TABLES = ROOT / "benchmarks" / "tables"
KINDS = {"added": "New", "changed": "Changed", "fixed": "Fixed"}


def find_pages():
    """Give the page of docs/ that shows each Markdown file."""
    pages = {
        ROOT / "CONTRIBUTING.md": DOCS / "contributing" / "index.rst",
        ROOT / "benchmarks" / "README.md": DOCS / "benchmarks" / "index.rst",
    }
    for path in TABLES.glob("*.md"):
        pages[path] = DOCS / "benchmarks" / f"{path.stem}.rst"
    return pages


def adapt_links(source, pages):
    """Give the text of a Markdown file with its links as seen from the page that shows it.

    Links to what is not on the site become plain text.
    """

    def adapt(match):
        bang, label, target = match.groups()
        if "://" in target or target.startswith("#"):
            return match[0]
        path = (source.parent / target).resolve()
        path = pages.get(path, path)
        if not bang and not path.is_relative_to(DOCS):
            return label
        return f"{bang}[{label}]({Path(os.path.relpath(path, pages[source].parent)).as_posix()})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", adapt, source.read_text("utf-8"))


def gather_changes():
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
    return "\n".join(lines)


def write_markdown(app):
    """Write the Markdown files that pages include to docs/api/generated/."""
    folder = Path(app.srcdir) / "api" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "changes.md").write_text(gather_changes(), "utf-8")
    pages = find_pages()
    for source in pages:
        name = "benchmarks.md" if source.parent.name == "benchmarks" else source.name.lower()
        (folder / name).write_text(adapt_links(source, pages), "utf-8")


def find_table(heading):
    """Give the rows of the first table of benchmarks/tables/ below a heading that matches."""
    for path in sorted(TABLES.glob("*.md")):
        text = path.read_text("utf-8")
        match = re.search(rf"^#+ [^\n]*{heading}[^\n]*\n\s*((?:\|[^\n]*\n)+)", text, re.MULTILINE)
        if match:
            lines = [line.strip("| ").split("|") for line in match[1].splitlines()]
            return [[cell.strip() for cell in line] for k, line in enumerate(lines) if k != 1]
    raise ValueError(f"benchmarks/tables/ has no table below a heading like {heading!r}.")


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
        for path in TABLES.glob("*.md"):
            self.env.note_dependency(str(path))
        lines = [".. list-table::", "   :header-rows: 1", "   :class: benchmark", ""]
        for row in find_table(self.arguments[0]):
            lines += [f"   {'*' if k == 0 else ' '} - {cell}" for k, cell in enumerate(row)]
        return self.parse_text_to_nodes(StringList(lines, source="benchmarks/tables"))


def setup(app):
    """Register with Sphinx."""
    app.connect("builder-inited", write_markdown)
    app.add_directive("benchmark-table", BenchmarkTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
