"""Documents and sources are plain English: no banned words, short sentences, 100 columns."""

from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.prose import violations

DOCUMENTS = ("*.md", "docs/**/*.md", "benches/**/*.md", "fuzz/**/*.md", "tests/**/*.md")
TOOLS = (".github/workflows/*.yml", "Makefile", "*.py", "demo/*.py", "tools/*.sh", "fuzz/*.py")
TESTS = ("benches/**/*.py", "tests/**/*.py")
KERNELS = ("src_cython/**/*.[ch]", "src_cython/*.pyx", "src_cython/*.pxd")
PACKAGE = ("fastpack/**/*.py", "fastpack/**/*.pyi", *KERNELS, "fuzz/*.c", "tests/**/*.c")
ENABLED = (*DOCUMENTS, *TOOLS, *TESTS, *PACKAGE)
# This file has faulty examples.
PATHS = sorted({path for glob in ENABLED for path in ROOT.glob(glob)} - {Path(__file__)})


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_is_plain(path):
    assert violations(path) == []


FAULTY = {
    "a.md": (
        "# How it works\n\n"
        "Nobody reads `who` in code. [Somebody](x.md) does.\n\n    who: is code\n\n"
        "```\nwho\n```\n\n| who |\n|---|\n\n- What is left is told\n  anew.\n",
        "1 heading, 3 Nobody, 3 Somebody, 11 who, 14 noun clause, 14 told, 15 anew",
    ),
    "a.py": (
        '"""Says who.\n\n    >>> who = 1\n\n"""\nx = "who"  # told\n# one\n# anew\n'
        'raise E("a file that nobody " f"{who} reads")\n'
        'code = """nobody"""\n',
        "1 who, 6 told, 8 anew, 9 nobody",
    ),
    "a.c": ('/* who\n * told */ char *s = "/* who */"; // anew\n', "1 who, 2 anew, 2 told"),
    "a.sh": ("#!/bin/sh who\n# who\necho $# # told\n", "2 who, 3 told"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_faults_are_found_with_their_lines(tmp_path, name):
    text, expected = FAULTY[name]
    (tmp_path / name).write_text(text)
    found = violations(tmp_path / name)
    assert len(found) == len(expected.split(", "))
    for fault in expected.split(", "):
        line, rule = fault.split(" ", 1)
        assert any(one.line == int(line) and rule in one.rule for one in found), fault


@pytest.mark.parametrize(
    ("text", "num_found"),
    [
        ("word " * 25, 0),
        ("word " * 26, 1),
        ("word " * 13 + "end. " + "word " * 13, 0),
        ("word " * 13 + "e.g. " + "word " * 13, 1),
        ("`a_b` " * 25, 0),
        ("| " + "word " * 30 + "|", 0),
    ],
)
def test_sentences_are_counted(tmp_path, text, num_found):
    (tmp_path / "a.md").write_text(text if text.startswith("|") else text.replace(" ", "\n"))
    assert len(violations(tmp_path / "a.md")) == num_found


@pytest.mark.parametrize(
    ("line", "num_found"),
    [
        ("x" * 100, 0),
        ("x" * 101, 1),
        ("    " + "x" * 100, 1),
        ("|" + "x" * 200 + "|", 0),
        ("https://example.com/" + "x" * 200, 0),
        (f"[text](docs/{'x' * 100})", 0),
    ],
)
def test_columns_are_counted(tmp_path, line, num_found):
    (tmp_path / "a.md").write_text(line)
    assert len(violations(tmp_path / "a.md")) == num_found
