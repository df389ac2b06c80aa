"""HDF5 files of other programs: their images are found, and read as h5py reads them."""

import h5py
import numpy as np
import pytest

import fastpack
from fastpack.core.dtypes import NO_SPAN
from fastpack.errors import FormatError, MissingFileError, SchemaError, TruncatedFileError
from fastpack.formats.hdf5.container import HDF5
from tests.support.images import photo
from tests.support.paths import GOLDEN
from tests.support.subprocesses import run_python

IMAGES = np.stack([photo(12, 10, seed=seed) for seed in range(9)])
LABELS = np.arange(9)


def write(path, members, **options):
    with h5py.File(path, "w", **options) as f:
        for name, values in members.items():
            f[name] = values
    return path


def fields_of(reader):
    return {field.name: field.source_name for field in reader.schema.fields}


# Which arrays


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {"train/images": IMAGES, "train/labels": LABELS},
            {"image": "train/images", "label": "train/labels"},
        ),
        ({"a/b/c/X": IMAGES, "a/b/c/y": LABELS[:, None]}, {"X": "a/b/c/X", "y": "a/b/c/y"}),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:4], "y_test": LABELS[:4]},
            {"x_train": "x_train", "y_train": "y_train"},
        ),
        (
            {"train/x": IMAGES, "train/y": LABELS, "test/x": IMAGES[:3], "test/y": LABELS[:3]},
            {"x": "train/x", "y": "train/y"},
        ),
        (
            {"train_set_x": IMAGES, "train_set_y": LABELS, "list_classes": [b"a", b"b"]},
            {"train_set_x": "train_set_x", "train_set_y": "train_set_y"},
        ),
        (
            {"images": IMAGES[..., 0], "masks": IMAGES[..., 1]},
            {"image": "images", "masks": "masks"},
        ),
        ({"images": IMAGES, "deep/images": np.stack([IMAGES[0]] * 20)}, {"image": "images"}),
    ],
)
def test_guessed_fields(tmp_path, members, expected):
    reader = fastpack.open(write(tmp_path / "x.h5", members))
    assert fields_of(reader) == expected
    batch = reader.read([8, 0, 3])
    for name, path in expected.items():
        assert (
            batch[name]
            == np.squeeze(
                members[path][[8, 0, 3]], axis=1 if members[path].shape[1:] == (1,) else ()
            )
        ).all()


TWO_SETS = {
    "train/x": IMAGES,
    "train/y": LABELS,
    "test/x": IMAGES[:3] // 2,
    "test/y": LABELS[:3, None] * 2,
}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["test/x", "test/y"], {"test/x": "test/x", "test/y": "test/y"}),
        ({"image": "/test/x", "label": "test/y"}, {"image": "test/x", "label": "test/y"}),
        (["x", "y"], {"x": "train/x", "y": "train/y"}),
        ({"image": "test/x"}, {"image": "test/x"}),
    ],
)
def test_chosen_fields(tmp_path, fields, expected):
    path = write(tmp_path / "x.h5", TWO_SETS)
    for _ in range(2):
        reader = fastpack.open(path, fields=fields)
        assert fields_of(reader) == expected
        batch = reader.read([2, 0])
        for name, source in expected.items():
            assert (batch[name] == TWO_SETS[source][[2, 0]].reshape(batch[name].shape)).all()
    assert fields_of(fastpack.open(path)) == {"x": "train/x", "y": "train/y"}


@pytest.mark.parametrize("fields", [["train/x", "test/y"], ["train/x", "test/x"]])
def test_fields_of_different_lengths_are_refused(tmp_path, fields):
    with pytest.raises(FormatError, match=r"samples.*x\.h5"):
        fastpack.open(write(tmp_path / "x.h5", TWO_SETS), fields=fields)


def test_fields_that_are_not_there(tmp_path):
    with pytest.raises(SchemaError, match=r"test/x.*train/y"):
        fastpack.open(write(tmp_path / "x.h5", TWO_SETS), fields=["validation/x"])


def test_what_is_no_column_is_reported(tmp_path):
    path = write(
        tmp_path / "x.h5",
        {"images": IMAGES, "when": np.zeros(len(IMAGES), [("day", "i4"), ("hour", "i4")])},
    )
    assert [
        line
        for line in HDF5.explain(path)
        if line.startswith("when: left out; [('day', '<i4'), ('hour', '<i4')]")
    ]
    with pytest.raises(SchemaError, match="'when' cannot be a field"):
        fastpack.open(path, fields=["images", "when"])


def test_numbers_that_no_column_can_hold(tmp_path):
    numbers = np.arange(len(IMAGES), dtype=np.uint64) + np.uint64(2**63 - 2)
    path = write(tmp_path / "x.h5", {"images": IMAGES, "labels": numbers})
    with pytest.raises(FormatError, match="labels has numbers above"):
        fastpack.open(path)
    assert len(fastpack.open(path, fields=["images"])) == len(IMAGES)
    path = write(
        tmp_path / "y.h5",
        {"images": IMAGES, "labels": numbers[:2].repeat(len(IMAGES))[: len(IMAGES)]},
    )
    assert fastpack.open(path).columns["label"][0] == 2**63 - 2


def test_what_is_left_out_is_reported(tmp_path):
    path = write(tmp_path / "x.h5", TWO_SETS)
    with h5py.File(path, "r+") as f:
        f.create_dataset(
            "train/z", data=IMAGES, chunks=(2, 12, 10, 3), compression="gzip", shuffle=True
        )
        f.create_dataset("train/w", data=IMAGES, chunks=(2, 12, 10, 3), scaleoffset=0)
    lines = {line.partition(":")[0]: line for line in HDF5.explain(path)}
    assert "at each sample's offset" in lines["train/x"]
    assert "3 samples" in lines["test/x"]
    assert "shuffle, gzip; read chunk by chunk" in lines["train/z"]
    assert "HDF5's library" in lines["train/w"]
    assert "scaleoffset" in lines["train/w"]


def test_groups_that_hold_one_another(tmp_path):
    path = write(tmp_path / "x.h5", {"a/images": IMAGES})
    with h5py.File(path, "r+") as f:
        f["a/again"] = f["a"]
        f["a/root"] = f["/"]
        f["a/soft"] = h5py.SoftLink("/a")
    assert (fastpack.open(path).read([4])["image"] == IMAGES[[4]]).all()


# How they lie


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<f4", ">f8"])
def test_channels_first(tmp_path, dtype):
    images = IMAGES.transpose(0, 3, 1, 2).astype(dtype)
    got = fastpack.open(write(tmp_path / "x.h5", {"images": images})).read([3, 1])["image"]
    assert got.shape == (2, 3, 12, 10)
    assert (got == images[[3, 1]]).all()


@pytest.mark.parametrize("chunks", [(3, 12, 10, 3), (2, 5, 4, 2)])
@pytest.mark.parametrize(
    "maxshape",
    [None, (None, 12, 10, 3), (None, None, 10, 3), (20, 12, 10, 3)],
    ids=["fixed", "one unlimited", "two unlimited", "limited"],
)
@pytest.mark.parametrize("filtered", [False, True])
def test_every_kind_of_chunk_index(tmp_path, chunks, maxshape, filtered):
    options = {"compression": "gzip"} if filtered else {}
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as f:
        dataset = f.create_dataset(
            "images", data=IMAGES, chunks=chunks, maxshape=maxshape, **options
        )
        if maxshape == (None, 12, 10, 3):
            f.swmr_mode = True
            dataset[4:6] = IMAGES[6:8]
            dataset.flush()
        expected = dataset[:]
    reader = fastpack.open(tmp_path / "x.h5")
    assert (reader.read([8, 0, 4, 5])["image"] == expected[[8, 0, 4, 5]]).all()
    assert bool(reader.index.chunks.get("image")) == (filtered or chunks != (3, 12, 10, 3))


def test_one_chunk_for_all(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as f:
        f.create_dataset("images", data=IMAGES, chunks=IMAGES.shape, compression="gzip")
    assert (fastpack.open(tmp_path / "x.h5").read([8, 0, 4])["image"] == IMAGES[[8, 0, 4]]).all()


def test_chunks_larger_than_the_dataset(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f.create_dataset(
            "images", data=IMAGES, chunks=(16, 20, 16, 4), maxshape=(None,) * 4, compression="gzip"
        )
    assert (fastpack.open(tmp_path / "x.h5").read([8, 0])["image"] == IMAGES[[8, 0]]).all()


def test_a_dataset_that_shrank(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        dataset = f.create_dataset(
            "images",
            data=IMAGES,
            chunks=(2, 12, 10, 3),
            maxshape=(None, 12, 10, 3),
            compression="gzip",
        )
        dataset.resize(5, axis=0)
    reader = fastpack.open(tmp_path / "x.h5")
    assert len(reader) == 5
    assert (reader.read(range(5))["image"] == IMAGES[:5]).all()


def test_compact_layout(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_layout(h5py.h5d.COMPACT)
        h5py.h5d.create(
            f.id, b"images", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple(IMAGES.shape), creation
        )
        f["images"][...] = IMAGES
    assert (fastpack.open(tmp_path / "x.h5").read([8, 2])["image"] == IMAGES[[8, 2]]).all()


def test_a_grid_that_is_nearly_empty(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        dataset = f.create_dataset(
            "images", (300, 64, 64, 3), "u1", chunks=(1, 8, 8, 1), compression="gzip", fillvalue=5
        )
        dataset[7] = 9
        expected = dataset[[0, 7]]
    reader = fastpack.open(tmp_path / "x.h5")
    assert (reader.read([0, 7])["image"] == expected).all()
    assert "never written" in HDF5.explain(tmp_path / "x.h5")[0]


def test_matlab(tmp_path):
    """Version 7.3: HDF5 after a block of text, with reversed axes."""
    images = np.asfortranarray(np.moveaxis(IMAGES, 0, -1)).T
    path = write(
        tmp_path / "x.h5",
        {"images": images, "labels": LABELS[None].T.astype("f8")},
        userblock_size=512,
    )
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\x02IM")
    batch = fastpack.open(path).read([5, 1])
    assert (batch["image"] == images[[5, 1]]).all()
    assert batch["label"].tolist() == [5, 1]


# In other files


def write_sources(folder, name="images"):
    folder.mkdir(exist_ok=True)
    for i, options in enumerate(
        [{}, {"chunks": (2, 12, 10, 3), "compression": "gzip"}, {"chunks": (2, 5, 10, 3)}]
    ):
        with h5py.File(folder / f"part{i}.h5", "w") as f:
            f.create_dataset(name, data=IMAGES[3 * i : 3 * i + 3], **options)


def write_virtual_dataset(path, folder="", num_samples=9):
    layout = h5py.VirtualLayout((num_samples, 12, 10, 3), "u1")
    for i in range(3):
        layout[3 * i : 3 * i + 3] = h5py.VirtualSource(
            f"{folder}part{i}.h5", "images", (3, 12, 10, 3)
        )
    with h5py.File(path, "w") as f:
        f.create_virtual_dataset("images", layout, fillvalue=3)
        f["labels"] = np.arange(num_samples)
    return path


def test_a_virtual_dataset_of_files_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sources(tmp_path)
    path = write_virtual_dataset(tmp_path / "all.h5", num_samples=11)
    with h5py.File(path) as f:
        expected = f["images"][:]
    rows = [10, 0, 4, 8, 4, 2, 9]
    for _ in range(2):
        reader = fastpack.open(path)
        batch = reader.read(rows)
        assert (batch["image"] == expected[rows]).all()
        assert batch["label"].tolist() == rows
    assert "part1.h5, record 1" in str(reader.location(4))


def test_a_source_that_changes(tmp_path):
    write_sources(tmp_path)
    path = write_virtual_dataset(tmp_path / "all.h5")
    fastpack.open(path)
    with h5py.File(tmp_path / "part1.h5", "r+") as f:
        f["images"][:] = IMAGES[::-1][:3]
    assert (fastpack.open(path).read([3, 4])["image"] == IMAGES[::-1][:2]).all()


def test_virtual_datasets_of_files_elsewhere(tmp_path):
    write_sources(tmp_path / "parts")
    path = write_virtual_dataset(tmp_path / "all.h5", "parts/")
    with pytest.raises(FormatError, match=r"allow_external.*all\.h5"):
        fastpack.open(path)
    assert (fastpack.open(path, allow_external=True).read([7, 1])["image"] == IMAGES[[7, 1]]).all()
    with pytest.raises(FormatError, match="allow_external"):
        fastpack.open(path)


def test_a_source_that_is_not_there(tmp_path):
    """HDF5's library fills in for it without a word."""
    write_sources(tmp_path)
    (tmp_path / "part2.h5").unlink()
    with pytest.raises(MissingFileError, match=r"part2\.h5"):
        fastpack.open(write_virtual_dataset(tmp_path / "all.h5"))


def test_a_source_beside_it_that_is_a_link_to_elsewhere(tmp_path):
    write_sources(tmp_path)
    (tmp_path / "private").mkdir()
    (tmp_path / "part0.h5").rename(tmp_path / "private" / "part0.h5")
    (tmp_path / "part0.h5").symlink_to(tmp_path / "private" / "part0.h5")
    with pytest.raises(FormatError, match="allow_external"):
        fastpack.open(write_virtual_dataset(tmp_path / "all.h5"))


def test_virtual_datasets_of_virtual_datasets(tmp_path):
    write_sources(tmp_path)
    write_virtual_dataset(tmp_path / "part9.h5")
    layout = h5py.VirtualLayout((9, 12, 10, 3), "u1")
    layout[:] = h5py.VirtualSource("part9.h5", "images", (9, 12, 10, 3))
    with h5py.File(tmp_path / "all.h5", "w") as f:
        f.create_virtual_dataset("images", layout)
    with pytest.raises(FormatError, match=r"part9\.h5"):
        fastpack.open(tmp_path / "all.h5")


@pytest.mark.parametrize("source", [np.s_[:, ::2], np.s_[:, :, :5]])
def test_virtual_datasets_of_parts_of_samples(tmp_path, source):
    write_sources(tmp_path)
    layout = h5py.VirtualLayout((3, 12, 10, 3), "u1")
    origin = h5py.VirtualSource("part0.h5", "images", (3, 12, 10, 3))
    layout[source] = origin[source]
    with h5py.File(tmp_path / "all.h5", "w") as f:
        f.create_virtual_dataset("images", layout)
    with pytest.raises(FormatError, match="parts of samples"):
        fastpack.open(tmp_path / "all.h5")


def write_external(path, folder=""):
    sample = IMAGES[0].nbytes
    (path.parent / folder).mkdir(exist_ok=True)
    (path.parent / folder / "a.bin").write_bytes(IMAGES[:4].tobytes())
    (path.parent / folder / "b.bin").write_bytes(b"head" + IMAGES[4:].tobytes())
    with h5py.File(path, "w") as f:
        external = [(f"{folder}a.bin", 0, 4 * sample), (f"{folder}b.bin", 4, h5py.h5f.UNLIMITED)]
        f.create_dataset("images", IMAGES.shape, "u1", external=external)
    return path


def test_external_storage_beside_it(tmp_path, monkeypatch):
    path = write_external(tmp_path / "x.h5")
    monkeypatch.chdir(tmp_path)  # where HDF5's library looks for the files
    with h5py.File(path) as f:
        assert (f["images"][:] == IMAGES).all()
    assert (fastpack.open(path).read(range(8, -1, -1))["image"] == IMAGES[::-1]).all()


def test_external_storage_elsewhere(tmp_path):
    path = write_external(tmp_path / "x.h5", "raw/")
    with pytest.raises(FormatError, match=r"allow_external.*x\.h5"):
        fastpack.open(path)
    assert (fastpack.open(path, allow_external=True).read([8, 0])["image"] == IMAGES[[8, 0]]).all()


def test_external_storage_that_is_too_short(tmp_path):
    """HDF5's library reads zeros past the end."""
    path = write_external(tmp_path / "x.h5")
    (tmp_path / "b.bin").write_bytes(b"head" + IMAGES[4:6].tobytes())
    with pytest.raises(TruncatedFileError, match=r"b\.bin"):
        fastpack.open(path)


# Allocation, and what is being written


@pytest.mark.parametrize("chunks", [None, (1, 12, 10, 3), (4, 12, 10, 3), (4, 5, 10, 3)])
@pytest.mark.parametrize("moment", ["ALLOC_TIME_EARLY", "ALLOC_TIME_INCR", "ALLOC_TIME_LATE"])
def test_whenever_the_library_allocates(tmp_path, moment, chunks):
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_fill_value(np.asarray(9, np.uint8))
    if chunks:
        creation.set_chunk(chunks)
    creation.set_alloc_time(getattr(h5py.h5d, moment))
    with h5py.File(tmp_path / "x.h5", "w") as f:
        h5py.h5d.create(
            f.id, b"images", h5py.h5t.STD_U8LE, h5py.h5s.create_simple(IMAGES.shape), creation
        )
        f["images"][2:5] = IMAGES[2:5]
        expected = f["images"][:]
    assert (fastpack.open(tmp_path / "x.h5").read(range(9))["image"] == expected).all()


READ_SUM = """
import sys, fastpack
reader = fastpack.open(sys.argv[1])
print(len(reader), reader.read(range(len(reader)))["image"].sum())
"""


def test_a_file_that_is_being_written(tmp_path):
    """Single writer, many readers: flushed data is read while the writer continues."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver="latest") as f:
        images = f.create_dataset(
            "images",
            (0, *IMAGES.shape[1:]),
            np.uint8,
            maxshape=(None, *IMAGES.shape[1:]),
            chunks=(2, 12, 10, 3),
        )
        f.swmr_mode = True
        for count in (5, 9):
            images.resize(count, 0)
            images[:] = IMAGES[:count]
            images.flush()
            assert (fastpack.open(path).read(range(count))["image"] == IMAGES[:count]).all()
            assert run_python(READ_SUM, path) == f"{count} {IMAGES[:count].sum()}\n"


# Files of h5py 3.16 with HDF5 2.0, by default and with `libver="v200"`

PIXELS_2_0 = np.random.default_rng(0).integers(0, 255, (6, 4, 5, 3), np.uint8)


@pytest.mark.parametrize("group", ["plain", "gzip", "growing", "rows"])
@pytest.mark.parametrize("name", ["hdf5-2.0.h5", "hdf5-2.0-newest.h5"])
def test_what_hdf5_2_wrote(name, group):
    path = GOLDEN / "others" / name
    if name == "hdf5-2.0-newest.h5" and h5py.version.hdf5_version_tuple < (2, 0, 0):
        with pytest.raises(FormatError, match="install a newer h5py"):
            fastpack.open(path, fields=[f"{group}/images"], save_index=False)
        return
    reader = fastpack.open(
        path, fields={"image": f"{group}/images"}, save_index=False, decode=False
    )
    images = reader.read([5, 0, 2])["image"]
    if group == "rows":
        assert [images.bytes(i) for i in range(3)] == [
            PIXELS_2_0[row].tobytes()[: 10 * row] for row in (5, 0, 2)
        ]
    else:
        assert (images == PIXELS_2_0[[5, 0, 2]]).all()


# Untrusted


def test_untrusted_files_are_read_alike(tmp_path):
    path = write(tmp_path / "x.h5", TWO_SETS)
    reader = fastpack.open(path, untrusted=True)
    assert (reader.read([8, 3])["x"] == IMAGES[[8, 3]]).all()
    assert fields_of(fastpack.open(path, untrusted=True, fields=["test/x"])) == {"test/x": "test/x"}


def test_untrusted_files_meet_the_same_errors(tmp_path):
    with pytest.raises(FormatError, match=r"no dataset of images.*x\.h5"):
        fastpack.open(write(tmp_path / "x.h5", {"labels": LABELS}), untrusted=True)


def test_untrusted_files_are_not_read_by_the_library(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f.create_dataset("images", data=IMAGES, scaleoffset=0)
    with pytest.raises(FormatError, match=r"library.*x\.h5"):
        fastpack.open(tmp_path / "x.h5", untrusted=True)


def test_no_span_is_lost(tmp_path):
    reader = fastpack.open(write(tmp_path / "x.h5", TWO_SETS))
    assert (reader.index.spans["x"]["offset"] != NO_SPAN).all()
