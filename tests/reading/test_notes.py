"""Notes on guesses and omissions: in results, as warnings, and on stderr."""

import json
import pickle

import numpy as np
import pytest

import fastpack
from fastpack.errors import FastpackWarning
from fastpack.formats.index.index import concatenate
from fastpack.formats.index.index_file import load_index, save_index
from tests.support.command_line import packed, run
from tests.support.images import jpeg

NOTE = "the odd column was left out; name it with fields"


@pytest.fixture
def source(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(8, 8))
    return fastpack.sources.ImageFiles([tmp_path / "a.jpg"], [3], notes=[NOTE])


@pytest.mark.parametrize(
    "options", [None, fastpack.PackOptions(dry_run=True), fastpack.PackOptions(include=[])]
)
def test_pack_warns_of_what_its_source_notes(source, tmp_path, options):
    with pytest.warns(FastpackWarning, match=NOTE) as warned:
        assert fastpack.pack(source, tmp_path / "a.tfrecord", options).notes == (NOTE,)
    assert [warning.filename for warning in warned] == [__file__]


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Of a file whose container notes something."""
    (tmp_path / "a.jpg").write_bytes(jpeg(8, 8))
    fastpack.pack(
        fastpack.sources.ImageFiles([tmp_path / "a.jpg"] * 2, [3, 4]), tmp_path / "a.tfrecord"
    )
    kept = load_index(tmp_path / "a.tfrecord.fpindex")
    object.__setattr__(kept, "notes", (NOTE, "Löwe \udcff"))
    save_index(kept, tmp_path / "a.tfrecord.fpindex")
    return kept


def test_an_index_keeps_its_notes(index, tmp_path):
    with pytest.warns(FastpackWarning) as warned:
        dataset = fastpack.open(tmp_path / "a.tfrecord")
    assert tuple(str(warning.message) for warning in warned) == dataset.notes == index.notes
    for part in (
        dataset[1:],
        dataset.take([0]),
        pickle.loads(pickle.dumps(dataset)),
        fastpack.concat([dataset, dataset]),
    ):
        assert part.notes == index.notes
    assert fastpack.open(tmp_path / "a.tfrecord", fields=["image"]).notes == index.notes
    assert concatenate([index, index]).notes == index.notes


def test_notes_of_a_dataset_go_on_to_what_is_made_of_it(index, tmp_path):
    assert fastpack.convert(tmp_path / "a.tfrecord", tmp_path / "b.h5").notes == index.notes
    assert fastpack.build_indexes(tmp_path / "a.tfrecord").notes == index.notes
    assert fastpack.open(tmp_path / "b.h5").notes == ()


def test_the_command_line_prints_each_once(index, tmp_path):
    result = run("pack", tmp_path / "a.tfrecord", "-o", tmp_path / "b.h5", "--json")
    assert json.loads(result.stdout)["notes"] == list(index.notes)
    assert result.stderr.splitlines() == [f"fastpack: {NOTE}", "fastpack: Löwe \\udcff"]
    assert json.loads(run("info", tmp_path / "a.tfrecord", "--json").stdout)["notes"] == list(
        index.notes
    )


def test_no_notes_no_lines(photos):
    packed(photos, "a.h5")
    with np.testing.assert_no_warnings():
        fastpack.open(photos.parent / "a.h5")
    assert run("info", photos.parent / "a.h5").stderr == ""
