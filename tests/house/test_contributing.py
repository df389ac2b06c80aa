"""Run the worked examples of CONTRIBUTING.md, and check that what the guides name exists."""

import ast
import importlib
import re
import sys
from dataclasses import fields
from types import ModuleType

import numpy as np
import pytest

from fastpack import Limits, encode
from tests.support.paths import ROOT

GUIDES = ["CONTRIBUTING.md", "SECURITY.md"]
EXAMPLES = ["Containers", "Codecs", "Transforms", "Adapters"]
MAX_LINES = 40


@pytest.fixture
def photos(tmp_path, monkeypatch):
    for number in range(8):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(np.full((30 + number, 40, 3), 20 * number, np.uint8), "jpeg"))
    monkeypatch.chdir(tmp_path)


def section(heading):
    return (ROOT / "CONTRIBUTING.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]


def save_as(monkeypatch, path, source):
    """Import `source` as if it were that file of the package."""
    name = path.removesuffix(".py").replace("/", ".")
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    parent, _, child = name.rpartition(".")
    monkeypatch.setattr(importlib.import_module(parent), child, module, raising=False)
    exec(compile(source, path, "exec"), module.__dict__)


def add_lines(monkeypatch, text):
    """Add the lines that a section adds to a table."""
    tables = re.findall(r"`(_[A-Z]+)` in `(fastpack/[\w/]+)\.py`:\n\n((?:    .+\n)+)", text)
    for name, path, lines in tables:
        table = getattr(importlib.import_module(path.replace("/", ".")), name)
        for key, value in ast.literal_eval("{" + lines + "}").items():
            monkeypatch.setitem(table, key, value)


@pytest.mark.parametrize("heading", EXAMPLES)
def test_a_worked_example_runs(photos, monkeypatch, heading):
    text = section(heading)
    *parts, usage = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert all(len(block.splitlines()) < MAX_LINES for block in (*parts, usage))
    (path,) = re.findall(r"ave it as\s`(fastpack/\w+(?:/\w+)*\.py)`", text)
    assert not (ROOT / path).exists()
    save_as(monkeypatch, path, "\n".join(parts))
    add_lines(monkeypatch, text)
    exec(compile(usage, f"CONTRIBUTING.md, {heading}", "exec"), {})


@pytest.mark.parametrize("guide", GUIDES)
def test_what_a_guide_names_exists(guide):
    text = (ROOT / guide).read_text()
    made = set(re.findall(r"ave it as\s`([\w/.]+)`", text))
    paths = set(re.findall(r"`((?:[\w.]+/)+[\w.]*|\w+\.(?:py|md|toml))`", text))
    paths |= set(re.findall(r"\]\(([\w./-]+)", text)) | set(
        re.findall(r"\bdocs/[\w/-]+\.md|\btests/[\w/]+\.py", text)
    )
    links = {path for path in paths if path.startswith("http")}
    assert [path for path in sorted(paths - made - links) if not exists(path)] == []
    verbs = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.M)
    assert set(re.findall(r"(?:^ {4,}|`)make ([a-z-]+)", text, flags=re.M)) <= {*verbs, "help"}


def exists(path):
    """True for a path below the root, and for the name of a test."""
    return (ROOT / path).exists() or (
        path.startswith("test_") and any((ROOT / "tests").rglob(path))
    )


def test_the_limits_are_those_of_the_code():
    rows = dict(
        re.findall(r"^\| `(max_\w+)` \| ([\d,]+)", (ROOT / "SECURITY.md").read_text(), flags=re.M)
    )
    assert {name: int(value.replace(",", "")) for name, value in rows.items()} == {
        each.name: each.default for each in fields(Limits)
    }
