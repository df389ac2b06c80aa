"""Saved indexes that lie: an index is built again, or an error names the file.

A batch never has bytes of something else, and no other file is opened.
"""

import json
import struct

import h5py
import numpy as np
import pytest

import fastpack
from fastpack._native.crc32c import crc32c
from fastpack.core.dtypes import NO_SPAN
from fastpack.files.companions import index_path
from fastpack.files.table_file import TableFile
from fastpack.files.table_layout import leaves_of
from tests.support.images import photo
from tests.support.indexed_files import IMAGES, MAKERS, PIXELS, assert_sound, read_some
from tests.support.saved_tables import SavedTables

SECRET = photo(10, 12, seed=99)


# Forgeries: functions that change a SavedTables.


def in_row(table, column, part=None, **values):
    """Other values in row 2 of a column."""

    def change(saved):
        if column in saved.tables.get(table, {}):
            for name, value in values.items():
                saved.tables[table][column][name][2] = value

    return change


def set_span(**values):
    return in_row("blob/image", "span", **values)


def set_info(**values):
    return in_row("blob/image", "info", **values)


def set_column(table, column, change):
    def apply(saved):
        if column in saved.tables.get(table, {}):
            saved.tables[table][column] = change(saved.tables[table][column])

    return apply


def set_table(table, change):
    def apply(saved):
        if table in saved.tables:
            saved.tables[table] = {
                column: change(array) for column, array in saved.tables[table].items()
            }

    return apply


def without(table, column=None):
    def apply(saved):
        if column is None:
            saved.tables.pop(table, None)
        else:
            saved.tables.get(table, {}).pop(column, None)

    return apply


def set_own(**values):
    def apply(saved):
        saved.own |= values

    return apply


def set_about(**values):
    def apply(saved):
        saved.about |= values

    return apply


def change_field(**values):
    """Of the first field in the schema, which is the image."""

    def apply(saved):
        schema = json.loads(saved.about["schema"])
        schema["fields"][0] |= values
        saved.about["schema"] = json.dumps(schema)

    return apply


def change_shard(position, value):
    def apply(saved):
        saved.own["shards"][0][position] = value

    return apply


def more_shards(*names):
    def apply(saved):
        first = saved.own["shards"][0]
        saved.own["shards"] += [[name, *first[1:]] for name in names]

    return apply


def replace_own(value):
    def apply(saved):
        saved.own = value

    return apply


def change_summary(**values):
    def apply(saved):
        saved.own["summary"] |= values

    return apply


HUGE = [10**4, 2**31, 2**40, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]
FAR = [-1, 5, 2**31, 2**40, 2**62, -(2**62), 2**63 - 1, -(2**63)]
CHANGES = {
    **{f"offset {value}": set_span(offset=value) for value in HUGE},
    **{f"length {value}": set_span(length=value) for value in [0, 1, *HUGE]},
    **{f"record offset {value}": set_span(record_offset=value) for value in HUGE},
    **{f"record length {value}": set_span(record_length=value) for value in [1, *HUGE]},
    "offset and length overflow": set_span(offset=2**63, length=2**63 + 8, record_length=0),
    "no span at all": set_span(offset=NO_SPAN, record_length=0, record_offset=0),
    "shard 1": set_span(shard=1),
    "shard 2**32 - 1": set_span(shard=2**32 - 1),
    "width huge": set_info(width=2**32 - 1),
    "width and height huge": set_info(width=2**32 - 1, height=2**32 - 1),
    "no width": set_info(width=0),
    "orientation 200": set_info(orientation=200),
    "another format": set_info(format=2),
    "no format": set_info(format=200),
    "no spans": without("blob/image", "span"),
    "no infos": without("blob/image", "info"),
    "no blobs": without("blob/image"),
    "no samples": without("samples"),
    "no record numbers": without("samples", "record_numbers"),
    "no labels": without("column/label"),
    "no letters of keys": without("column/key/values"),
    "fewer labels": set_table("column/label", lambda labels: labels[:3]),
    "no labels left": set_table("column/label", lambda labels: labels[:0]),
    "more labels": set_table("column/label", lambda labels: np.append(labels, 4)),
    "labels of another type": set_table("column/label", lambda labels: labels.astype("f4")),
    "labels as structures": set_table("column/label", lambda labels: labels.view([("a", "<i8")])),
    "fewer spans": set_table("blob/image", lambda spans: spans[:3]),
    "spans of another type": set_column(
        "blob/image", "span", lambda spans: np.zeros(4, [("shard", "u4"), ("offset", "u8")])
    ),
    "infos of another type": set_column("blob/image", "info", lambda infos: np.zeros(4, "u8")),
    **{
        f"keys from {value}": set_column("column/key", "start", lambda a, v=value: a * 0 + v)
        for value in FAR
    },
    **{
        f"keys of {value} letters": set_column("column/key", "length", lambda a, v=value: a * 0 + v)
        for value in FAR
    },
    "keys of all letters": set_column("column/key", "length", lambda lengths: lengths * 0 + 4),
    "places of floats": set_column("column/key", "start", lambda starts: starts + 0.5),
    "letters of numbers": set_table("column/key/values", lambda letters: letters.astype("u8")),
    "letters that are no UTF-8": set_table("column/key/values", lambda letters: letters * 0 + 255),
    "shard numbers too high": set_column("samples", "shard_numbers", lambda a: a + np.uint32(1)),
    "shard numbers of floats": set_column("samples", "shard_numbers", lambda a: a + 0.25),
    "record numbers negative": set_column("samples", "record_numbers", lambda a: a - 10),
    "record numbers too high": set_column("samples", "record_numbers", lambda a: a + 2**40),
    "record numbers of floats": set_column("samples", "record_numbers", lambda a: a + 0.25),
    "record numbers reversed": set_column("samples", "record_numbers", lambda a: a[::-1]),
    "fewer samples": set_table("samples", lambda numbers: numbers[:3]),
    "no sample": set_table("samples", lambda numbers: numbers[:0]),
    "own text is no JSON": replace_own("{"),
    "own text is a list": replace_own([1, 2]),
    "own text nests deep": replace_own("[" * 100_000),
    "own text is empty": replace_own({}),
    "schema nests deep": set_about(schema="[" * 100_000),
    "schema is a number": set_about(schema=7),
    "another version": set_about(version=999),
    "no version": set_about(version=None),
    "no shards": set_own(shards=[]),
    "shards are a text": set_own(shards="abcd"),
    "two shards": more_shards("x.h5"),
    "another file": change_shard(0, "../../../../../../etc/passwd"),
    "a second file elsewhere": more_shards("../../../../../../etc/passwd"),
    "a second file by its whole name": more_shards("/etc/passwd"),
    "a second file of an odd name": more_shards("a\0b"),
    "another container": change_shard(1, "zip"),
    "another size": change_shard(2, 10**15),
    "a size of a text": change_shard(2, "big"),
    "another fingerprint": change_shard(4, 0),
    "no summary": set_own(summary=None),
    "ranges that are no numbers": change_summary(ranges={"label": ["a", []]}),
    "ranges of unknown columns": change_summary(ranges={"other": [0, 1]}),
    "blobs that are no numbers": change_summary(blobs={"image": ["a"] * 6}),
    "blobs of huge numbers": change_summary(blobs={"image": [2**200] * 6}),
    "blobs of negative numbers": change_summary(blobs={"image": [-1] * 6}),
    "no blobs in the summary": change_summary(blobs={}),
    "texts that are numbers": change_summary(empty_texts=7),
    "notes are a number": set_own(notes=7),
    "pixels of objects": change_field(dtype="O", kind="pixels", shape=[10, 12, 3]),
    "pixels of no dtype": change_field(dtype="garbage", kind="pixels"),
    "pixels of larger numbers": change_field(dtype="<f8"),
    "pixels of another shape": change_field(shape=[10, 12, 4], dtype="|u1", kind="pixels"),
    "pixels of a negative shape": change_field(shape=[-1, 12, 3], dtype="|u1", kind="pixels"),
    "pixels of a huge shape": change_field(shape=[2**40, 2**40, 3], dtype="|u1", kind="pixels"),
    "pixels of no shape": change_field(shape=None),
    "an image as numbers": change_field(kind="int"),
    "an unknown kind": change_field(kind="film"),
    "a field more": change_field(surprise=1),
    "a name that is a mapping": change_field(color={"a": 1}),
    "stored elsewhere": change_field(stored_as="secret"),
    "stored nowhere": change_field(stored_as="nothing"),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_index_that_lies(tmp_path, make, change):
    path = make(tmp_path)
    saved = SavedTables(index_path(path))
    change(saved)
    saved.save(index_path(path))
    assert_sound(path)
    fastpack.verify(path)


# The reader trusts a plausible index about its own file. These give other pixels of the file, or
# an error.
MISREADINGS = {
    "width smaller": set_info(width=19),
    "orientation 6": set_info(orientation=6),
    "an image as bytes": change_field(kind="bytes"),
    "stored as labels": change_field(stored_as="labels"),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("change", MISREADINGS.values(), ids=MISREADINGS)
def test_index_that_misreads_its_file(tmp_path, make, change):
    path = make(tmp_path)
    saved = SavedTables(index_path(path))
    change(saved)
    saved.save(index_path(path))
    read_some(path)


# The bytes of the file


def sealed(data):
    """The bytes with the checksum that its header needs."""
    data = bytearray(data)
    (end,) = struct.unpack_from("<I", data, 12)
    struct.pack_into("<I", data, 8, crc32c(np.frombuffer(bytes(data[12:end]), np.uint8)))
    return bytes(data)


def with_number(at, kind, value):
    def change(data):
        data = bytearray(data)
        struct.pack_into(kind, data, at, value)
        return sealed(data) if struct.unpack_from("<I", data, 12)[0] < len(data) else bytes(data)

    return change


def with_words(change):
    """Change the words of the header."""

    def apply(data):
        end, _, common, own = struct.unpack_from("<IQII", data, 12)
        first = 40 + -(-common // 8) * 8 + -(-own // 8) * 8
        words = np.frombuffer(data[first:end], np.uint64).copy()
        change(words)
        return sealed(data[:first] + words.tobytes() + data[end:])

    return apply


def set_word(number, value):
    def change(words):
        words[number % len(words)] = value

    return with_words(change)


FILES = {
    "empty": lambda data: b"",
    "text": lambda data: b"not a table file",
    "only its first bytes": lambda data: b"FPTABLE1",
    "cut in the header": lambda data: data[:100],
    "cut in the middle": lambda data: data[: len(data) // 2],
    "cut at the end": lambda data: data[:-1],
    "longer": lambda data: data + bytes(4096),
    "without its beginning": lambda data: data[100:],
    "pages exchanged": lambda data: data[:-8192] + data[-4096:] + data[-8192:-4096],
    "a header of nothing": with_number(12, "<I", 0),
    "a header of 4 GB": with_number(12, "<I", 2**32 - 1),
    "a size of 2**63": with_number(16, "<Q", 2**63),
    "a common text of 4 GB": with_number(24, "<I", 2**32 - 1),
    "an own text of 4 GB": with_number(28, "<I", 2**32 - 1),
    "no words": with_number(32, "<I", 0),
    "many words": with_number(32, "<I", 2**32 - 1),
    **{
        f"word {number} is {value:#x}": set_word(number, value)
        for number in (0, 1, 2, 3, 4, 5, 9, 17, 40, -1, -2, -3, -4)
        for value in (1, 9, 2**32, 2**48, 2**63, 2**64 - 1)
    },
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("damage", FILES.values(), ids=FILES)
def test_index_file_that_is_damaged(tmp_path, make, damage):
    path = make(tmp_path)
    index_path(path).write_bytes(damage(index_path(path).read_bytes()))
    read_some(path)
    fastpack.verify(path)


@pytest.mark.parametrize("table", ["samples", "column/key/values", "column/label"])
@pytest.mark.parametrize("count", [5, 2**31, 2**40, 2**48, 2**63, 2**64 - 1])
def test_rows_that_take_no_bytes_are_bounded(tmp_path, table, count):
    """Rows that are all equal have no bytes in the file, so it may claim any number of them."""
    path = MAKERS["tfrecord"](tmp_path)
    saved = SavedTables(index_path(path))
    for values in saved.tables[table].values():
        values[:] = values[0]
    if table == "column/key/values":
        saved.tables["column/key"] = {"start": np.zeros(4, "i8"), "length": np.full(4, count, "u8")}
        saved.tables["column/key"]["length"] = saved.tables["column/key"]["length"].view("i8")
    saved.save(index_path(path))
    layout = TableFile.open(index_path(path)).layout
    before = list(layout.tables.values())[: layout.numbers[table]]
    number = sum(2 + 4 * len(leaves_of(columns.values())) for columns in before)
    index_path(path).write_bytes(set_word(number, count)(index_path(path).read_bytes()))
    read_some(path)
    fastpack.verify(path)


def test_index_that_is_a_folder(tmp_path):
    path = MAKERS["tfrecord"](tmp_path)
    index_path(path).unlink()
    index_path(path).mkdir()
    assert_sound(path)


@pytest.mark.parametrize("position", range(7, 20_000, 331))
def test_index_with_a_changed_byte(tmp_path, position):
    path = MAKERS["tfrecord"](tmp_path)
    data = bytearray(index_path(path).read_bytes())
    data[position % len(data)] ^= 0x41
    index_path(path).write_bytes(data)
    assert_sound(path)


def test_an_index_with_a_hole_is_not_read(tmp_path):
    """Its 3 GB take no disk."""
    path = MAKERS["tfrecord"](tmp_path)
    with open(index_path(path), "r+b") as file:
        file.truncate(3 * 2**30)
    assert_sound(path)


# Shards of one dataset


def test_a_shard_cannot_name_the_next_one(tmp_path):
    """The numbers of shards count in one index; those of a dataset follow one another."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        MAKERS["tfrecord"](tmp_path / name).rename(tmp_path / f"{name}.tfrecord")
    paths = [tmp_path / "a.tfrecord", tmp_path / "b.tfrecord"]
    fastpack.build_indexes(paths)
    saved = SavedTables(index_path(paths[0]))
    saved.tables["blob/image"]["span"]["shard"][:] = 1
    saved.save(index_path(paths[0]))
    batch = fastpack.open(paths).read(range(8))
    assert [fastpack.decode(image).shape for image in IMAGES] == [
        image.shape for image in list(batch["image"])[:4]
    ]
    assert not fastpack.verify(paths).problems


@pytest.mark.parametrize("kind", ["external link", "external storage", "virtual dataset"])
def test_index_that_names_a_dataset_elsewhere(tmp_path, kind):
    """A sound file has an external link that indexing skips; the index places the images there."""
    (tmp_path / "private").mkdir()
    with h5py.File(tmp_path / "private" / "secret.h5", "w") as f:
        f["secret"] = SECRET[None].repeat(4, axis=0)
    (tmp_path / "private" / "secret.bin").write_bytes(SECRET.tobytes() * 4)
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f.create_dataset("images", data=PIXELS, compression="gzip")
        f["labels"] = np.arange(4)
        f.create_group("deep")
        if kind == "external link":
            f["deep/secret"] = h5py.ExternalLink(str(tmp_path / "private" / "secret.h5"), "secret")
        elif kind == "external storage":
            external = [(str(tmp_path / "private" / "secret.bin"), 0, PIXELS.nbytes)]
            f["deep"].create_dataset("secret", PIXELS.shape, np.uint8, external=external)
        else:
            layout = h5py.VirtualLayout(PIXELS.shape, np.uint8)
            layout[:] = h5py.VirtualSource(
                str(tmp_path / "private" / "secret.h5"), "secret", PIXELS.shape
            )
            f["deep"].create_virtual_dataset("secret", layout)
    fastpack.open(tmp_path / "x.h5")
    saved = SavedTables(index_path(tmp_path / "x.h5"))
    change_field(stored_as="deep/secret")(saved)
    saved.save(index_path(tmp_path / "x.h5"))
    assert_sound(tmp_path / "x.h5")
