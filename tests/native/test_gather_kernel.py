"""Spans and whole files copied into one buffer, and every way in which that can fail."""

import errno
import itertools
import os
import resource

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack._native.crc32c import crc32c
from fastpack._native.gather import (
    NOT_A_FILE,
    PASSED_OVER,
    Gather,
    GatherFiles,
    StatFiles,
    advise_willneed,
)
from fastpack.core.dtypes import IMAGE_INFO, SPAN
from fastpack.core.memories import Memories
from fastpack.core.ragged import offsets_of
from fastpack.core.threads import run_in_threads

IO_ERROR, NO_MEMORY, TRUNCATED, BAD_DATA_CRC, FILE_CHANGED = 1, 2, 3, 5, 15
DATA = np.random.default_rng(0).integers(0, 256, 5000).astype(np.uint8).tobytes()
MEMORY = np.frombuffer(DATA, np.uint8)


def spans_of(places, *, shard=0):
    """Spans without checksums of (offset, length) pairs."""
    spans = np.zeros(len(places), SPAN)
    spans["shard"] = shard
    spans["offset"], spans["length"] = np.array(places, np.uint64).reshape(-1, 2).T
    return spans


def checked_span(offset, length, record_offset, record_length):
    spans = spans_of([(offset, length)])
    spans["record_offset"], spans["record_length"] = record_offset, record_length
    spans["crc32c"] = crc32c(DATA[record_offset : record_offset + record_length])
    return spans


@pytest.fixture
def fds(tmp_path):
    """Two open files: DATA backwards, and DATA."""
    (tmp_path / "0").write_bytes(DATA[::-1])
    (tmp_path / "1").write_bytes(DATA)
    opened = [os.open(tmp_path / name, os.O_RDONLY) for name in ("0", "1")]
    yield np.array(opened, np.int32)
    for fd in opened:
        os.close(fd)


def gather(spans, *, num_workers=1, room=None, **origin):
    """The bytes of all spans, one after the other, and the failure of the lowest row."""
    lengths = spans["length"] if room is None else room
    out = np.full(int(np.sum(lengths)), 99, np.uint8)
    outcomes = run_in_threads(Gather(spans, out, offsets_of(lengths), **origin).run, num_workers)
    return out.tobytes(), min(
        (outcome for outcome in outcomes if outcome), key=lambda outcome: outcome[2], default=None
    )


places = st.lists(
    st.integers(0, 5000).flatmap(
        lambda first: st.tuples(st.just(first), st.integers(0, 5000 - first))
    ),
    max_size=12,
)


@given(places)
def test_spans_of_memory_are_slices(places):
    expected = b"".join(DATA[first : first + length] for first, length in places)
    assert gather(spans_of(places), memories=Memories.of([MEMORY])) == (expected, None)


@pytest.mark.parametrize("num_workers", [1, 2, 8])
def test_spans_of_files_are_slices(fds, num_workers):
    random = np.random.default_rng(num_workers)
    places = [(first, random.integers(0, 5001 - first)) for first in random.integers(0, 5001, 200)]
    spans = spans_of(places)
    spans["shard"] = random.integers(0, 2, 200)
    files = [DATA[::-1], DATA]
    expected = b"".join(
        files[shard][first : first + length]
        for shard, (first, length) in zip(spans["shard"], places, strict=True)
    )
    assert gather(spans, fds=fds, num_workers=num_workers) == (expected, None)


# The blob is all of what the checksum covers, its beginning, its middle, its end, or nothing.
RECORDS = [
    (100, 50, 100, 50),
    (100, 20, 100, 50),
    (110, 20, 100, 50),
    (130, 20, 100, 50),
    (120, 0, 100, 50),
    (0, 5000, 0, 5000),
]


@pytest.fixture(params=["memory", "file"])
def origin(request, tmp_path):
    if request.param == "memory":
        yield {"memories": Memories.of([MEMORY])}
        return
    (tmp_path / "data").write_bytes(DATA)
    with open(tmp_path / "data", "rb") as file:
        yield {"fds": np.array([file.fileno()], np.int32)}


@pytest.mark.parametrize("record", RECORDS)
def test_checksum_over_more_than_the_blob(origin, record):
    spans = np.concatenate(
        [spans_of([(0, 3)]), checked_span(*record)]
    )  # Gather has nothing to do for no bytes at all
    first, length = record[:2]
    assert gather(spans, **origin) == (DATA[:3] + DATA[first : first + length], None)


@pytest.mark.parametrize("record", RECORDS)
def test_wrong_checksum(origin, record):
    spans = np.concatenate([spans_of([(0, 3)]), checked_span(*record)])
    spans["crc32c"][1] ^= 1 << 17
    _, failure = gather(spans, **origin)
    assert failure[:4] == (BAD_DATA_CRC, 0, 1, record[2])
    assert gather(spans, check=False, **origin)[1] is None


@pytest.mark.parametrize(
    "place", [(5000, 1), (4999, 2), (0, 5001), (5001, 1), (2**63 - 2, 1), (10**12, 10)]
)
def test_span_past_the_end(origin, place):
    _, failure = gather(np.concatenate([spans_of([(0, 10)]), spans_of([place])]), **origin)
    assert (failure[0], failure[2]) == (TRUNCATED, 1)


@pytest.mark.parametrize(
    "record",
    [(0, 100, 4950, 51), (0, 100, 5000, 1), (100, 50, 2**64 - 1, 2), (100, 50, 1, 2**64 - 1)],
)
def test_record_past_the_end(origin, record):
    spans = spans_of([record[:2]])
    spans["record_offset"], spans["record_length"] = record[2:]
    assert gather(spans, **origin)[1][0] in (TRUNCATED, NO_MEMORY)


@pytest.mark.parametrize("offset", [2**63, 2**64 - 1])
def test_offsets_that_no_file_can_have(fds, offset):
    assert gather(spans_of([(offset, 1)]), fds=fds)[1][0] in (TRUNCATED, IO_ERROR)


@pytest.mark.parametrize("blob", [(99, 10), (145, 6), (0, 200), (2**64 - 1, 5)])
def test_blob_outside_its_record(fds, blob):
    spans = checked_span(100, 50, 100, 50)
    spans["offset"], spans["length"] = blob
    assert gather(spans, fds=fds)[1][0] == TRUNCATED


@pytest.mark.parametrize("shard", [2, 2**32 - 1])
def test_span_of_no_shard(fds, shard):
    assert gather(spans_of([(0, 1)], shard=shard), fds=fds)[1][0] == TRUNCATED
    assert gather(spans_of([(0, 1)]), fds=np.array([-1], np.int32))[1][0] == TRUNCATED
    assert gather(spans_of([(0, 1)]))[1][0] == TRUNCATED


def test_a_closed_file_is_an_io_error(tmp_path):
    (tmp_path / "x").write_bytes(DATA)
    write_only = os.open(tmp_path / "x", os.O_WRONLY)
    try:
        failure = gather(spans_of([(0, 1)]), fds=np.array([write_only], np.int32))[1]
    finally:
        os.close(write_only)
    assert failure[:3] == (IO_ERROR, errno.EBADF, 0)


@pytest.mark.parametrize("num_workers", [1, 2, 8])
def test_the_first_row_that_fails_is_reported(num_workers):
    spans = spans_of([(0, 10)] * 100)
    spans["offset"][[40, 41, 77]] = 9999
    assert gather(spans, memories=Memories.of([MEMORY]), num_workers=num_workers)[1][2] == 40


@pytest.mark.parametrize(
    ("offsets", "size"),
    [([0], 9), ([-1], 20), ([11], 20), ([2**62], 20), ([], 20)],
)
def test_outputs_without_room_are_a_mistake(offsets, size):
    with pytest.raises(ValueError, match="out|offsets"):
        Gather(
            spans_of([(0, 10)]),
            np.empty(size, np.uint8),
            np.array(offsets, np.int64),
            memories=Memories.of([MEMORY]),
        )


# Whole files


def joined(paths, folder=b""):
    names = [os.fsencode(path) for path in paths]
    return (
        folder,
        np.frombuffer(b"".join(names), np.uint8),
        offsets_of([len(name) for name in names]),
    )


def findings(num_files):
    """Room for checksums, headers and their statuses."""
    return (
        np.zeros(num_files, np.uint32),
        np.zeros(num_files, IMAGE_INFO),
        np.zeros(num_files, np.int32),
    )


def gather_files(paths, lengths, num_workers=1):
    offsets = offsets_of(lengths)
    out = np.empty(int(offsets[-1]), np.uint8)
    outcomes = run_in_threads(
        GatherFiles(*joined(paths), np.arange(len(paths)), out, offsets, *findings(len(paths))).run,
        num_workers,
    )
    return out.tobytes(), next((outcome for outcome in outcomes if outcome), None)


@pytest.mark.parametrize("num_workers", [1, 2, 8])
def test_files_one_after_the_other(tmp_path, num_workers):
    contents = [DATA[: 37 * i] for i in range(50)]  # the first is empty
    for i, content in enumerate(contents):
        (tmp_path / str(i)).write_bytes(content)
    paths = [tmp_path / str(i) for i in range(50)]
    assert gather_files(paths, [len(content) for content in contents], num_workers) == (
        b"".join(contents),
        None,
    )


def num_open_files():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.isolated
def test_the_first_failure_is_reported_whatever_was_requested_after_it(tmp_path):
    """Files are opened ahead; all before the bad one are read, and every file is closed."""
    for bad, num_workers in itertools.product([0, 1, 15, 16, 17, 39], [1, 3]):
        read_up_to_failure(tmp_path, bad, num_workers)


def read_up_to_failure(tmp_path, bad, num_workers):
    for i in range(40):
        (tmp_path / f"{i:02}").write_bytes(bytes([i]) * (11 if i in (bad, 39) else 10))
    offsets, out = np.arange(41) * 10, np.zeros(400, np.uint8)
    before = num_open_files()
    read = GatherFiles(
        *joined(sorted(tmp_path.iterdir())), np.arange(40), out, offsets, *findings(40)
    )
    rows = [outcome[2] for outcome in run_in_threads(read.run, num_workers) if outcome]
    assert min(rows) == bad
    assert out.reshape(40, 10)[:bad].tolist() == [[i] * 10 for i in range(bad)]
    assert num_open_files() == before


@pytest.mark.isolated
def test_files_are_read_when_no_more_can_be_open_ahead(tmp_path):
    contents = [DATA[: 37 * i] for i in range(40)]
    for i, content in enumerate(contents):
        (tmp_path / f"{i:02}").write_bytes(content)
    paths, before = sorted(tmp_path.iterdir()), resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open(os.devnull, os.O_RDONLY)
    os.close(spare)  # the lowest descriptor that is free
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare + 2, before[1]))
    try:
        found = gather_files(paths, [len(content) for content in contents])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert found == (b"".join(contents), None)


def test_file_names_of_any_bytes(tmp_path):
    path = os.fsencode(tmp_path) + b"/L\xf6we \xff\n"
    with open(path, "wb") as file:
        file.write(DATA)
    assert gather_files([path], [5000]) == (DATA, None)


def make_fifo(path):
    os.mkfifo(path)


def make_link_to_nothing(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("make", "failure"),
    [
        (lambda path: None, (IO_ERROR, errno.ENOENT)),
        (make_link_to_nothing, (IO_ERROR, errno.ENOENT)),
        (lambda path: path.write_bytes(bytes(9)), (FILE_CHANGED, 0)),
        (lambda path: path.write_bytes(bytes(11)), (FILE_CHANGED, 0)),
        (lambda path: path.mkdir(), (FILE_CHANGED, 0)),
        (make_fifo, (FILE_CHANGED, 0)),
    ],
    ids=["vanished", "link to nothing", "shorter", "longer", "folder", "fifo"],
)
def test_files_that_are_not_what_they_were(tmp_path, make, failure):
    (tmp_path / "good").write_bytes(bytes(10))
    make(tmp_path / "bad")
    assert gather_files([tmp_path / "good", tmp_path / "bad"], [10, 10])[1][:3] == (*failure, 1)


@pytest.mark.parametrize("make", [make_fifo, os.mkdir])
def test_what_is_no_file_is_refused_whatever_its_size(tmp_path, make):
    make(tmp_path / "x")
    assert gather_files([tmp_path / "x"], [(tmp_path / "x").stat().st_size])[1][0] == FILE_CHANGED


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    (tmp_path / "x").write_bytes(bytes(10))
    (tmp_path / "x").chmod(0)
    assert gather_files([tmp_path / "x"], [10])[1][:3] == (IO_ERROR, errno.EACCES, 0)


def test_a_device_is_no_file():
    assert gather_files(["/dev/zero"], [10])[1][0] == FILE_CHANGED


@pytest.mark.parametrize("offsets", [[0, 10], [0, 5, 9], [1, 5, 10], [0, 11, 10], []])
def test_offsets_that_do_not_fit_are_a_mistake(offsets):
    with pytest.raises(ValueError, match="offsets"):
        GatherFiles(
            *joined(["a", "b"]),
            np.arange(2),
            np.empty(10, np.uint8),
            np.array(offsets, np.int64),
            *findings(2),
        )


@pytest.mark.parametrize("short", [0, 1, 2])
def test_findings_without_room_are_a_mistake(short):
    room = findings(2)
    room = [each[:1] if i == short else each for i, each in enumerate(room)]
    with pytest.raises(ValueError, match="one length"):
        GatherFiles(
            *joined(["a", "b"]), np.arange(2), np.empty(9, np.uint8), np.array([0, 5, 9]), *room
        )


@pytest.mark.parametrize(
    ("ends", "row"),
    [
        ([0, 2], 0),
        ([-1, 1], 0),
        ([1, 0], 0),
        ([2**62, 2**62], 0),
        ([0, 1], 1),
        ([0, 1], -1),
        ([0], 0),
        ([], 0),
    ],
)
def test_names_that_lead_outside_are_a_mistake(ends, row):
    names, numbers = np.frombuffer(b"a", np.uint8), np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="ends|rows"):
        GatherFiles(
            b"",
            names,
            np.array(ends, np.int64),
            np.array([row]),
            np.empty(0, np.uint8),
            np.zeros(2, np.int64),
            *findings(1),
        )
    if row == 0:
        with pytest.raises(ValueError, match="ends"):
            StatFiles(
                b"", names, np.array(ends, np.int64), numbers, numbers.copy(), np.zeros(1, np.int32)
            )


# The longest name that the system takes has 4,095 bytes. This one leads nowhere but to the folder.
@pytest.mark.parametrize("split", [0, 1, 2000, 4094, 4095])
@pytest.mark.parametrize(
    ("length", "outcome"),
    [(4095, NOT_A_FILE), (4096, errno.ENAMETOOLONG), (9000, errno.ENAMETOOLONG)],
)
def test_names_of_any_length_below_their_folder(split, length, outcome):
    name = b"/" * length
    numbers, errors = np.zeros(1, np.int64), np.zeros(1, np.int32)
    StatFiles(*joined([name[split:]], name[:split]), numbers, numbers.copy(), errors).run()
    assert errors.tolist() == [outcome]
    read = GatherFiles(
        *joined([name[split:]], name[:split]),
        np.zeros(1, np.int64),
        np.empty(0, np.uint8),
        np.zeros(2, np.int64),
        *findings(1),
    )
    assert read.run()[:2] == ((FILE_CHANGED, 0) if outcome == NOT_A_FILE else (IO_ERROR, outcome))


def test_files_below_their_folder(tmp_path):
    (tmp_path / "a").write_bytes(DATA)
    out = np.empty(10000, np.uint8)
    names = joined(["a", "/a"], os.fsencode(tmp_path) + b"/")
    assert (
        GatherFiles(*names, np.arange(2), out, np.array([0, 5000, 10000]), *findings(2)).run()
        is None
    )
    assert out.tobytes() == 2 * DATA


@pytest.mark.parametrize("num_workers", [1, 4])
def test_looking_at_files(tmp_path, num_workers):
    paths = [tmp_path / f"{i}" for i in range(30)]
    for i, path in enumerate(paths):
        path.write_bytes(bytes(i))
        os.utime(path, ns=(0, 10**18 + i))
    paths += [tmp_path, tmp_path / "gone", tmp_path / "0" / "x", tmp_path / "1"]
    sizes, times, errors = np.zeros(34, np.int64), np.zeros(34, np.int64), np.ones(34, np.int32)
    errors[33] = PASSED_OVER
    run_in_threads(StatFiles(*joined(paths), sizes, times, errors).run, num_workers)
    assert sizes.tolist() == [*range(30), 0, 0, 0, 0]
    assert times.tolist() == [*range(10**18, 10**18 + 30), 0, 0, 0, 0]
    assert errors.tolist() == [0] * 30 + [NOT_A_FILE, errno.ENOENT, errno.ENOTDIR, PASSED_OVER]


# Going on past failures


@pytest.mark.parametrize("num_workers", [1, 2, 8])
def test_keep_going_reads_the_others_and_reports_all_failures(fds, num_workers):
    good, bad = checked_span(10, 20, 0, 50), checked_span(10, 20, 0, 50)
    bad["crc32c"] ^= 1
    spans = np.concatenate([good, bad, good, spans_of([(4990, 20)]), good])
    spans["shard"] = 1
    out = np.full(int(spans["length"].sum()), 99, np.uint8)
    job = Gather(spans, out, offsets_of(spans["length"]), fds=fds, keep_going=True)
    run_in_threads(job.run, num_workers)
    assert [(status, row) for status, _, row, _, _ in job.failures()] == [
        (BAD_DATA_CRC, 1),
        (TRUNCATED, 3),
    ]
    rows = out.reshape(5, 20)
    assert all(rows[row].tobytes() == DATA[10:30] for row in (0, 2, 4))


def test_without_it_reading_stops():
    spans = spans_of([(0, 10), (5000, 1), (20, 10)])
    out = np.full(21, 99, np.uint8)
    job = Gather(spans, out, offsets_of(spans["length"]), memories=Memories.of([MEMORY]))
    assert job.run()[2] == 1
    assert [failure[2] for failure in job.failures()] == [1]
    assert (out[11:] == 99).all()


# Hints


def test_announcing_is_no_more_than_a_hint(fds):
    """Adjacent spans, overlaps, gaps, closed shards and offsets past the end are not errors."""
    spans = spans_of([(0, 100), (100, 50), (120, 10), (4000, 100), (4900, 10**6), (2**62, 2**62)])
    spans["shard"] = [0, 0, 0, 1, 1, 7]
    advise_willneed(spans, fds)
    advise_willneed(spans[:0], fds)
    advise_willneed(spans, np.array([-1], np.int32))
    advise_willneed(spans, np.zeros(0, np.int32))
