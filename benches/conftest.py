"""What the benches share."""

from pathlib import Path
from typing import Any

import pytest

from benches.photos import photos as find_photos
from benches.workloads import Packing

collect_ignore = ["rivals"]  # scripts for other interpreters


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """JPEGs: of the folder that FASTPACK_BENCH_PHOTOS names, or else made ones."""
    return find_photos(None, tmp_path_factory.mktemp("photos"))


@pytest.fixture
def packing(photos: list[Path], tmp_path: Path, benchmark: Any) -> Packing:
    """A list of files to pack: about 500 MB to time, 20 MB to test."""
    return Packing(photos, 5000 if benchmark.enabled else 200, tmp_path / "outputs")
