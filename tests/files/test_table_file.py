"""Table files give what was saved, bit for bit, or an error."""

import json
import os
import struct
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastpack._native.crc32c import crc32c
from fastpack.core.dtypes import FILTER, IMAGE_INFO, NO_SPAN, SPAN
from fastpack.errors import FormatError, MissingFileError, UnreadableFileError
from fastpack.files.table_file import TableFile, advise, save_tables, table_bytes, take_from

SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8, 16), "c": (8, 16, 32)}
SCALARS = [f"{kind}{size}" for kind, sizes in SIZES.items() for size in sizes]
NESTED = np.dtype([("a", "i1"), ("span", SPAN), ("more", [("x", "<f8"), ("y", "<u2", (2, 3))])])
TYPES = [np.dtype(kind) for kind in [*SCALARS, ">i4", ">u8", ">f8"]] + [
    SPAN,
    IMAGE_INFO,
    FILTER,
    NESTED,
]
REMEDY = "delete it, and it is built again"


def arrays_of(dtype, num_rows, seed):
    """Columns of a type: random bytes, a constant, rising values, mixtures of small and large."""
    rng = np.random.default_rng(seed)
    kind = seed % 6
    if kind == 0 or dtype.names:
        items = rng.integers(0, 256, (num_rows, dtype.itemsize), dtype=np.uint8)
        if dtype.names and kind % 2:
            items[:, rng.integers(0, 2, dtype.itemsize) == 0] = 0
            items[:] = items[:1] if kind == 1 else items
        return items.reshape(-1).view(dtype)
    if kind == 1:
        return np.full(num_rows, rng.integers(0, 100)).astype(dtype)
    if kind == 2:
        return np.arange(num_rows).astype(dtype)
    if kind == 3:
        return np.cumsum(rng.integers(0, 60, num_rows)).astype(dtype)
    if dtype.kind in "iu":
        ends = np.iinfo(dtype)
        return rng.choice(np.array([ends.min, ends.max, 0, 1, 5], dtype), num_rows)
    return rng.integers(-3, 3, num_rows).astype(dtype)


@st.composite
def tables(draw):
    result = {}
    for number in range(draw(st.integers(0, 3))):
        num_rows = draw(st.sampled_from([0, 1, 2, 5, 300, 5000]))
        types = draw(st.lists(st.sampled_from(TYPES), max_size=4))
        result[f"table {number}"] = {
            f"ä{i}": arrays_of(dtype, num_rows, draw(st.integers(0, 1000)))
            for i, dtype in enumerate(types)
        }
    return result


def same(found, wanted):
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].flags.c_contiguous
        assert found[name].tobytes() == np.ascontiguousarray(array).tobytes()


def rows_of(columns, rows):
    return {name: array[rows] for name, array in columns.items()}


def check_all(files, saved, rng):
    for file in files:
        for name, columns in saved.items():
            num_rows = len(next(iter(columns.values()))) if columns else 0
            assert file.num_rows(name) == num_rows
            first, end = sorted(rng.integers(0, num_rows + 1, 2).tolist())
            same(file.read(name), columns)
            same(file.read(name, first, end), rows_of(columns, slice(first, end)))
            if num_rows:
                rows = rng.integers(0, num_rows, 50)
                numbers = rng.integers(0, len(files), 50).astype("u2")
                for order in (rows, np.sort(rows)):
                    same(file.take(name, order), rows_of(columns, order))
                    same(take_from(files, numbers, name, order), rows_of(columns, order))
                advise(files, np.sort(numbers), name, rows)


@settings(deadline=None)
@given(saved=tables(), seed=st.integers(0, 99))
def test_saved_columns_come_back(tmp_path_factory, saved, seed):
    path = tmp_path_factory.mktemp("tables") / "a.index"
    save_tables(path, saved, about=["kind", {"x": None}], own="own tëxt")
    data = path.read_bytes()
    assert data == table_bytes(saved, about=["kind", {"x": None}], own="own tëxt")
    files = [TableFile.open(path), TableFile.open(path, keep=True), TableFile.of_bytes(data)]
    for file in files:
        assert file.layout is files[0].layout
        assert file.own == "own tëxt"
        assert file.layout.about == ["kind", {"x": None}]
        assert file.num_bytes == len(data)
    for _ in range(2):
        check_all(files, saved, np.random.default_rng(seed))
    for name, columns in saved.items():
        same(plain_read(data, name), columns)


# The format in plain numpy. The reader of docs/formats.md is shorter: it has no arrays in rows.
def plain_read(data, wanted):
    end, _, common, own = struct.unpack_from("<IQII", data, 12)
    about = json.loads(data[40 : 40 + common])
    words = np.frombuffer(data[40 + -(-common // 8) * 8 + -(-own // 8) * 8 : end], "<u8").tolist()
    for name, columns in about["tables"]:
        types = [(column, np.dtype(as_type(kind))) for column, kind in columns]
        leaves = [size for _, kind in types for size in leaf_sizes(kind)]
        (num_rows, page), words = words[:2], words[2:]
        numbers, words = words[: 4 * len(leaves)], words[4 * len(leaves) :]
        if name != wanted:
            continue
        rows, at, values = np.arange(num_rows, dtype="u8"), 0, []
        row_bytes = sum(numbers[::4])
        per_page = 4092 // row_bytes if row_bytes else 1
        pages = np.frombuffer(data[page * 4096 :], "u1") if row_bytes else None
        for width, base, step, plus in zip(*[iter(numbers)] * 4, strict=True):
            value = np.uint64(base) + np.uint64(step) * rows
            for i in range(width):
                place = rows // per_page * 4096 + rows % per_page * row_bytes + np.uint64(at + i)
                value += pages[place].astype("u8") << np.uint64(8 * i)
            values.append(value + values[plus - 1] if plus else value)
            at += width
        cut = [v.view("u1").reshape(-1, 8)[:, :n] for v, n in zip(values, leaves, strict=True)]
        items, found = np.concatenate([np.zeros((num_rows, 0), "u1"), *cut], axis=1), {}
        for column, kind in types:
            found[column] = np.ascontiguousarray(items[:, : kind.itemsize]).reshape(-1).view(kind)
            items = items[:, kind.itemsize :]
        return found


def as_type(kind):
    if isinstance(kind, str):
        return kind
    return [(name, as_type(inner), *map(tuple, shape)) for name, inner, *shape in kind]


def leaf_sizes(kind):
    if kind.names:
        return [size for name in kind.names for size in leaf_sizes(kind[name])]
    if kind.subdtype:
        return leaf_sizes(kind.base) * int(np.prod(kind.shape))
    size = kind.itemsize // (1 + (kind.kind == "c"))
    size = size if size <= 8 else 8
    return [size] * (kind.itemsize // size)


def spans(num_rows, seed=0):
    """Spans of JPEG records of a TFRecord, one after the other."""
    rng = np.random.default_rng(seed)
    span = np.zeros(num_rows, SPAN)
    span["length"] = rng.integers(50_000, 170_000, num_rows)
    span["record_length"] = span["length"] + rng.integers(30, 34, num_rows).astype("u8")
    span["record_offset"] = np.cumsum(span["record_length"] + 16) - span["record_length"] - 4
    span["offset"] = span["record_offset"] + 26
    span["crc32c"] = rng.integers(0, 2**32, num_rows)
    return span


def widths(columns):
    """The packed bytes of each leaf, read from the header."""
    data = table_bytes({"t": columns}, about=0, own="")
    common, own = struct.unpack_from("<II", data, 24)
    words = data[
        40 + -(-common // 8) * 8 + -(-own // 8) * 8 : struct.unpack_from("<I", data, 12)[0]
    ]
    return np.frombuffer(words, "<u8")[2::4].tolist()


def test_spans_are_packed_close():
    span = spans(50_000)
    assert sum(widths({"span": span})) <= 4 + 4 + 3 + 0 + 1
    span["offset"][123] = NO_SPAN
    assert sum(widths({"span": span})) <= 4 + 4 + 3 + 4 + 1


def test_small_and_no_span_stay_small():
    assert widths({"x": np.array([5, NO_SPAN, 100, 0], "u8")}) == [1]


def test_constants_and_counting_have_no_bytes():
    columns = {
        "count": np.arange(1000),
        "small": np.arange(1000).astype("i2"),
        "other": np.arange(1000) + 1,
        "wraps": np.arange(1000).astype("u1"),
        "constant": np.full(1000, -7, "i4"),
        "max": np.full(1000, 2**64 - 1, "u8"),
        "float": np.full(1000, 2.5),
    }
    assert widths(columns) == [0, 0, 0, 1, 0, 0, 0]
    file = TableFile.of_bytes(table_bytes({"t": columns}, about=0, own=""))
    counting = {name for name in columns if file.is_counting("t", name)}
    assert counting == {"count", "small"}
    constants = {name: file.constant("t", name) for name in columns}
    assert constants["constant"] == -7
    assert constants["max"] == 2**64 - 1
    assert {name for name in columns if constants[name] is not None} == {"constant", "max"}


@pytest.mark.parametrize("values", [[], [0], [3]])
def test_facts_of_short_columns(values):
    file = TableFile.of_bytes(table_bytes({"t": {"x": np.array(values, "i8")}}, about=0, own=""))
    assert file.is_counting("t", "x") == (values in ([], [0]))
    assert file.constant("t", "x") == (values[0] if values else None)


def test_some_columns():
    saved = {"t": {"span": spans(500), "x": np.arange(500) ** 2, "y": np.arange(500.0)}}
    file = TableFile.of_bytes(table_bytes(saved, about=0, own=""))
    rows = np.array([3, 499, 0, 77])
    for columns in (["x"], ["y", "span"], []):
        wanted = {name: array[rows] for name, array in saved["t"].items() if name in columns}
        same(file.take("t", rows, columns), wanted)
        same(take_from([file], np.zeros(4, int), "t", rows, columns), wanted)
        same(file.read("t", 3, 4, columns), {name: saved["t"][name][3:4] for name in wanted})


def test_rows_of_many_blocks(tmp_path):
    saved = {"t": {"span": spans(200_000)}, "text": {"bytes": np.arange(300_000).astype("u1")}}
    saved["t"]["span"]["offset"][150_001] = NO_SPAN
    save_tables(tmp_path / "x", saved, about=0, own="")
    file = TableFile.open(tmp_path / "x")
    for name, columns in saved.items():
        same(file.read(name), columns)
        same(file.read(name, 70_001, 190_003), rows_of(columns, slice(70_001, 190_003)))


@pytest.mark.parametrize("rows", [[-1], [10], [0, 2**62], [-(2**63)]])
def test_rows_that_do_not_exist(rows):
    file = TableFile.of_bytes(table_bytes({"t": {"x": np.arange(10) ** 3}}, about=0, own=""))
    rows = np.array(rows)
    with pytest.raises(IndexError, match="does not lie in"):
        file.take("t", rows)
    with pytest.raises(IndexError, match="does not lie in"):
        take_from([file, file], np.ones(len(rows), int), "t", rows)
    with pytest.raises(IndexError, match="does not lie in"):
        advise([file], np.zeros(len(rows), int), "t", rows)
    with pytest.raises(IndexError, match="file 2 does not lie in"):
        take_from([file, file], np.array([2]), "t", np.array([0]))
    with pytest.raises(IndexError, match="do not lie in"):
        file.read("t", 0, 11)


def test_files_of_other_layouts_are_not_mixed():
    files = [
        TableFile.of_bytes(table_bytes({"t": {"x": np.arange(3).astype(kind)}}, about=0, own=""))
        for kind in ("i4", "i8")
    ]
    with pytest.raises(ValueError, match="one layout"):
        take_from(files, np.array([0, 1]), "t", np.array([0, 0]))


@pytest.mark.parametrize(
    "columns",
    [
        {"x": np.array(["a"])},
        {"x": np.array([None])},
        {"x": np.zeros(2, np.dtype([("a", "i1"), ("b", "i8")], align=True))},
        {"x": np.zeros(2), "y": np.zeros(3)},
        {"x": np.zeros((2, 2))},
        {"x": np.random.default_rng(0).integers(0, 256, (9, 4096), np.uint8).reshape(-1).view(
            [("a", "u1", (4096,))])},
    ],
)  # fmt: skip
def test_columns_that_do_not_fit_are_refused(columns):
    with pytest.raises(ValueError, match="give|use"):
        table_bytes({"t": columns}, about=0, own="")


def small_tables():
    rng = np.random.default_rng(1)
    return {
        "t": {"span": spans(150), "label": rng.integers(0, 1000, 150), "n": np.arange(150)},
        "text": {"bytes": rng.integers(32, 127, 5000).astype("u1")},
    }


def read_everything(data, tmp_path, keep):
    path = tmp_path / "damaged.index"
    path.write_bytes(data)
    file = TableFile.open(path, keep=keep)
    return {name: file.read(name) for name in small_tables()}


@pytest.mark.parametrize("keep", [False, True])
def test_truncated_files(tmp_path, keep):
    data = table_bytes(small_tables(), about={}, own="x" * 50)
    header = struct.unpack_from("<I", data, 12)[0]
    sizes = [*range(0, header, 7), header, 4096, 8191, 8192, len(data) - 4096, len(data) - 1]
    for size in [*sizes, len(data) + 1]:
        cut = (data + b"\0")[:size]
        with pytest.raises(FormatError, match=REMEDY) as caught:
            read_everything(cut, tmp_path, keep)
        assert str(caught.value.location).startswith(str(tmp_path / "damaged.index"))
        with pytest.raises(FormatError, match=REMEDY):
            TableFile.of_bytes(cut)


def test_each_flipped_bit_is_found_or_unread(tmp_path):
    saved = small_tables()
    data = table_bytes(saved, about={}, own="x")
    header = struct.unpack_from("<I", data, 12)[0]
    rng = np.random.default_rng(3)
    bits = [*range(8 * header), *rng.integers(8 * header, 8 * len(data), 3000).tolist()]
    for bit in bits:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        is_padding = header <= bit // 8 < 4096
        try:
            file = TableFile.of_bytes(damaged)
        except FormatError:
            assert not is_padding
        else:
            assert is_padding, bit
            assert file.num_rows("t") == 150
    for bit in rng.choice(bits, 100).tolist():
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        if not header <= bit // 8 < 4096:
            for keep in (False, True):
                with pytest.raises(FormatError, match=REMEDY):
                    read_everything(damaged, tmp_path, keep)


def test_pages_of_other_places(tmp_path):
    data = table_bytes(small_tables(), about={}, own="x")
    other = table_bytes(small_tables(), about={}, own="y")
    assert data[4096:] != other[4096:]
    moved = data[:4096] + data[8192:12288] + data[8192:]
    for damaged in (moved, data[:4096] + other[4096:]):
        with pytest.raises(FormatError, match="a page differs from its CRC32C"):
            read_everything(damaged, tmp_path, False)
        with pytest.raises(FormatError, match="a page differs from its CRC32C"):
            TableFile.of_bytes(damaged)


def test_file_is_overwritten_while_open(tmp_path):
    data = table_bytes(small_tables(), about={}, own="x")
    path = tmp_path / "x.index"
    path.write_bytes(data)
    file, kept = TableFile.open(path), TableFile.open(path, keep=True)
    for _ in range(2):  # pages are kept once a quarter as many were read
        same(kept.read("t"), small_tables()["t"])
    os.truncate(path, 5000)
    with pytest.raises(FormatError, match=REMEDY) as caught:
        file.take("t", np.array([149]))
    assert caught.value.location.path == str(path)
    path.write_bytes(bytes(len(data)))
    with pytest.raises(FormatError, match=REMEDY):
        take_from([file], np.array([0]), "t", np.array([149]))
    same(kept.read("t"), small_tables()["t"])


def forge(common, words, own=b"", size=None, pages=b""):
    """A file with correct checksums, whatever it contains."""
    pad = lambda text: text + bytes(-len(text) % 8)  # noqa: E731
    words = [word % 2**64 for word in words]
    texts = pad(common) + pad(own) + struct.pack(f"<{len(words)}Q", *words)
    total = 40 + len(texts)
    whole = -(-total // 4096) * 4096 + len(pages) if pages else total
    lengths = total, size or whole, len(common), len(own), len(words), 0
    body = struct.pack("<IQIIII", *lengths) + texts
    data = b"FPTABLE1" + struct.pack("<I", crc32c(body)) + body
    return data + bytes(-len(data) % 4096) + pages if pages else data


def common_of(*tables):
    return json.dumps({"about": 0, "tables": tables}).encode()


TWO = common_of(["t", [["a", "<i8"], ["b", "<i8"]]])
SEAL = [1, 1, 8, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("common", "words"),
    [
        (TWO, []),
        (TWO, SEAL[:-1]),
        (TWO, [*SEAL, 0]),
        (TWO, SEAL),  # a page past the end
        (TWO, [1, 0, *SEAL[2:]]),  # the header as a page
        (TWO, [1, 2**64 - 1, *SEAL[2:]]),
        (TWO, [1, 2**52, *SEAL[2:]]),
        (TWO, [2**60, 1, *SEAL[2:]]),
        (TWO, [2**64 - 1, 1, *SEAL[2:]]),
        (TWO, [2**60, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (TWO, [1, 1, 9, 0, 0, 0, 0, 0, 0, 0]),
        (TWO, [1, 1, 2**63, 0, 0, 0, 0, 0, 0, 0]),
        (TWO, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0]),  # plus: itself
        (TWO, [1, 0, 0, 0, 0, 2, 0, 0, 0, 0]),  # plus: a later leaf
        (TWO, [1, 0, 0, 0, 0, 2**63, 0, 0, 0, 0]),
        (common_of(["t", [["a", "<i4"], ["b", "<i8"]]]), [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (common_of(["t", [[c, "<i8"] for c in "abc"]]), [1, 0, *[0] * 7, 1, 0, 0, 0, 2]),
        (common_of(["t", [["a", [["x", "<u8", [600]]]]]]), [1, 1, *[8, 0, 0, 0] * 600]),
        (common_of(["t", [["a", [["x", "<u8", [2**40]]]]]]), [1, 1]),
        (common_of(["t", [["a", [["x", "<u8", [-1]]]]]]), [1, 1]),
        (common_of(["t", [["a", [["x", [["y", "u1", [60000]]], [60000]]]]]]), [1, 1]),
        (common_of(["t", [["a", "O"]]]), [1, 0, 0, 0, 0, 0]),
        (common_of(["t", [["a", "<M8[s]"]]]), [1, 0, 0, 0, 0, 0]),
        (common_of(["t", [["a", "<i3"]]]), [1, 0, 0, 0, 0, 0]),
        (common_of(["t", [["a", []]]]), [1, 0]),
        (common_of(["t", [["a", 5]]]), [1, 0]),
        (common_of(["t", [["a", "<i8"], ["a", "<i8"]]]), [1, 0, *[0] * 8]),
        (common_of(["t", []], ["t", []]), [0, 0, 0, 0]),
        (common_of([[], []]), [0, 0]),
        (common_of(5), []),
        (b"", []),
        (b"5", []),
        (b"{}", []),
        (b"[" * 100_000, []),
        (b'{"about":' + b"[" * 100_000 + b"]" * 100_000 + b',"tables":[]}', []),
        (b"\xff", []),
        (b"9" * 10_000, []),
    ],
)
def test_hostile_headers(common, words):
    with pytest.raises(FormatError, match=REMEDY):
        TableFile.of_bytes(forge(common, words))


def test_hostile_lengths():
    data = forge(TWO, [0] * 10, own=b"text of ten")
    TableFile.of_bytes(data)
    for at, size in [(12, 4), (16, 8), (24, 4), (28, 4), (32, 4), (36, 4)]:
        for value in (0, 1, 2**31, 2 ** (8 * size) - 1, 2 ** (8 * size) - 8):
            body = bytearray(data)
            body[at : at + size] = value.to_bytes(size, "little")
            if bytes(body) != data and not (at == 36 and value == 0):
                body[8:12] = crc32c(bytes(body[12:])).to_bytes(4, "little")
                with pytest.raises(FormatError, match=REMEDY):
                    TableFile.of_bytes(bytes(body))


def test_own_text_that_is_not_utf8():
    with pytest.raises(FormatError, match="UTF-8"):
        TableFile.of_bytes(forge(TWO, [0] * 10, own=b"\xff"))


def test_headers_of_whole_pages(tmp_path):
    saved = {"t": {"x": np.arange(1000) ** 2}}
    start = struct.unpack_from("<I", table_bytes(saved, about=0, own=""), 12)[0]
    for end in (4096, 8192, 16384, 16392, 20480):
        save_tables(tmp_path / "x", saved, about=0, own="o" * (end - start))
        data = (tmp_path / "x").read_bytes()
        assert struct.unpack_from("<I", data, 12)[0] == end
        for file in (TableFile.open(tmp_path / "x"), TableFile.of_bytes(data)):
            assert file.own == "o" * (end - start)
            same(file.read("t"), saved["t"])
        same(plain_read(data, "t"), saved["t"])


def test_another_version():
    data = table_bytes({}, about=0, own="")
    with pytest.raises(FormatError, match="another version"):
        TableFile.of_bytes(data.replace(b"FPTABLE1", b"FPTABLE2"))


def test_files_that_the_os_refuses(tmp_path):
    with pytest.raises(MissingFileError):
        TableFile.open(tmp_path / "missing")
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo"):
        with pytest.raises(FormatError, match="not a file"):
            TableFile.open(path)
    with pytest.raises(UnreadableFileError):
        TableFile.open(tmp_path / ("x" * 300))
    with pytest.raises(ValueError, match="zero byte"):
        TableFile.open(tmp_path / "a\0b")


def test_threads_take_from_one_kept_file(tmp_path):
    saved = {"t": {"span": spans(20_000)}}
    save_tables(tmp_path / "x", saved, about=0, own="")
    for _ in range(5):
        file = TableFile.open(tmp_path / "x", keep=True)
        results = []

        def run(seed, file=file, results=results):
            rng = np.random.default_rng(seed)
            for _ in range(40):
                rows = rng.integers(0, 20_000, 100)
                found = file.take("t", rows)["span"]
                results.append(found.tobytes() == saved["t"]["span"][rows].tobytes())

        threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == 160
        assert all(results)


@pytest.mark.isolated
def test_descriptors_are_closed(tmp_path):
    save_tables(tmp_path / "x", small_tables(), about=0, own="")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        TableFile.open(tmp_path / "x").take("t", np.array([1]))
    (tmp_path / "bad").write_bytes(b"FPTABLE1" + bytes(100))
    for _ in range(10):
        with pytest.raises(FormatError):
            TableFile.open(tmp_path / "bad")
    assert len(os.listdir("/proc/self/fd")) == before


def test_bytes_of_a_file_stay_the_same():
    saved = {"t": {"x": np.array([5, 6, 7, 1000]), "n": np.arange(4), "c": np.full(4, -1, "i2")}}
    data = table_bytes(saved, about={"kind": "test"}, own="own")
    assert len(data) == 8192
    assert data[:240].hex() == GOLDEN_HEADER
    assert data[240:4096] == bytes(4096 - 240)
    assert data[4096:4104].hex() == "000001000200e303"
    assert data[4104:-4] == bytes(4084)
    assert data[-4:].hex() == GOLDEN_CRC


GOLDEN_HEADER = (
    "46505441424c4531f0f67d22f0000000002000000000000050000000030000000e00000000000000"
    "7b2261626f7574223a7b226b696e64223a2274657374227d2c227461626c6573223a5b5b2274222c"
    "5b5b2278222c223c6938225d2c5b226e222c223c6938225d2c5b2263222c223c6932225d5d5d5d7d"
    "6f776e00000000000400000000000000010000000000000002000000000000000500000000000000"
    "00000000000000000000000000000000000000000000000000000000000000000100000000000000"
    "00000000000000000000000000000000ffffffffffffffff00000000000000000000000000000000"
)
GOLDEN_CRC = "ee38ec17"
