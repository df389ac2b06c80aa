"""TFRecords that are truncated, damaged or malicious: an error names the file."""

import os

import numpy as np
import pytest

import fastpack
from fastpack import PackOptions
from fastpack.core.limits import Limits
from fastpack.errors import (
    ChangedFileError,
    CorruptRecordError,
    FastpackError,
    FormatError,
    LimitError,
    TruncatedFileError,
)
from fastpack.files.companions import index_path
from fastpack.sources import ImageFiles
from tests.support.damage import in_place
from tests.support.failures import IMAGES, failure_of
from tests.support.images import jpeg, photo, save, with_more_scans
from tests.support.subprocesses import run_python
from tests.support.wire import bytes_list, entry, example, float_list, frame, header, int_list

RECORDS = [
    frame(example(entry(b"image", bytes_list(image)), entry(b"label", int_list(i))))
    for i, image in enumerate(IMAGES)
]
STARTS = np.cumsum([0, *map(len, RECORDS)]).tolist()


def write_tfrecord(path, data=b"".join(RECORDS)):
    path.write_bytes(data)
    return path


# TFRecord


@pytest.mark.parametrize(
    "cut",
    sorted(
        {
            *range(1, STARTS[-1], 97),
            *(start + d for start in STARTS[1:-1] for d in (-1, 0, 1, 11, 12)),
        }
    ),
)
def test_truncated_tfrecord(tmp_path, cut):
    path = write_tfrecord(tmp_path / "x.tfrecord", b"".join(RECORDS)[:cut])
    if cut in STARTS:
        assert len(fastpack.open(path)) == STARTS.index(cut)
        return
    assert isinstance(failure_of(path), TruncatedFileError)
    assert not index_path(path).exists()


@pytest.mark.parametrize("cut", [0, 1, 500, STARTS[2], STARTS[-1] - 1])
def test_tfrecord_cut_after_it_was_indexed(tmp_path, cut):
    path = write_tfrecord(tmp_path / "x.tfrecord")
    reader = fastpack.open(path)
    write_tfrecord(path, b"".join(RECORDS)[:cut])
    with pytest.raises(FastpackError, match=r"x\.tfrecord"):
        reader.read([3])
    assert failure_of(path) is not None or len(fastpack.open(path)) == STARTS.index(cut)


def test_tfrecord_cut_while_it_is_open(tmp_path):
    path = write_tfrecord(tmp_path / "x.tfrecord")
    reader = fastpack.open(path)
    reader.read([3])
    with open(path, "r+b") as file:
        file.truncate(STARTS[3] + 50)
    with pytest.raises(ChangedFileError, match=r"open the dataset again - at .*x\.tfrecord"):
        reader.read([2])


@pytest.mark.parametrize("bit", range(3, 8 * STARTS[-1], 509))
def test_flipped_bit_in_a_tfrecord(tmp_path, bit):
    data = bytearray(b"".join(RECORDS))
    data[bit // 8] ^= 1 << bit % 8
    error = failure_of(write_tfrecord(tmp_path / "x.tfrecord", data))
    record = next(i for i, end in enumerate(STARTS[1:]) if bit // 8 < end)
    assert isinstance(error, CorruptRecordError)
    assert f"record {record}" in str(error)


def test_flipped_bit_after_it_was_indexed(tmp_path):
    path = write_tfrecord(tmp_path / "x.tfrecord")
    reader = fastpack.open(path)
    in_place(path, {STARTS[2] + 300: bytes([path.read_bytes()[STARTS[2] + 300] ^ 16])})
    reader.read([0, 1, 3])
    with pytest.raises(CorruptRecordError, match=r"x\.tfrecord, record 2"):
        reader.read([0, 1, 2, 3])


@pytest.mark.parametrize("claim", [2**31, 2**40, 2**63, 2**64 - 1])
def test_claim_of_a_huge_record(tmp_path, claim):
    data = header(claim) + bytes(592)
    assert isinstance(
        failure_of(write_tfrecord(tmp_path / "x.tfrecord", data)), (LimitError, TruncatedFileError)
    )


@pytest.mark.parametrize("payload", [b"\xff", b"no protobuf", b"\x0a\x05abc", example(b"\x0a\x7f")])
def test_records_that_are_no_examples(tmp_path, payload):
    path = write_tfrecord(tmp_path / "x.tfrecord", RECORDS[0] + frame(payload) + RECORDS[1])
    error = failure_of(path)
    assert isinstance(error, FormatError)
    assert "record 1" in str(error)


def test_two_images_in_one_feature_are_a_list(tmp_path):
    payload = example(
        entry(b"image", bytes_list(IMAGES[0], IMAGES[1])), entry(b"other", bytes_list(IMAGES[2]))
    )
    records = RECORDS[0] + frame(payload)
    dataset = fastpack.open(write_tfrecord(tmp_path / "x.tfrecord", records))
    lists = dataset.with_options(decode=False).read([0, 1])["image"]
    assert [[row.bytes(i) for i in range(len(row))] for row in lists] == [
        [IMAGES[0]],
        [IMAGES[0], IMAGES[1]],
    ]
    assert (dataset.schema["image"].kind, dataset.schema["image"].shape) == ("image", (None,))
    assert dataset.schema["other"].kind == "image"


def test_more_features_than_the_limit(tmp_path):
    records = b"".join(frame(example(entry(b"x%d" % i, int_list(i)))) for i in range(5000))
    with pytest.raises(LimitError, match=r"max_features.*x\.tfrecord, record 4096"):
        fastpack.open(write_tfrecord(tmp_path / "x.tfrecord", records))


OPEN = """
import sys, fastpack
try:
    fastpack.open(sys.argv[1])
except fastpack.FastpackError as error:
    print(sys.argv[1] in str(error))
"""


@pytest.mark.parametrize("suffix", ["tfrecord", "h5"])
def test_a_fifo_is_not_waited_for(tmp_path, suffix):
    os.mkfifo(tmp_path / f"x.{suffix}")
    assert run_python(OPEN, tmp_path / f"x.{suffix}") == "True\n"


# Lists that change their kind half-way: dropped values must not be copied into an array for the
# rest. Each would write megabytes past its array, so a child does it.
WIDE_THEN_NARROW = int_list(*[7] * 2**20) + float_list(*[1.5] * 2**20)
LONG_THEN_SHORT = bytes_list(b"x" * 2**26, b"y" * 2**20) + int_list(1) + bytes_list(b"a", b"b")
COUNT = """
import sys, fastpack
column = fastpack.open(sys.argv[1], save_index=False).columns["x"]
print(len(column), len(column[0]))
"""


@pytest.mark.parametrize(
    ("feature", "printed"), [(WIDE_THEN_NARROW, "1 1048576\n"), (LONG_THEN_SHORT, "1 2\n")]
)
def test_lists_that_change_their_kind(tmp_path, feature, printed):
    path = write_tfrecord(tmp_path / "x.tfrecord", frame(example(entry(b"x", feature))))
    assert run_python(COUNT, path) == printed


def png_of_size(width, height):
    data = bytearray(save(photo(4, 4), "PNG"))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(data)


def jpeg_of_size(width, height):
    at = IMAGES[0].index(b"\xff\xc0") + 5
    return (
        IMAGES[0][:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + IMAGES[0][at + 4 :]
    )


@pytest.mark.parametrize(
    "image",
    [png_of_size(2**31 - 1, 2**31 - 1), png_of_size(2**16, 2**16), jpeg_of_size(65500, 65500)],
)
@pytest.mark.parametrize("container", ["tfrecord", "h5"])
def test_images_that_claim_to_be_huge(tmp_path, image, container):
    (tmp_path / "huge").write_bytes(image)
    with pytest.raises(LimitError, match="at .*huge"):
        fastpack.pack(ImageFiles([tmp_path / "huge"]), tmp_path / f"x.{container}")
    fastpack.pack(
        ImageFiles([tmp_path / "huge"]),
        tmp_path / f"x.{container}",
        PackOptions(limits=Limits(max_pixels=2**62)),
    )
    assert isinstance(failure_of(tmp_path / f"x.{container}"), LimitError)
    with pytest.raises(LimitError, match="at .*huge"):
        fastpack.pack(
            ImageFiles([tmp_path / "huge"]), tmp_path / "y.h5", PackOptions(layout="pixels")
        )


@pytest.mark.parametrize("container", ["tfrecord", "h5"])
def test_bomb_of_scans(tmp_path, container):
    (tmp_path / "bomb").write_bytes(with_more_scans(jpeg(24, 20, progressive=True), 2000))
    fastpack.pack(ImageFiles([tmp_path / "bomb"]), tmp_path / f"x.{container}")
    error = failure_of(tmp_path / f"x.{container}")
    assert isinstance(error, LimitError)
    assert "max_scans" in str(error)


@pytest.mark.parametrize(
    "damage",
    [lambda image: image[:-50], lambda image: image[:300], lambda image: image[:2] + image[40:]],
)
def test_packing_to_pixels_names_the_damaged_file(tmp_path, damage):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(IMAGES[0])
    (tmp_path / "b.jpg").write_bytes(damage(IMAGES[0]))
    with pytest.raises(FastpackError, match=r"b\.jpg"):
        fastpack.packing.snippets.create_hdf5(
            [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg")],
            [0, 1, 2],
            tmp_path / "x.h5",
            size=16,
        )
    assert not list(tmp_path.glob("*x.h5*"))
