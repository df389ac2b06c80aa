"""Are files out of memory when a bench says that it is cold?"""

import os
from pathlib import Path

import pytest

from benches import cold

_MEMORY = Path("/dev/shm")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "below").mkdir()
    path = tmp_path / "below" / "bytes"
    path.write_bytes(bytes(1 << 20))
    return path


def test_a_file_is_kept_until_it_is_forgotten(file: Path) -> None:
    assert cold._is_kept(file)
    if not cold.forget([file.parent.parent]):
        pytest.skip("the temporary folder lies in memory")
    file.read_bytes()
    assert cold._is_kept(file)


@pytest.mark.skipif(
    not os.access(_MEMORY, os.W_OK), reason="there is no file system in memory here"
)
def test_of_files_in_memory_nothing_cold_is_claimed() -> None:
    path = _MEMORY / f"kept-{os.getpid()}"
    path.write_bytes(bytes(1 << 20))
    try:
        assert not cold.forget([path])
    finally:
        path.unlink()


def test_a_wrong_word_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold, "COLD", "ice")
    with pytest.raises(SystemExit, match="'ice'"):
        cold.forget([file])
