"""TFRecord and HDF5 files that are cut short, damaged, or made to do harm: an error that names the file, and nothing worse."""


import h5py
import numpy as np
import pytest
from images import jpeg, photo, save, with_more_scans
from test_pool import run_python
from wire import bytes_list, entry, example, float_list, frame, header, int_list

import fastpack
from fastpack import PackOptions, Paths
from fastpack.errors import CorruptRecordError, FastpackError, FormatError, LimitError, SchemaError, TruncatedFileError
from fastpack.index import index_path

IMAGES = [jpeg(24 + i, 20, seed=i) for i in range(4)]
RECORDS = [frame(example(entry(b"image", bytes_list(image)), entry(b"label", int_list(i)))) for i, image in enumerate(IMAGES)]
STARTS = np.cumsum([0, *map(len, RECORDS)]).tolist()


def write_tfrecord(path, data=b"".join(RECORDS)):
    path.write_bytes(data)
    return path


def failure_of(path, **options):
    """The error that opening or reading the whole file meets, None if none. Whatever it is, it names the file."""
    try:
        reader = fastpack.open(path, **options)
        reader.read(np.arange(len(reader)))
    except FastpackError as error:
        assert path.name in str(error)
        return error
    return None


# TFRecord


@pytest.mark.parametrize("cut", sorted({*range(1, STARTS[-1], 97), *(start + d for start in STARTS[1:-1] for d in (-1, 0, 1, 11, 12))}))
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
    reader.read([2])
    with pytest.raises(TruncatedFileError, match=r"x\.tfrecord, record 3"):
        reader.read([2, 3])


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
    with open(path, "r+b") as file:
        file.seek(STARTS[2] + 300)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 16]))
    reader.read([0, 1, 3])
    with pytest.raises(CorruptRecordError, match=r"x\.tfrecord, record 2"):
        reader.read([0, 1, 2, 3])


@pytest.mark.parametrize("claim", [2**31, 2**40, 2**63, 2**64 - 1])
def test_claim_of_a_huge_record(tmp_path, claim):
    data = header(claim) + bytes(592)
    assert isinstance(failure_of(write_tfrecord(tmp_path / "x.tfrecord", data)), (LimitError, TruncatedFileError))


@pytest.mark.parametrize("payload", [b"\xff", b"no protobuf", b"\x0a\x05abc", example(b"\x0a\x7f")])
def test_records_that_are_no_examples(tmp_path, payload):
    path = write_tfrecord(tmp_path / "x.tfrecord", RECORDS[0] + frame(payload) + RECORDS[1])
    error = failure_of(path)
    assert isinstance(error, FormatError)
    assert "record 1" in str(error)


def test_two_images_in_one_feature(tmp_path):
    payload = example(entry(b"image", bytes_list(IMAGES[0], IMAGES[1])))
    assert isinstance(failure_of(write_tfrecord(tmp_path / "x.tfrecord", frame(payload))), SchemaError)


# Lists that change their kind half-way: what is dropped must not be copied to where only the rest has room. Each would write
# megabytes past its array, so a child does it.
WIDE_THEN_NARROW = int_list(*[7] * 2**20) + float_list(*[1.5] * 2**20)
LONG_THEN_SHORT = bytes_list(b"x" * 2**26, b"y" * 2**20) + int_list(1) + bytes_list(b"a" * 2**20, b"b" * 2**20)
COUNT = """
import sys, fastpack
column = fastpack.open(sys.argv[1], save_index=False).columns["x"]
print(len(column), len(column[0]))
"""


@pytest.mark.parametrize(("feature", "printed"), [(WIDE_THEN_NARROW, "1 1048576\n"), (LONG_THEN_SHORT, "1 2\n")])
def test_lists_that_change_their_kind(tmp_path, feature, printed):
    path = write_tfrecord(tmp_path / "x.tfrecord", frame(example(entry(b"x", feature))))
    assert run_python(COUNT, path) == printed


def png_of_size(width, height):
    data = bytearray(save(photo(4, 4), "PNG"))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(data)


def jpeg_of_size(width, height):
    at = IMAGES[0].index(b"\xff\xc0") + 5
    return IMAGES[0][:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + IMAGES[0][at + 4 :]


@pytest.mark.parametrize("image", [png_of_size(2**31 - 1, 2**31 - 1), png_of_size(2**16, 2**16), jpeg_of_size(65500, 65500)])
@pytest.mark.parametrize("container", ["tfrecord", "h5"])
def test_images_that_claim_to_be_huge(tmp_path, image, container):
    (tmp_path / "huge").write_bytes(image)
    fastpack.pack(Paths([tmp_path / "huge"]), tmp_path / f"x.{container}")
    assert isinstance(failure_of(tmp_path / f"x.{container}"), LimitError)
    with pytest.raises(LimitError, match="huge"):
        fastpack.pack(Paths([tmp_path / "huge"]), tmp_path / "y.h5", PackOptions(layout="pixels"))


@pytest.mark.parametrize("container", ["tfrecord", "h5"])
def test_bomb_of_scans(tmp_path, container):
    (tmp_path / "bomb").write_bytes(with_more_scans(jpeg(24, 20, progressive=True), 2000))
    fastpack.pack(Paths([tmp_path / "bomb"]), tmp_path / f"x.{container}")
    error = failure_of(tmp_path / f"x.{container}")
    assert isinstance(error, LimitError)
    assert "max_scans" in str(error)


# HDF5


def write_encoded(path, **members):
    """An `encoded` file of four images; `members` of its group replace the right ones, None leaves one out."""
    data = np.frombuffer(b"".join(IMAGES), np.uint8)
    right = {"bytes": data, "offsets": np.cumsum([0, *map(len, IMAGES)]).astype(np.uint64)}
    with h5py.File(path, "w") as f:
        for name, value in (right | members).items():
            if value is not None:
                f[f"images/{name}"] = value
        f["labels"] = np.arange(4)
    return path


SIZES = [len(image) for image in IMAGES]


@pytest.mark.parametrize(
    "members",
    [
        {"offsets": np.cumsum([0, *SIZES])[::-1]},
        {"offsets": np.cumsum([0, *SIZES]) + 1},
        {"offsets": np.cumsum([0, *SIZES[:3], SIZES[3] + 1])},
        {"offsets": np.array([0, 2**63], np.uint64)},
        {"offsets": np.array([0, 10, 2**64 - 1, 20], np.uint64)},
        {"offsets": np.array([0, -1, 5])},
        {"offsets": np.array([0, -(2**63)])},
        {"offsets": np.array([], np.uint64)},
        {"offsets": np.uint64(0)},
        {"offsets": np.zeros((2, 2), np.uint64)},
        {"offsets": np.array([0.0, np.nan, 10.0])},
        {"offsets": np.array([0.5, 1.5])},
        {"offsets": np.array([b"0", b"10"])},
        {"offsets": h5py.Empty("u8")},
        {"offsets": None},
        {"bytes": None},
        {"bytes": np.zeros((50, 50), np.uint8)},
        {"bytes": np.zeros(9999)},
        {"bytes": np.uint8(3)},
        {"bytes": h5py.Empty("u1")},
        {"bytes": np.array([b"text"])},
        {"crc32c": np.zeros(4, np.uint32)},
        {"crc32c": np.zeros(3, np.uint32)},
        {"crc32c": np.zeros((4, 4), np.uint32)},
        {"crc32c": np.array([b"a"] * 4)},
        {"crc32c": h5py.Empty("u4")},
    ],
)
def test_encoded_file_that_lies(tmp_path, members):
    assert isinstance(failure_of(write_encoded(tmp_path / "x.h5", **members)), FastpackError)


def test_encoded_file_that_is_sound(tmp_path):
    assert failure_of(write_encoded(tmp_path / "x.h5")) is None


@pytest.mark.parametrize("layout", ["encoded", "pixels"])
@pytest.mark.parametrize("part", [0, 0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_truncated_hdf5(tmp_path, layout, part):
    for i, image in enumerate(IMAGES):
        (tmp_path / f"{i}.jpg").write_bytes(image)
    size = (30, 40) if layout == "pixels" else None
    fastpack.pack(Paths([tmp_path / f"{i}.jpg" for i in range(4)]), tmp_path / "x.h5", PackOptions(layout=layout, size=size))
    data = (tmp_path / "x.h5").read_bytes()
    (tmp_path / "x.h5").write_bytes(data[: int(part * len(data))])
    assert isinstance(failure_of(tmp_path / "x.h5"), FormatError)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(5000), bytes(600) + b"\x89HDF\r\n\x1a\n"])
def test_no_hdf5(tmp_path, content):
    (tmp_path / "x.h5").write_bytes(content)
    assert isinstance(failure_of(tmp_path / "x.h5"), FormatError)


@pytest.mark.parametrize("members", [{}, {"labels": np.arange(3)}, {"images": np.zeros((3, 4))}, {"a/b/images": np.zeros((3, 4, 4, 3), "u1")}])
def test_hdf5_without_images(tmp_path, members):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        for name, value in members.items():
            f[name] = value
    assert isinstance(failure_of(tmp_path / "x.h5"), FormatError)


@pytest.mark.parametrize("num_samples", [2**24, 2**40, 2**62])
@pytest.mark.parametrize("layout", [{}, {"chunks": (2**10, 8, 8, 3)}])
def test_hdf5_that_claims_more_samples_than_it_has_bytes(tmp_path, num_samples, layout):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        space = (num_samples, 8, 8, 3) if num_samples < 2**62 or layout else (num_samples, 1, 1, 1)
        f.create_dataset("images", space, np.uint8, **layout)
    assert isinstance(failure_of(tmp_path / "x.h5"), (LimitError, FormatError))
