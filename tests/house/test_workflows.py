"""Workflows and .ci/run call targets that the Makefile has, also in the expressions of a matrix."""

import re

import pytest

from tests.support.paths import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z0-9-]+):(?!=)", MAKEFILE, re.M))
CALLERS = sorted([*ROOT.glob(".github/workflows/*.yml"), ROOT / ".ci" / "run"])


def make_targets_in(text: str) -> set[str]:
    """Returns the targets of each `make`; `${{ matrix.x }}` stands for each value of x."""
    for name, values in re.findall(r"(\w+): \[(.*)\]", text):
        text = text.replace(f"${{{{ matrix.{name} }}}}", values.replace(",", " "))
    calls = re.findall(r"(?:^|run: )\s*make ([^#\n]*)", text, re.M)
    return {word for call in calls for word in call.split() if "=" not in word}


@pytest.mark.parametrize("path", CALLERS, ids=lambda path: path.name)
def test_targets_exist(path):
    assert make_targets_in(path.read_text()) <= TARGETS


def test_ci_runs_every_check():
    called = set().union(*(make_targets_in(path.read_text()) for path in CALLERS))
    assert called >= {
        "lint",
        "types",
        "test",
        "test-all",
        "test-adapters",
        "test-sanitized",
        "test-stores",
    }


def test_targets_of_a_matrix_are_found():
    text = "matrix:\n  verb: [lint, gone]\nsteps:\n  - run: make ${{ matrix.verb }}\n"
    assert make_targets_in(text) == {"lint", "gone"}


def test_targets_are_phony():
    """Otherwise a file with the name of a target would disable it."""
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", MAKEFILE, re.M)[1].replace("\\\n", " ")
    assert set(phony.split()) == TARGETS
