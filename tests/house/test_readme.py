"""The README's Python and first commands run, block after block, as a reader would type them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastpack
from fastpack import encode
from tests.support.paths import ROOT

README = ROOT / "README.md"
# tests/adapters/test_docs.py runs these blocks, each beside its framework.
OF_A_FRAMEWORK = re.compile(r"^import fastpack\.\w+$", re.M)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    for i in range(12):
        path = tmp_path / "photos" / ("cat", "dog", "owl")[i % 3] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(np.full((30 + i, 40, 3), 20 * i, np.uint8), "jpeg"))
    monkeypatch.chdir(tmp_path)


def test_python_blocks_run(photos):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.S)
    assert len(blocks) >= 4
    names = {}
    for block in blocks:
        if OF_A_FRAMEWORK.search(block):
            continue
        exec(compile(block, "README.md", "exec"), names)
    assert names["crops"].shape == (3, 3, 224, 224)
    assert names["state"]["epoch"] == 1
    assert names["images"].shape == (2, 64, 64, 3)
    files = sorted(Path("photos").rglob("*.jpg"), key=str)
    assert names["jpeg"] == files[7].read_bytes()


def commands_below(heading):
    section = README.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^    (fastpack .*)$", section, flags=re.M)


def in_shell(command):
    """Runs a command by the shell, which expands globs, with the package that is tested."""
    environment = os.environ | {
        "PYTHONPATH": str(Path(fastpack.__file__).parent.parent),
        "PYTHON": sys.executable,
    }
    script = 'fastpack() { "$PYTHON" -m fastpack "$@"; }\n' + command
    return subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True)


def test_the_commands_for_packing_run_one_after_the_other(photos):
    commands = commands_below("Pack")
    assert len(commands) == 4
    for i in range(50):  # so that each part of the split gets some
        Path(f"photos/dog/more-{i}.jpg").write_bytes(
            encode(np.full((20, 30, 3), i, np.uint8), "jpeg")
        )
    for command in commands:
        done = in_shell(command)
        assert (done.returncode, done.stderr) == (0, ""), command
    assert not list(Path().glob("set*"))  # --dry-run


def test_every_block_is_marked():
    fences = re.findall(r"^```(\w*)$", README.read_text(), flags=re.M)
    assert set(fences[::2]) == {"python"}
    assert set(fences[1::2]) == {""}
