"""Columns that grow on disk equal columns in memory, and leave no files."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastpack
from fastpack import PackOptions, pack
from fastpack.core.ragged import Text
from fastpack.errors import FastpackError
from fastpack.files import spool
from fastpack.files.spool import Spool, release
from fastpack.formats.spools import Spools, parts
from tests.support.images import jpeg


@given(st.lists(st.lists(st.integers(0, 255), max_size=9), max_size=9), st.integers(0, 40))
def test_rows_are_those_that_were_appended(tmp_path_factory, batches, held):
    folder = tmp_path_factory.mktemp("spool")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(spool, "_HELD_BYTES", held)
        rows = Spool(folder, "<u2")
        for batch in batches:
            rows.append(batch)
    expected = [row for batch in batches for row in batch]
    assert len(rows) == len(expected)
    assert rows.whole().tolist() == expected
    assert list(folder.iterdir()) == []  # its file has no name


@given(st.lists(st.lists(st.text(max_size=3), max_size=5), max_size=5), st.integers(0, 40))
def test_texts_are_those_that_were_appended(tmp_path_factory, batches, held):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(spool, "_HELD_BYTES", held)
        texts = Spools(tmp_path_factory.mktemp("spool"))
        texts.append({"key": Text.of([])})
        for batch in batches:
            texts.append({"key": Text.of(batch)})
    expected = [text for batch in batches for text in batch]
    whole = texts.whole()["key"]
    assert list(whole) == expected
    assert [text for part in parts(whole) for text in part] == expected


def resident_bytes() -> int:
    """Of mapped files, in memory now."""
    status = Path("/proc/self/status").read_text().splitlines()
    return sum(
        int(line.split()[1]) * 1024 for line in status if line.startswith(("RssFile", "RssShmem"))
    )


@pytest.mark.isolated
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells")
def test_what_was_looked_at_leaves_memory(tmp_path):
    rows = Spool(tmp_path, np.int64)
    for start in range(0, 2**22, 2**19):
        rows.append(np.arange(start, start + 2**19))
    whole = rows.whole()
    before = resident_bytes()
    assert whole.sum() == 2**21 * (2**22 - 1)
    assert resident_bytes() > before + whole.nbytes // 2
    release(whole[5:])
    assert resident_bytes() < before + whole.nbytes // 4
    assert whole[7] == 7


@pytest.mark.isolated
@pytest.mark.parametrize("name", ["x.tfrecord", "x.h5"])
def test_a_disk_that_refuses_is_reported_with_the_shard(tmp_path, monkeypatch, name):
    (tmp_path / "photos").mkdir()
    for i in range(3):
        (tmp_path / "photos" / f"{i}.jpg").write_bytes(jpeg(seed=i))
    refused = []

    def refuse(descriptor, data):
        if (
            os.readlink(f"/proc/self/fd/{descriptor}").startswith(f"{tmp_path}/.{name}.packing/")
            and len(data) == 40
        ):
            refused.append(data)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    write = os.write
    monkeypatch.setattr(spool, "_HELD_BYTES", 0)
    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(FastpackError, match=f"No space left.*{name}") as caught:
        pack(tmp_path / "photos", tmp_path / name, PackOptions(memory=1))
    assert refused
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]
    pack(tmp_path / "photos", tmp_path / name)
    assert len(fastpack.open(tmp_path / name)) == 3
