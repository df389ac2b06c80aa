"""Benchmark of indexing a dataset, and of opening one with a saved index."""

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fastpack
from benches.workloads import FORMS, pack_as
from fastpack.formats.indexing import build_indexes

_KINDS = [*FORMS, "tar", "folder"]


class Stored:
    """Photos in one file or folder."""

    def __init__(self, kind: str, photos: list[Path], num_samples: int, folder: Path) -> None:
        self.folder, self._index_dir = folder, folder.parent / "indexes"
        self._index_dir.mkdir()
        paths = [photos[i % len(photos)] for i in range(num_samples)]
        self._num_samples, self.path = num_samples, _store(kind, paths, folder)

    def __len__(self) -> int:
        return self._num_samples

    def index(self) -> int:
        return build_indexes(
            self.path, index_dir=self._index_dir, rebuild=True, num_workers=1
        ).num_samples

    def open(self) -> fastpack.Reader:
        """Open and read the first image, without decoding."""
        reader = fastpack.open(self.path, index_dir=self._index_dir, decode=False)
        self.first = reader[0]["image"]
        return reader


def _store(kind: str, paths: list[Path], folder: Path) -> Path:
    if kind in FORMS:
        return pack_as(kind, paths, folder)
    if kind == "tar":
        with tarfile.open(folder / "photos.tar", "w") as tar:
            for number, path in enumerate(paths):
                tar.add(path, f"{number:06d}.jpg")
        return folder / "photos.tar"
    for number, path in enumerate(paths):
        (folder / "class").mkdir(exist_ok=True)
        (folder / "class" / f"{number:06d}.jpg").write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def stored(
    request: pytest.FixtureRequest, photos: list[Path], tmp_path: Path, benchmark: Any
) -> Stored:
    (tmp_path / "stored").mkdir()
    return Stored(request.param, photos, 5000 if benchmark.enabled else 50, tmp_path / "stored")


@pytest.mark.benchmark(group="index photographs")
@pytest.mark.parametrize("stored", _KINDS, indirect=True)
def test_index(timed: Callable[..., Any], stored: Stored) -> None:
    assert timed(stored.index, stored.folder) == len(stored)


@pytest.mark.benchmark(group="open a dataset whose index was kept, and read its first image")
@pytest.mark.parametrize("stored", _KINDS, indirect=True)
def test_open(timed: Callable[..., Any], stored: Stored, photos: list[Path]) -> None:
    stored.index()
    reader = timed(stored.open, stored.folder)
    assert stored.first == photos[0].read_bytes()
    assert len(reader) == len(stored)
