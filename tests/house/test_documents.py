"""Documents refer to files, headings, code and flags that exist."""

import re
from collections.abc import Iterator

import click
import pytest

from fastpack.cli import main
from fastpack.cli.commands import RENAMED_FLAGS
from tests.support.command_line import COMMANDS
from tests.support.paths import ROOT

DOCUMENTS = sorted(
    path for glob in ("*.md", "docs/**/*.md", "[!.]*/README.md") for path in ROOT.glob(glob)
)
DECISIONS = sorted(ROOT.glob("docs/decisions/[0-9]*.md"))


def prose_of(path):
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.S | re.M)


def anchors_of(path):
    """The names that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.*)$", prose_of(path), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose_of(path)):
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), target
        assert not anchor or anchor in anchors_of(linked), target


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_paths_of_code_exist(path):
    """Paths are below fastpack/ or src_cython/; a bare name is beside the path before it."""
    code = re.findall(r"\bCode: (.*?)(?=\n- |\Z)", path.read_text(), flags=re.S)
    folders = [ROOT / "fastpack", ROOT / "src_cython"]
    for name in re.findall(r"`([\w/.*]+?)(?::\w+)?`", " ".join(code)):
        found = [file for folder in folders for file in folder.glob(name.rstrip("/"))]
        assert found, name
        folders = [*folders[:2], found[0].parent]


def flags_of(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        yield from [*parameter.opts, *parameter.secondary_opts]


FLAGS = {"--help"} | {flag for command in [main, *COMMANDS.values()] for flag in flags_of(command)}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_flags_exist(path):
    """Flags of the benchmarks are skipped: only lines that do not name them count."""
    if path.parent.name in ("benches", "fuzz") or path.name == "benchmarks.md":
        pytest.skip("about other programs")
    lines = [
        line
        for line in path.read_text().splitlines()
        if "python -m benches" not in line and "setup.py" not in line
    ]
    flags = re.findall(r"(?<![\w-])--[a-z][\w-]+", "\n".join(lines))
    former = {*RENAMED_FLAGS} if path.name == "CHANGELOG.md" else set()
    assert {*flags} <= FLAGS | former
