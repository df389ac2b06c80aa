"""The README's Python runs, block after block, as a reader would type it."""

import re
from pathlib import Path

import numpy as np
import pytest

from fastpack import encode

README = Path(__file__).parent.parent / "README.md"


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
        exec(compile(block, "README.md", "exec"), names)
    assert names["crops"].shape == (3, 3, 224, 224)
    assert names["state"]["epoch"] == 1
    assert names["images"].shape == (2, 64, 64, 3)
    files = sorted(Path("photos").rglob("*.jpg"), key=str)
    assert names["jpeg"] == files[7].read_bytes()


def test_every_block_is_marked():
    fences = re.findall(r"^```(\w*)$", README.read_text(), flags=re.M)
    assert set(fences[::2]) == {"python"}
    assert set(fences[1::2]) == {""}
