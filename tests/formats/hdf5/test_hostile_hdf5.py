"""HDF5 files that are truncated, inconsistent, or point at other files: an error names the file."""

import zlib

import h5py
import numpy as np
import pytest

import fastpack
from fastpack import PackOptions
from fastpack.core.limits import Limits
from fastpack.errors import CorruptRecordError, FormatError, LimitError
from fastpack.files.companions import index_path
from fastpack.formats import registry
from fastpack.formats.index.index_file import load_index
from fastpack.sources import ImageFiles
from tests.support.failures import IMAGES, failure_of
from tests.support.images import photo
from tests.support.saved_tables import SavedTables


def write_encoded(path, **members):
    """Writes an `encoded` file of four images; `members` replaces or (None) omits members."""
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
        {"offsets": np.array([2, *np.cumsum(SIZES)])},
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
    assert isinstance(
        failure_of(write_encoded(tmp_path / "x.h5", **members)), (FormatError, CorruptRecordError)
    )


def test_encoded_file_that_is_sound(tmp_path):
    assert failure_of(write_encoded(tmp_path / "x.h5")) is None


@pytest.mark.parametrize("layout", ["encoded", "pixels"])
@pytest.mark.parametrize("part", [0, 0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_truncated_hdf5(tmp_path, layout, part):
    for i, image in enumerate(IMAGES):
        (tmp_path / f"{i}.jpg").write_bytes(image)
    size = (30, 40) if layout == "pixels" else None
    fastpack.pack(
        ImageFiles([tmp_path / f"{i}.jpg" for i in range(4)]),
        tmp_path / "x.h5",
        PackOptions(layout=layout, size=size),
    )
    data = (tmp_path / "x.h5").read_bytes()
    (tmp_path / "x.h5").write_bytes(data[: int(part * len(data))])
    assert isinstance(failure_of(tmp_path / "x.h5"), FormatError)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"\x89HDF\r\n\x1a\n",
        b"\x89HDF\r\n\x1a\n" + bytes(5000),
        bytes(600) + b"\x89HDF\r\n\x1a\n",
    ],
)
def test_no_hdf5(tmp_path, content):
    (tmp_path / "x.h5").write_bytes(content)
    assert isinstance(failure_of(tmp_path / "x.h5"), FormatError)


@pytest.mark.parametrize(
    "members",
    [{}, {"labels": np.arange(3)}, {"images": np.zeros((3, 4))}, {"a/b/labels": np.arange(3)}],
)
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
    with pytest.raises((LimitError, FormatError), match=r"x\.h5"):
        fastpack.open(tmp_path / "x.h5", save_index=False)


# Files that point at other files, whose bytes must never be seen

SECRET = photo(8, 8, seed=99)[None].repeat(4, axis=0)


@pytest.fixture
def secret(tmp_path):
    """A file in a folder of its own that no argument names: plain bytes, or a dataset in HDF5."""
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "secret.bin").write_bytes(SECRET.tobytes() + b"".join(IMAGES))
    with h5py.File(tmp_path / "private" / "secret.h5", "w") as f:
        f["images"] = SECRET
        f["labels"] = f["offsets"] = np.arange(4)
        f["bytes"] = np.frombuffer(b"".join(IMAGES), np.uint8)
        f["encoded/bytes"] = f["bytes"][:]
        f["encoded/offsets"] = np.cumsum([0, *SIZES])
        f["class_names"] = [b"secret"] * 4
    return tmp_path / "private" / "secret"


def external_storage(f, name, shape, dtype, secret, source):
    size = int(np.prod(shape)) * 16  # of a variable-length value, and more than of any other
    f.create_dataset(name, shape, dtype, external=[(f"{secret}.bin", 0, size)])


def external_link(f, name, shape, dtype, secret, source):
    f[name] = h5py.ExternalLink(f"{secret}.h5", source)


def virtual_dataset(f, name, shape, dtype, secret, source):
    layout = h5py.VirtualLayout(shape, dtype)
    layout[:] = h5py.VirtualSource(f"{secret}.h5", source, shape)
    f.create_virtual_dataset(name, layout)


def link_to_an_external_link(f, name, shape, dtype, secret, source):
    f["elsewhere"] = h5py.ExternalLink(f"{secret}.h5", "/")
    f[name] = h5py.SoftLink(f"/elsewhere/{source}")


each_way_out = pytest.mark.parametrize(
    "way_out", [external_storage, external_link, virtual_dataset, link_to_an_external_link]
)


@each_way_out
def test_images_elsewhere(tmp_path, secret, way_out):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        way_out(f, "images", SECRET.shape, np.uint8, secret, "images")
        f["labels"] = np.arange(4)
    assert isinstance(failure_of(tmp_path / "x.h5"), FormatError)


@each_way_out
@pytest.mark.parametrize("name", ["labels", "class_names"])
def test_columns_elsewhere(tmp_path, secret, way_out, name):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f["images"] = np.zeros((4, 5, 5, 3), np.uint8)
        way_out(f, name, (4,), "S8" if name == "class_names" else np.int64, secret, name)
    if failure_of(tmp_path / "x.h5") is None:
        reader = fastpack.open(tmp_path / "x.h5")
        assert list(reader.columns) == []
        assert reader.class_names == ()


@each_way_out
@pytest.mark.parametrize("name", ["bytes", "offsets"])
def test_encoded_images_elsewhere(tmp_path, secret, way_out, name):
    write_encoded(tmp_path / "x.h5", **{name: None})
    with h5py.File(tmp_path / "x.h5", "r+") as f:
        shape, dtype = ((sum(SIZES),), np.uint8) if name == "bytes" else ((4,), np.int64)
        way_out(f, f"images/{name}", shape, dtype, secret, name)
    assert isinstance(failure_of(tmp_path / "x.h5"), FormatError)


def test_a_group_elsewhere(tmp_path, secret):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f["images"] = h5py.ExternalLink(f"{secret}.h5", "/encoded")
        f["labels"] = np.arange(4)
    assert isinstance(failure_of(tmp_path / "x.h5"), FormatError)


@each_way_out
def test_jpegs_elsewhere(tmp_path, secret, way_out):
    with h5py.File(f"{secret}.h5", "r+") as f:
        dataset = f.create_dataset("jpegs", (4,), h5py.vlen_dtype(np.uint8))
        for i, image in enumerate(IMAGES):
            dataset[i] = np.frombuffer(image, np.uint8)
    with h5py.File(tmp_path / "x.h5", "w") as f:
        way_out(f, "images", (4,), h5py.vlen_dtype(np.uint8), secret, "jpegs")
    assert isinstance(failure_of(tmp_path / "x.h5"), FormatError)


# Tables of chunks that lie

CHUNKED = np.stack([photo(16, 16, seed=seed) for seed in range(6)])


def write_chunked(path, **options):
    """The file's bytes, and where each of its three chunks begins."""
    with h5py.File(path, "w") as f:
        dataset = f.create_dataset("images", data=CHUNKED, chunks=(2, 16, 16, 3), **options)
        f["labels"] = np.arange(6)
        offsets = [dataset.id.get_chunk_info(number).byte_offset for number in range(3)]
        sizes = [dataset.id.get_chunk_info(number).size for number in range(3)]
    return bytearray(path.read_bytes()), offsets, sizes


def replaced(data, old, new, width, *, behind=b""):
    """Replaces a number that occurs once before the bytes `behind`."""
    assert data.count(old.to_bytes(width, "little") + behind) == 1
    return data.replace(
        old.to_bytes(width, "little") + behind, new.to_bytes(width, "little") + behind
    )


each_way_of_chunks = pytest.mark.parametrize(
    "options", [{"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}, {}]
)


@each_way_of_chunks
@pytest.mark.parametrize("offset", [2**16, 2**40, 2**62, 2**64 - 2])
def test_a_chunk_past_the_end(tmp_path, options, offset):
    data, offsets, _ = write_chunked(tmp_path / "x.h5", **options)
    (tmp_path / "x.h5").write_bytes(replaced(data, offsets[1], offset, 8))
    assert isinstance(failure_of(tmp_path / "x.h5"), (FormatError, CorruptRecordError))


@each_way_of_chunks
def test_chunks_at_the_same_offset(tmp_path, options):
    data, offsets, _ = write_chunked(tmp_path / "x.h5", **options)
    (tmp_path / "x.h5").write_bytes(replaced(data, offsets[1], offsets[2], 8))
    assert isinstance(failure_of(tmp_path / "x.h5"), FormatError)


@pytest.mark.parametrize("change", [-1, -100, 50, 2**20, 2**31])
def test_a_chunk_of_another_size(tmp_path, change):
    data, _, sizes = write_chunked(tmp_path / "x.h5", compression="gzip")
    mask_and_corner = bytes(4) + (2).to_bytes(8, "little") + bytes(8)
    (tmp_path / "x.h5").write_bytes(
        replaced(data, sizes[1], sizes[1] + change, 4, behind=mask_and_corner)
    )
    assert isinstance(failure_of(tmp_path / "x.h5"), (FormatError, CorruptRecordError))


@each_way_of_chunks
def test_a_chunk_whose_bytes_changed(tmp_path, options):
    if "shuffle" in options or not options:
        return  # nothing shows it
    data, offsets, _ = write_chunked(tmp_path / "x.h5", **options)
    data[offsets[1] + 20] ^= 16
    (tmp_path / "x.h5").write_bytes(data)
    error = failure_of(tmp_path / "x.h5")
    assert isinstance(error, CorruptRecordError)
    assert "record 2, byte" in str(error)
    reader = fastpack.open(tmp_path / "x.h5")
    assert (reader.read([0, 1, 5])["image"] == CHUNKED[[0, 1, 5]]).all()


def test_a_chunk_that_inflates_to_more_than_it_says(tmp_path):
    """As much as is claimed is decoded, and not a byte more."""
    write_chunked(tmp_path / "x.h5", compression="gzip")
    with h5py.File(tmp_path / "x.h5", "r+") as f:
        f["images"].id.write_direct_chunk((2, 0, 0, 0), zlib.compress(bytes(10**8)))
    with pytest.raises(CorruptRecordError, match=r"x\.h5, record 2"):
        fastpack.open(tmp_path / "x.h5").read([1, 2, 3])


def test_a_chunk_that_inflates_to_less_than_it_says(tmp_path):
    write_chunked(tmp_path / "x.h5", compression="gzip")
    with h5py.File(tmp_path / "x.h5", "r+") as f:
        f["images"].id.write_direct_chunk((2, 0, 0, 0), zlib.compress(bytes(1000)))
    with pytest.raises(CorruptRecordError, match=r"x\.h5, record 3"):
        fastpack.open(tmp_path / "x.h5").read([1, 3])


def test_chunks_that_would_fill_the_memory(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        dataset = f.create_dataset(
            "images", (4, 2**14, 2**14, 1), "u1", chunks=(4, 2**14, 2**14, 1), compression="gzip"
        )
        dataset.id.write_direct_chunk((0, 0, 0, 0), zlib.compress(bytes(1000)))
    with pytest.raises(LimitError, match=r"max_chunk_bytes.*x\.h5"):
        registry.named("hdf5").index(tmp_path / "x.h5", limits=Limits(max_chunk_bytes=2**30 - 1))
    assert isinstance(failure_of(tmp_path / "x.h5"), CorruptRecordError)


CHUNKS = "chunk/0/image"


def set_shape(name, *sizes):
    def change(tables):
        tables[f"{CHUNKS}/shape"][name] = np.array(sizes)
        return tables

    return change


def with_sizes(*sizes):
    """Both shapes of this rank."""
    return lambda tables: (
        tables | {f"{CHUNKS}/shape": {"dataset": np.array(sizes), "chunk": np.array(sizes)}}
    )


def set_values(table, change):
    return lambda tables: (
        tables | {f"{CHUNKS}{table}": {"value": change(tables[f"{CHUNKS}{table}"]["value"])}}
    )


@pytest.mark.parametrize(
    "change",
    [
        set_shape("chunk", 2, 16, 16, 2),
        set_shape("chunk", 2**40, 16, 16, 3),
        set_shape("chunk", 0, 16, 16, 3),
        set_shape("dataset", 6, 16, 16, 4),
        set_shape("dataset", 5, 16, 16, 3),
        set_shape("dataset", 6, -16, -16, 3),
        set_shape("dataset", 6.0, 16, 16, 3),
        set_shape("dataset", 2**62, 2**62, 2**62, 2**62),
        with_sizes(6, 16, 16),
        with_sizes(),
        set_values("", lambda chunks: chunks[:2]),
        set_values("", lambda chunks: chunks["offset"]),
        set_values("/filters", lambda filters: np.zeros(1, filters.dtype)),
        set_values("/filters", lambda filters: np.repeat(filters, 9)),
        set_values("/filters", lambda filters: np.arange(1)),
        set_values("/fill", lambda fill: np.zeros(2, np.uint8)),
        set_values("/fill", lambda fill: np.zeros(0, np.uint8)),
        set_values("/fill", lambda fill: np.zeros(1, np.int64)),
        lambda tables: {name: tables[name] for name in tables if name != CHUNKS},
        lambda tables: {name: tables[name] for name in tables if name != f"{CHUNKS}/fill"},
    ],
)
def test_saved_tables_that_lie(tmp_path, change):
    """An index is checked when its rows are read; a bad one is built again."""
    path = tmp_path / "x.h5"
    write_chunked(path, compression="gzip")
    fastpack.open(path)
    saved = SavedTables(index_path(path))
    saved.tables = change(saved.tables)
    saved.save(index_path(path))
    with pytest.raises(FormatError):
        load_index(index_path(path))
    assert (fastpack.open(path).read([5, 0])["image"] == CHUNKED[[5, 0]]).all()


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: None if name == f"{CHUNKS}/shape" else name,
        lambda name: None if name.startswith(CHUNKS) else name,
        lambda name: name.replace("chunk/0", "chunk/9"),
    ],
)
def test_records_without_saved_chunks_are_read_by_hdf5(tmp_path, rename):
    path = tmp_path / "x.h5"
    write_chunked(path, compression="gzip")
    fastpack.open(path)
    saved = SavedTables(index_path(path))
    saved.tables = {rename(name): saved.tables[name] for name in saved.tables if rename(name)}
    saved.save(index_path(path))
    assert (fastpack.open(path).read([5, 0])["image"] == CHUNKED[[5, 0]]).all()
