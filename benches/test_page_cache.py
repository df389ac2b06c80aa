"""Tests that a cold benchmark's files are not in memory."""

import os
from pathlib import Path

import pytest

from benches import page_cache

_MEMORY = Path("/dev/shm")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "below").mkdir()
    path = tmp_path / "below" / "bytes"
    path.write_bytes(bytes(1 << 20))
    return path


def test_a_file_is_cached_until_evicted(file: Path) -> None:
    assert page_cache._is_cached(file)
    if not page_cache.evict([file.parent.parent]):
        pytest.skip("the temporary folder is in memory")
    file.read_bytes()
    assert page_cache._is_cached(file)


@pytest.mark.skipif(not os.access(_MEMORY, os.W_OK), reason="no file system in memory")
def test_files_in_memory_are_not_cold() -> None:
    path = _MEMORY / f"kept-{os.getpid()}"
    path.write_bytes(bytes(1 << 20))
    try:
        assert not page_cache.evict([path])
    finally:
        path.unlink()


def test_a_wrong_setting_is_an_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache, "COLD", "ice")
    with pytest.raises(SystemExit, match="'ice'"):
        page_cache.evict([file])
