"""TFRecords without samples, with records that are not Examples, and names that are not text."""

import numpy as np
import pytest

import fastpack
from fastpack.errors import FastpackError, FormatError, NoRecordsError, TruncatedFileError
from tests.support.images import jpeg
from tests.support.wire import bytes_list, entry, example, frame, int_list, sized

IMAGES = [jpeg(24 + i, 20, seed=i) for i in range(4)]
GOOD = [
    frame(example(entry(b"image", bytes_list(image)), entry(b"label", int_list(i))))
    for i, image in enumerate(IMAGES)
]
SEQUENCE = sized(1, b"") + sized(2, sized(1, sized(1, b"frames") + sized(2, sized(1, int_list(1)))))
STRANGE = {
    "bytes": b"\xff\xfe no example",
    "sequence": SEQUENCE,
    "cut": example(entry(b"a", b"\x0a\x7f")),
}


def write(path, *records):
    path.write_bytes(b"".join(records))
    return path


# Shards without records


def test_empty_shards_beside_full_ones_are_no_records(tmp_path):
    for number in (0, 2, 3):
        write(tmp_path / f"x-{number}.tfrecord")
    write(tmp_path / "x-1.tfrecord", *GOOD)
    assert fastpack.open(tmp_path).columns["label"].tolist() == [0, 1, 2, 3]
    assert fastpack.build_indexes(tmp_path).num_samples == 4
    assert len(fastpack.open(tmp_path / "x-*.tfrecord", untrusted=True)) == 4


def test_empty_shards_of_other_names(tmp_path):
    """As TensorFlow's data sets number theirs."""
    write(tmp_path / "train.tfrecord-00000-of-00002", *GOOD)
    write(tmp_path / "train.tfrecord-00001-of-00002")
    assert len(fastpack.open(tmp_path / "train.tfrecord-*")) == 4


@pytest.mark.parametrize("count", [1, 2])
def test_only_empty_shards_are_an_error(tmp_path, count):
    for number in range(count):
        write(tmp_path / f"{number}.tfrecord")
    with pytest.raises(NoRecordsError, match=r"0\.tfrecord"):
        fastpack.open(tmp_path)


def test_a_shard_that_lost_all_its_records_is_an_error(tmp_path):
    write(tmp_path / "0.tfrecord", *GOOD), write(tmp_path / "1.tfrecord", *GOOD)
    fastpack.open(tmp_path)
    write(tmp_path / "1.tfrecord")
    with pytest.raises(TruncatedFileError, match=r"has 4.*1\.tfrecord"):
        fastpack.open(tmp_path)
    assert not fastpack.verify(tmp_path).is_sound


@pytest.mark.parametrize("name", ["x.h5", "x.tar"])
def test_other_empty_files_are_damaged(tmp_path, name):
    write(tmp_path / "0.tfrecord", *GOOD), write(tmp_path / name)
    with pytest.raises(FormatError):
        fastpack.open(tmp_path)


# Records that are not Examples


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("bad", [0, 2, 4])
def test_the_other_records_can_be_read(tmp_path, strange, bad):
    path = write(tmp_path / "x.tfrecord", *GOOD[:bad], frame(strange), *GOOD[bad:])
    with pytest.raises(FormatError, match=f"record {bad}"):
        fastpack.open(path)
    reader = fastpack.open(path, on_error="mask", decode=False)
    batch = reader.read(range(5))
    assert batch.mask.tolist() == [row != bad for row in range(5)]
    assert "not a tf.train.Example" in str(batch.failures[0])
    assert fastpack.open(path, on_error="skip").read(range(5))["label"].tolist() == [0, 1, 2, 3]
    assert [batch["image"].bytes(row) for row in range(5) if row != bad] == IMAGES


def test_many_strange_records(tmp_path):
    path = write(
        tmp_path / "x.tfrecord",
        *[frame(STRANGE["bytes"])] * 20_000,
        *GOOD,
        *[frame(STRANGE["bytes"])] * 20_000,
    )
    reader = fastpack.open(path, on_error="skip")
    assert reader.read(range(19_998, 20_006))["label"].tolist() == [0, 1, 2, 3]


def test_repair_leaves_them_out(tmp_path):
    strange = frame(STRANGE["bytes"])
    path = write(tmp_path / "x.tfrecord", GOOD[0], strange, *GOOD[1:3], strange, strange, GOOD[3])
    done = fastpack.repair(path, tmp_path / "whole.tfrecord")
    assert (done.num_samples, done.num_lost) == (4, 3)
    assert [damage.offset for damage in done.damages] == [
        len(GOOD[0]),
        *np.cumsum([len(b"".join(GOOD[:3])) + len(strange), len(strange)]),
    ]
    assert fastpack.open(tmp_path / "whole.tfrecord").columns["label"].tolist() == [0, 1, 2, 3]


def test_repair_keeps_a_file_of_other_records(tmp_path):
    records = [frame(STRANGE["bytes"]), frame(b"\xff other")]
    assert (
        fastpack.repair(
            write(tmp_path / "x.tfrecord", *records), tmp_path / "whole.tfrecord"
        ).num_samples
        == 2
    )
    assert (tmp_path / "whole.tfrecord").read_bytes() == b"".join(records)


# Names


@pytest.mark.parametrize("name", [b"\xffname", b"\xed\xa0\x80", b"a\xc3", b"\xf5\x80\x80\x80"])
def test_names_that_are_not_utf8_are_escaped(tmp_path, name):
    features = entry(b"image", bytes_list(IMAGES[0])), entry(name, int_list(7))
    path = write(tmp_path / "x.tfrecord", frame(example(*features)))
    shown = name.decode("utf-8", "backslashreplace")
    for _ in range(2):  # built, and loaded
        reader = fastpack.open(path)
        assert reader.columns[shown].tolist() == [7]
    assert fastpack.open(path, fields=[shown]).columns[shown].tolist() == [7]


def test_two_names_that_are_escaped_alike_are_refused(tmp_path):
    features = entry(b"\xff", int_list(7)), entry(rb"\xff", int_list(8))
    with pytest.raises(FastpackError):
        fastpack.open(write(tmp_path / "x.tfrecord", frame(example(*features))))
