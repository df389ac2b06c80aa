"""Saved indexes: their file, where they are kept, and how many of them are built at once."""

import os
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastpack
from fastpack import build_indexes
from fastpack.core import Ragged, Text
from fastpack.core.dtypes import SPAN
from fastpack.errors import (
    CorruptRecordError,
    FormatError,
    MissingFileError,
    SchemaError,
    UnreadableFileError,
)
from fastpack.files.companions import index_path
from fastpack.files.npz import load_npz, save_npz
from fastpack.formats.dataset_indexes import index_files
from fastpack.formats.file_index import FileIndex
from fastpack.formats.index.index_file import load_index
from fastpack.formats.shard_indexes import Opening
from fastpack.formats.tfrecord.idx import read_offsets, write_offsets
from tests.support.images import jpeg
from tests.support.tars import samples, write_tar
from tests.support.wire import bytes_list, entry, example, frame, int_list

IMAGE = jpeg(24, 20)
RECORDS = [
    frame(example(entry(b"image", bytes_list(IMAGE[: 600 + i])), entry(b"label", int_list(i))))
    for i in range(5)
]


def write_shards(folder, count=4):
    paths = [folder / f"x-{i}.tfrecord" for i in range(count)]
    for i, path in enumerate(paths):
        path.write_bytes(b"".join(RECORDS[: i + 1]))
    return paths


# The file

dtypes = st.sampled_from(["<i8", "<f4", "|u1", "<u4", SPAN])
array_lists = st.lists(st.tuples(dtypes, st.lists(st.integers(0, 9), max_size=3)), max_size=6)


@given(array_lists)
def test_npz_round_trip_and_numpy(tmp_path_factory, shapes):
    path = tmp_path_factory.mktemp("t") / "x.npz"
    random = np.random.default_rng(0)
    arrays = {}
    for i, (dtype, shape) in enumerate(shapes):
        count = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        arrays[f"a/{i}"] = np.frombuffer(random.bytes(count), np.uint8).view(dtype).reshape(shape)
    save_npz(path, arrays)
    loaded = load_npz(path)
    with np.load(path, allow_pickle=False) as by_numpy:
        assert list(loaded) == list(by_numpy) == list(arrays)
        for name, array in arrays.items():
            for found in (loaded[name], by_numpy[name]):
                assert (found.dtype, found.shape, found.tobytes()) == (
                    array.dtype,
                    array.shape,
                    array.tobytes(),
                )
            assert loaded[name].ctypes.data % 8 == 0


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    for name in "ab":
        save_npz(tmp_path / name, {"x": np.arange(5), "y": np.zeros(3)})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_numpy_writes_is_read_too(tmp_path):
    np.savez(tmp_path / "x.npz", numbers=np.arange(7), bytes=np.arange(3, dtype=np.uint8))
    assert {name: array.tolist() for name, array in load_npz(tmp_path / "x.npz").items()} == {
        "numbers": [*range(7)],
        "bytes": [0, 1, 2],
    }


def test_npz_of_fields_within_fields(tmp_path):
    dtype = np.dtype(
        [
            ("place", [("offset", "<u8"), ("crc32c", ">u4")]),
            ("sides", "<i2", (2, 3)),
            ("kind", "S4"),
        ]
    )
    arrays = {
        "records": np.arange(7 * dtype.itemsize).astype(np.uint8).view(dtype),
        "big": np.arange(3, dtype=">f4"),
        "none": np.zeros((0, 2)),
    }
    np.savez(tmp_path / "x.npz", **arrays)
    loaded = load_npz(tmp_path / "x.npz")
    assert {name: (array.dtype, array.shape) for name, array in loaded.items()} == {
        name: (a.dtype, a.shape) for name, a in arrays.items()
    }
    assert all(loaded[name].tobytes() == array.tobytes() for name, array in arrays.items())


def test_every_changed_byte_of_an_npz_is_noticed(tmp_path):
    path = tmp_path / "x.npz"
    save_npz(path, {"numbers": np.arange(20), "name": np.frombuffer(b"abc", np.uint8)})
    data = path.read_bytes()
    names = load_npz(path)
    for position in range(0, len(data), 3):
        changed = bytearray(data)
        changed[position] ^= 1
        path.write_bytes(changed)
        try:
            loaded = load_npz(path)
        except Exception as error:  # whatever zipfile throws; Index.load makes one error of all
            assert not isinstance(error, AssertionError)  # noqa: PT017
        else:
            assert all((loaded[name] == names[name]).all() for name in names), position


@pytest.mark.parametrize("array", [np.array([print], object), np.asfortranarray(np.ones((3, 4)))])
def test_arrays_that_an_index_never_has(tmp_path, array):
    np.savez(tmp_path / "x.npz", array=array)
    with pytest.raises(FormatError, match="array"):
        load_npz(tmp_path / "x.npz")


def test_compressed_npz(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(10**6))
    with pytest.raises(FormatError, match="compressed"):
        load_npz(tmp_path / "x.npz")


# Where indexes are kept


def test_index_dir(tmp_path):
    """Two shards of one name in two folders do not share an index."""
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in "ab":
        (tmp_path / name).mkdir()
    first, second = write_shards(tmp_path / "a")[3], write_shards(tmp_path / "b")[3]
    second.write_bytes(RECORDS[2])
    built = build_indexes([first, second], index_dir=kept)
    assert (built.num_samples, built.num_fresh, built.paths) == (5, 0, (first, second))
    assert built.index_bytes == sum(file.stat().st_size for file in kept.iterdir())
    assert len(list(kept.iterdir())) == 2
    assert not index_path(first).exists()
    again = index_files([first, second], Opening(kept))
    labels = [file.load().columns["label"].tolist() for file in again.files()]
    assert labels == [[0, 1, 2, 3], [2]]
    assert build_indexes([first, second], index_dir=kept).num_fresh == 2
    assert len(fastpack.open([first, second], index_dir=kept)) == 5


def test_open_keeps_indexes_in_the_index_dir(tmp_path):
    path = write_shards(tmp_path)[3]
    (tmp_path / "kept").mkdir()
    assert len(fastpack.open(path, index_dir=str(tmp_path / "kept"))) == 4
    assert FileIndex(path, tmp_path / "kept").saved() is not None
    assert FileIndex(path).saved() is None


def test_index_dir_by_another_way_to_the_file(tmp_path, monkeypatch):
    path = write_shards(tmp_path)[0]
    (tmp_path / "kept").mkdir()
    build_indexes(path, index_dir=tmp_path / "kept")
    monkeypatch.chdir(tmp_path)
    assert FileIndex(path.relative_to(tmp_path), tmp_path / "kept").saved() is not None


def test_a_folder_for_indexes_is_made(tmp_path):
    path = write_shards(tmp_path)[0]
    build_indexes(path, index_dir=tmp_path / "built" / "here")
    fastpack.open(path, index_dir=str(tmp_path / "opened"))
    assert [
        len(list(folder.iterdir())) for folder in (tmp_path / "built" / "here", tmp_path / "opened")
    ] == [1, 1]
    fastpack.open(path, index_dir=tmp_path / "not made", save_index=False)
    assert not (tmp_path / "not made").exists()


def test_a_folder_for_indexes_that_cannot_be_made(tmp_path):
    path = write_shards(tmp_path)[0]
    for use in (build_indexes, fastpack.open):
        with pytest.raises(UnreadableFileError, match="folder for the indexes"):
            use(path, index_dir=path / "in a file")


def columns_of(index):
    for column in (
        index.shard_numbers,
        index.record_numbers,
        *index.columns.values(),
        *index.spans.values(),
        *index.infos.values(),
    ):
        while isinstance(column, Ragged):
            yield column.offsets
            column = column.values
        yield column


def test_columns_cannot_be_written_to(tmp_path):
    samples = {
        "label": np.array([3, 4]),
        "key": Text.of(["a", "b"]),
        "boxes": Ragged(np.array([1.5, 2.5]), np.array([0, 0, 2])),
    }
    dataset = fastpack.open(write_shards(tmp_path), decode=False)
    arrays = [
        *columns_of(dataset.index),
        *columns_of(dataset[1:].index),
        *columns_of(dataset.take([1, 0]).index),
    ]
    index = replace(dataset.index, columns=samples)
    arrays += [*columns_of(index), index.columns["label"][1:], index.columns["boxes"][1]]
    assert not any(array.flags.writeable for array in arrays)
    samples["label"][0] = samples["boxes"].values[0] = 9  # what was given stays the giver's
    dataset.read([0])["label"][0] = 9


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path):
    path = write_shards(tmp_path)[0]
    tmp_path.chmod(0o555)
    try:
        assert len(fastpack.open(path)) == 1
        with pytest.raises(UnreadableFileError):
            build_indexes(path)
    finally:
        tmp_path.chmod(0o755)


def test_a_stale_or_damaged_index_is_built_again(tmp_path):
    first, second, third, *_ = write_shards(tmp_path)
    build_indexes([first, second, third])
    second.write_bytes(b"".join(RECORDS))
    index_path(third).write_bytes(b"no index")
    built = build_indexes([first, second, third])
    assert (built.num_fresh, built.num_samples) == (1, 1 + 5 + 3)
    assert len(load_index(index_path(third))) == 3


def test_rebuild(tmp_path):
    path = write_shards(tmp_path)[0]
    build_indexes(path)
    index_path(path).write_bytes(index_path(path).read_bytes())
    assert build_indexes(path, rebuild=True).num_fresh == 0


# Many at once


@pytest.mark.parametrize("num_workers", [1, 2, 7, None])
def test_shards_in_order_for_any_num_workers(tmp_path, num_workers):
    paths = write_shards(tmp_path, 5)
    seen = []
    built = build_indexes(
        paths[::-1],
        num_workers=num_workers,
        progress=lambda done, total, _: seen.append((done, total)),
    )
    total = sum(path.stat().st_size for path in paths)
    assert built.paths == tuple(paths[::-1])
    assert (built.num_samples, built.num_bytes) == (15, total)
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)
    assert [field.name for field in built.schema.fields] == ["image", "label"]


def test_progress_within_a_file(tmp_path, monkeypatch):
    path = write_shards(tmp_path)[-1]
    monkeypatch.setattr(
        "fastpack.formats.tfrecord.scan._WINDOW_BYTES", 1
    )  # as little as one record is read at a time
    seen = []
    build_indexes(path, progress=lambda done, total, _: seen.append(done))
    ends = [0, *np.cumsum([len(record) for record in RECORDS[:4]]).tolist()]
    assert seen == sorted(seen)
    assert sorted(set(seen)) == ends


@pytest.mark.parametrize("num_workers", [1, 4])
def test_the_first_damaged_shard_is_named(tmp_path, num_workers):
    paths = write_shards(tmp_path, 5)
    for number in (4, 2):
        data = bytearray(paths[number].read_bytes())
        data[100] ^= 1
        paths[number].write_bytes(data)
    with pytest.raises(CorruptRecordError, match=r"x-2\.tfrecord, record 0"):
        build_indexes(paths, num_workers=num_workers)


def test_of_failures_at_once_the_first_is_raised(tmp_path, monkeypatch):
    both = threading.Barrier(2)

    def failing(file, *options, **changes):
        both.wait(60)
        raise FormatError(file.path.name)

    monkeypatch.setattr(FileIndex, "open", failing)
    monkeypatch.setattr("fastpack.formats.dataset_indexes.num_cores", lambda: 2)
    with pytest.raises(FormatError, match="^a$"):
        index_files([tmp_path / "a", tmp_path / "b"], Opening())


def test_shards_that_do_not_fit_together(tmp_path):
    paths = write_shards(tmp_path, 2)
    paths[1].write_bytes(frame(example(entry(b"other", int_list(1)))))
    with pytest.raises(SchemaError, match="other"):
        build_indexes(paths)


def test_all_containers_at_once(tmp_path):
    write_tar(tmp_path / "a.tar", samples())
    fastpack.convert(tmp_path / "a.tar", tmp_path / "b.tfrecord")
    fastpack.convert(tmp_path / "a.tar", tmp_path / "c.h5")
    fastpack.extract(fastpack.open(tmp_path / "a.tar"), tmp_path / "files")
    built = {
        path.name: build_indexes(path)
        for path in (tmp_path / name for name in ("a.tar", "b.tfrecord", "c.h5", "files"))
    }
    assert {name: each.num_samples for name, each in built.items()} == dict.fromkeys(
        ("a.tar", "b.tfrecord", "c.h5", "files"), 4
    )


def test_nothing_there(tmp_path):
    with pytest.raises(MissingFileError):
        build_indexes(tmp_path / "nowhere.tfrecord")


# Others' lists of records


def test_offsets_are_those_of_the_frames(tmp_path):
    path = write_shards(tmp_path)[3]
    assert write_offsets(path, tmp_path / "x.idx") == 4
    ends = np.cumsum([len(record) for record in RECORDS[:4]])
    expected = [
        f"{end - len(record)} {len(record)}" for end, record in zip(ends, RECORDS, strict=False)
    ]
    assert (tmp_path / "x.idx").read_text() == "\n".join(expected) + "\n"
    assert read_offsets(path, tmp_path / "x.idx").tolist() == [0, 1, 2, 3]


def test_a_list_in_another_order_chooses_samples(tmp_path):
    path = write_shards(tmp_path)[3]
    write_offsets(path, tmp_path / "x.idx")
    lines = (tmp_path / "x.idx").read_text().splitlines()
    (tmp_path / "y.idx").write_text("\n".join([lines[2], lines[0], "", lines[2]]))
    dataset = fastpack.open(path, decode=False).take(read_offsets(path, tmp_path / "y.idx"))
    assert dataset.columns["label"].tolist() == [2, 0, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 5", "line 1"),
        ("5 5", "line 1"),
        ("99999999 1", "line 1"),
        ("-1 3", "line 1"),
        ("x y", "each line"),
        ("1 2 3", "each line"),
    ],
)
def test_lists_of_other_files(tmp_path, text, said):
    path = write_shards(tmp_path)[3]
    (tmp_path / "x.idx").write_text(text)
    with pytest.raises(FormatError, match=rf"{said}.*x\.idx"):
        read_offsets(path, tmp_path / "x.idx")


@pytest.mark.parametrize("text", ["1 2 3\n4 5 6", "1\n2", "9" * 40 + " 1", "\xff 1"])
def test_lists_that_are_none(tmp_path, text):
    path = write_shards(tmp_path)[3]
    (tmp_path / "x.idx").write_text(text)
    with pytest.raises(FormatError, match="each line"):
        read_offsets(path, tmp_path / "x.idx")


def test_an_empty_list(tmp_path):
    (tmp_path / "x.idx").write_text("\n")
    assert read_offsets(write_shards(tmp_path)[3], tmp_path / "x.idx").tolist() == []
