"""The walk through damaged TFRecords against a plain one, and spans against their checksums."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack._native.crc32c import crc32c, mask
from fastpack._native.salvage import CheckSpans, Walk
from fastpack.core.dtypes import NO_SPAN, PIECE, SPAN
from fastpack.core.threads import run_in_threads
from fastpack.formats.salvage import check_spans
from fastpack.formats.tfrecord.walk import walk_records
from tests.support.wire import frame, header

WHOLE, BAD_FRAME, BAD_DATA, UNKNOWN, TORN = range(5)
MIB = 2**20


def plain_length(data: bytes, at: int) -> int | None:
    """The length that a good header at this byte says."""
    head = data[at : at + 8]
    if len(data) - at < 12 or data[at + 8 : at + 12] != mask(crc32c(head)).to_bytes(4, "little"):
        return None
    return int.from_bytes(head, "little")


def plain_holds(data: bytes, first: int, end: int) -> bool:
    return data[end : end + 4] == mask(crc32c(data[first:end])).to_bytes(4, "little")


def plain_next(data: bytes, at: int) -> int:
    for start in range(at, len(data) - 15):
        length = plain_length(data, start)
        if (
            length is not None
            and start + 16 + length <= len(data)
            and plain_holds(data, start + 12, start + 12 + length)
        ):
            return start
    return len(data)


def plain_walk(data: bytes) -> list[tuple[int, int, int]]:
    """(offset, length, kind) of each piece."""
    pieces, at = [], 0
    while at < len(data):
        length, kind = plain_length(data, at), UNKNOWN
        if len(data) - at < 12:
            kind, end = TORN, len(data)
        elif length is None:
            end = plain_next(data, at + 1)
            if end - at >= 16 and plain_holds(data, at + 12, end - 4):
                kind = BAD_FRAME
        elif at + 16 + length > len(data):
            end = plain_next(data, at + 1)
            kind = TORN if end == len(data) else UNKNOWN
        else:
            end = at + 16 + length
            kind = WHOLE if plain_holds(data, at + 12, end - 4) else BAD_DATA
            if (
                kind == BAD_DATA
                and end < len(data)
                and plain_length(data, end) is None
                and (found := plain_next(data, at + 1)) < end
            ):
                kind, end = UNKNOWN, found
        pieces.append((at, end - at, kind))
        at = end
    return pieces


def walked(
    path: Path, data: bytes, *, room: int = 4096, stride: int = 2**62
) -> list[tuple[int, int, int]]:
    path.write_bytes(data)
    pieces, found = np.zeros(room, PIECE), []
    with open(path, "rb") as file:
        walk = Walk(file.fileno(), len(data), record_limit=2**40)
        while walk.position < len(data):
            count, failure = walk.go_on(pieces, stride=stride)
            assert failure is None
            assert count > 0
            found += [(int(p["offset"]), int(p["length"]), int(p["kind"])) for p in pieces[:count]]
    return found


@st.composite
def damaged_files(draw) -> bytes:
    """Records of 0 to 60 bytes, some with records inside, then a few changed bytes."""
    payloads = st.binary(max_size=60) | st.lists(st.binary(max_size=9), max_size=2).map(
        lambda inner: b"".join(map(frame, inner))
    )
    data = bytearray(b"".join(map(frame, draw(st.lists(payloads, max_size=8)))))
    for _ in range(draw(st.integers(0, 3))):
        first = draw(st.integers(0, len(data)))
        end = min(len(data), first + draw(st.sampled_from([0, 1, 4, 30])))
        data[first:end] = draw(st.binary(max_size=20) | st.just(bytes(end - first)))
    return bytes(data)


@given(
    data=damaged_files(), room=st.sampled_from([1, 3, 100]), stride=st.sampled_from([1, 50, 2**40])
)
def test_walk_is_the_plain_walk(tmp_path_factory, data, room, stride):
    path = tmp_path_factory.getbasetemp() / "walked.tfrecord"
    assert walked(path, data, room=room, stride=stride) == plain_walk(data)


@given(data=damaged_files())
def test_pieces_cover_the_file(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "covered.tfrecord"
    path.write_bytes(data)
    pieces = walk_records(path)
    assert np.array_equal(
        pieces["offset"], np.cumsum(np.append(0, pieces["length"][:-1]))[: len(pieces)]
    )
    assert pieces["length"].sum() == len(data)


@pytest.mark.parametrize("sizes", [[3 * MIB, 10, 2 * MIB + 1, 0, MIB - 16, MIB, 5]], ids=str)
@pytest.mark.parametrize("damaged", range(7))
@pytest.mark.parametrize("at", ["header", "data", "footer"])
def test_records_larger_than_the_window(tmp_path, sizes, damaged, at):
    records = [bytearray(frame(np.random.default_rng(size).bytes(size))) for size in sizes]
    position = {"header": 3, "data": 12 + sizes[damaged] // 2, "footer": -1}[at]
    records[damaged][position] ^= 1
    expected = [WHOLE] * 7
    expected[damaged] = BAD_FRAME if at == "header" else BAD_DATA
    assert [kind for _, _, kind in walked(tmp_path / "x", b"".join(records))] == expected


def test_checksums_of_whole_records(tmp_path):
    payloads = [b"", b"abc", bytes(2 * MIB)]
    (tmp_path / "x").write_bytes(b"".join(map(frame, payloads)))
    assert walk_records(tmp_path / "x")["crc32c"].tolist() == [
        crc32c(payload) for payload in payloads
    ]


def test_false_beginnings_cannot_hold_the_walk_up(tmp_path):
    """20,000 headers that each claim the rest of 64 MiB: checking each would read 10^12 bytes."""
    size = 64 * MIB
    with open(tmp_path / "x", "wb") as file:
        file.truncate(size)
        for i in range(20_000):
            at = i * 12 + 1
            file.seek(at)
            file.write(header(size - at - 16 - i))
    pieces = walk_records(tmp_path / "x")
    assert pieces["length"].sum() == size
    assert (pieces["kind"] == UNKNOWN).all()


def test_a_file_that_became_shorter_is_an_error(tmp_path):
    data = frame(bytes(100))
    (tmp_path / "x").write_bytes(data)
    with open(tmp_path / "x", "rb") as file:
        walk = Walk(file.fileno(), len(data) + 50, record_limit=2**40)
        _, failure = walk.go_on(np.zeros(4, PIECE), stride=2**40)
    assert failure[0] == 3


def spans_of(blobs: list[bytes]) -> np.ndarray:
    spans = np.zeros(len(blobs), SPAN)
    spans["length"] = spans["record_length"] = [len(blob) for blob in blobs]
    spans["offset"] = spans["record_offset"] = np.cumsum([0, *map(len, blobs)])[:-1]
    spans["crc32c"] = [crc32c(blob) for blob in blobs]
    return spans


@pytest.mark.parametrize("workers", [1, 4])
def test_spans_are_checked_one_by_one(tmp_path, workers):
    blobs = [b"abc", bytes(3 * MIB), b"", b"x" * MIB, b"tail"]
    data = bytearray(b"".join(blobs))
    data[5] ^= 1
    (tmp_path / "x").write_bytes(data[:-1])
    with open(tmp_path / "x", "rb") as file:
        job = CheckSpans(spans_of(blobs), np.array([file.fileno()], np.int32))
        run_in_threads(job.run, workers)
    assert job.statuses.tolist() == [0, 5, 0, 0, 3]


def test_spans_without_checksum_must_lie_inside(tmp_path):
    (tmp_path / "x").write_bytes(bytes(10))
    spans = np.zeros(4, SPAN)
    spans["offset"] = [0, 5, 11, NO_SPAN]
    spans["length"] = [10, 6, 0, 4]
    assert check_spans([tmp_path / "x"], spans).tolist() == [0, 3, 3, 0]


def test_spans_of_a_shard_that_is_not_there(tmp_path):
    (tmp_path / "x").write_bytes(bytes(10))
    spans = spans_of([bytes(10)])
    spans["shard"] = 1
    assert check_spans([tmp_path / "x"], spans).tolist() == [3]
