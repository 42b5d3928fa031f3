"""Check that links within the site and within the repository's Markdown lead somewhere.

Prints those that do not, and fails if there are any. Links to other sites are not followed; `make
linkcheck` does that. Needs no network.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

DOCS = Path(__file__).parent
SITE = DOCS / "_build" / "html"
MARKDOWN = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")


class Page(HTMLParser):
    """Targets that a page links to, and names that it can be linked at."""

    def __init__(self, path):
        super().__init__()
        self.links, self.names = set(), {"", "top"}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        """Note what a tag links to, and its name."""
        for key, value in attrs:
            if key in ("href", "src") and value:
                self.links.add(value)
            elif key in ("id", "name") and value:
                self.names.add(value)


def is_outside(link):
    """Tell whether a link leads to another site."""
    return bool(urlsplit(link).scheme or urlsplit(link).netloc)


def check_site():
    """Give a message for every link of the site that leads nowhere."""
    paths = (path for path in SITE.rglob("*.html") if "_static" not in path.parts)
    pages = {path.resolve(): Page(path) for path in paths}
    for path, page in pages.items():
        for link in filter(lambda link: not is_outside(link), page.links):
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{path.relative_to(SITE.resolve())}: no file {link}"
            elif target in pages and unquote(parts.fragment) not in pages[target].names:
                yield f"{path.relative_to(SITE.resolve())}: no place {link}"


def check_markdown():
    """Give a message for every link between files of the repository that leads nowhere."""
    for name in MARKDOWN:
        path = DOCS.parent / name
        for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
            target = path.parent / urlsplit(link).path
            if not is_outside(link) and not target.exists():
                yield f"{name}: no file {link}"


if __name__ == "__main__":
    if not SITE.is_dir():
        sys.exit("There is no site yet: build it first, with make docs.")
    broken = sorted({*check_site(), *check_markdown()})
    print(*broken, f"{len(broken)} broken links", sep="\n")
    sys.exit(bool(broken))
