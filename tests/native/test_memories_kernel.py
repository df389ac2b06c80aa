"""Kernels read from memories what they read from files, and nothing outside of them."""

import itertools
import math
import os

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack._native.chunks import ReadChunks
from fastpack._native.crc32c import crc32c
from fastpack._native.decode import DecodeBatch, SeekPointBatch
from fastpack._native.gather import Gather
from fastpack.core.dtypes import NO_SPAN, SPAN
from fastpack.core.memories import Memories
from fastpack.core.ragged import offsets_of
from fastpack.core.threads import run_in_threads
from fastpack.formats.hdf5.locate import chunks_of, filters_of
from fastpack.formats.index.chunks import ChunkTable
from tests.support.decode_jobs import run_all, view_of
from tests.support.images import jpeg
from tests.support.seek_points import spans_of

TRUNCATED, BAD_DATA_CRC = 3, 5
MANY = 2**64 - 1
DATA = np.random.default_rng(0).integers(0, 256, 3000).astype(np.uint8).tobytes()


@pytest.fixture(scope="module")
def fds(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data"
    path.write_bytes(DATA)
    with open(path, "rb") as file:
        yield np.array([file.fileno()], np.int32)


@st.composite
def divided(draw, count=8):
    """Spans of a file, and memories that each have the record of some of them and more."""
    spans = np.zeros(draw(st.integers(1, count)), SPAN)
    moved = np.zeros_like(spans)
    memories = []
    for row in range(len(spans)):
        bounds = sorted(draw(st.lists(st.integers(0, len(DATA)), min_size=6, max_size=6)))
        begin, record, first, end, record_end, memory_end = bounds
        has_record = draw(st.booleans())
        crc = crc32c(DATA[record:record_end]) ^ draw(st.sampled_from([0, 0, 0, 1]))
        lengths = end - first, record, (record_end - record) * has_record
        spans[row] = (0, crc, first, *lengths)
        moved[row] = (len(memories), crc, first - begin, *lengths)
        moved["record_offset"][row] -= np.uint64(begin)
        memories.append(DATA[begin:memory_end])
    return spans, moved, memories


def gathered(spans, *, check=True, **origin):
    """The bytes of spans without failure, and the failures without offsets."""
    out = np.full(int(spans["length"].sum()), 99, np.uint8)
    offsets = offsets_of(spans["length"])
    job = Gather(spans, out, offsets, check=check, keep_going=True, **origin)
    run_in_threads(job.run, 2)
    failures = [(status, row, message) for status, _, row, _, message in job.failures()]
    failed = {row for _, row, _ in failures}
    pieces = itertools.pairwise(offsets.tolist())
    return failures, [out[a:b].tobytes() for row, (a, b) in enumerate(pieces) if row not in failed]


@given(divided(), st.booleans())
def test_spans_of_memories_are_those_of_the_file(fds, division, check):
    spans, moved, memories = division
    from_memories = gathered(moved, memories=Memories.of(memories), check=check)
    assert from_memories == gathered(spans, fds=fds, check=check)


NUMBERS = st.integers(0, 130) | st.sampled_from([2**32, 2**63, MANY - 100, MANY - 1, MANY])


@given(
    st.integers(0, 4) | st.just(2**32 - 1),
    st.lists(NUMBERS, min_size=4, max_size=4),
    st.booleans(),
)
def test_hostile_spans_read_nothing_outside_of_a_memory(shard, numbers, check):
    """Whole bytes of the memory, or a failure; a sanitized build sees any other read."""
    offset, length, record_offset, record_length = numbers
    length = min(length, 2**20)
    memories = [DATA[:100], b"", DATA[100:130]]
    spans = np.zeros(2, SPAN)
    spans["length"] = 1, 0  # the first makes room
    spans[1] = (shard, 7, offset, length, record_offset, record_length)
    failures, pieces = gathered(spans, memories=Memories.of(memories), check=check)
    if not failures:
        assert pieces[1] == memories[shard][offset : offset + length]
        assert offset + length <= len(memories[shard])
        return
    assert [(status in (TRUNCATED, BAD_DATA_CRC), row) for status, row, _ in failures] == [
        (True, 1)
    ]
    if shard > 2:
        assert failures[0][2] == "the span refers to a missing memory"


def test_a_blob_outside_its_record_fails_as_in_a_file(fds):
    spans = np.zeros(1, SPAN)
    spans[0] = (0, crc32c(DATA[:10]), 5, 20, 0, 10)
    assert gathered(spans, memories=Memories.of([DATA])) == gathered(spans, fds=fds)
    assert gathered(spans, fds=fds)[0][0][0] == TRUNCATED


@pytest.mark.parametrize(
    "buffer",
    [DATA, bytearray(DATA), memoryview(DATA), np.frombuffer(DATA, np.uint8)],
    ids=["bytes", "bytearray", "memoryview", "array"],
)
def test_any_contiguous_buffer_is_a_memory(buffer, fds):
    spans = np.zeros(1, SPAN)
    spans["length"] = len(DATA)
    assert gathered(spans, memories=Memories.of([buffer])) == gathered(spans, fds=fds)


def test_a_buffer_with_gaps_is_not_a_memory():
    with pytest.raises(ValueError, match="contiguous"):
        Memories.of([np.frombuffer(DATA, np.uint8)[::2]])


def test_a_job_keeps_its_memories_alive():
    spans = np.zeros(50, SPAN)
    spans["shard"], spans["length"] = np.arange(50), 100_000
    out = np.zeros(50 * 100_000, np.uint8)
    buffers = [np.full(100_000, row, np.uint8) for row in range(50)]
    job = Gather(spans, out, offsets_of(spans["length"]), memories=Memories.of(buffers))
    del buffers
    others = [np.full(100_000, 255, np.uint8) for _ in range(50)]
    assert job.run() is None
    assert (out.reshape(50, -1) == np.arange(50)[:, None]).all()
    assert len(others) == 50


# JPEGs, with and without seek points

IMAGES = [jpeg(90 + 7 * seed, 120, seed=seed, quality=95) for seed in range(4)]


def image_spans(*, in_memories=False):
    """Spans of the images one after the other, or in a memory each."""
    spans = spans_of(IMAGES)
    spans["crc32c"] = [crc32c(data) for data in IMAGES]
    if in_memories:
        spans["shard"], spans["offset"] = np.arange(4), 0
    spans["record_offset"], spans["record_length"] = spans["offset"], spans["length"]
    return spans


def seek_points(spans, **origin):
    """The words of each table."""
    job = SeekPointBatch(spans, **origin)
    assert run_all(job) == []
    lengths = np.zeros(len(spans), np.int64)
    job.lengths(lengths)
    words = np.zeros(lengths.sum(), np.uint64)
    job.words(words)
    return [table.tolist() for table in np.split(words, np.cumsum(lengths)[:-1])]


TABLES = seek_points(image_spans(in_memories=True), memories=Memories.of(IMAGES))
VIEW = view_of(50, 40, x=30, y=21)


@pytest.fixture(scope="module")
def image_fds(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "images"
    path.write_bytes(b"".join(IMAGES))
    with open(path, "rb") as file:
        yield np.array([file.fileno()], np.int32)


def decoded(spans, *, has_tables, check, **origin):
    outs = [np.full((40, 50, 3), 99, np.uint8) for _ in spans]
    ends = np.cumsum([len(table) for table in TABLES])
    words = np.array(sum(TABLES, []), np.uint64)
    tables = words, ends - [len(table) for table in TABLES], ends
    job = DecodeBatch(
        spans,
        np.repeat(VIEW, len(spans)),
        outs,
        max_pixels=10**6,
        max_scans=10,
        seek_points=tables if has_tables else None,
        check=check,
        keep_going=True,
        **origin,
    )
    run_in_threads(job.run, 2)
    return [failure[0] for failure in job.failures()], np.stack(outs), job.num_with_seek_points()


@pytest.mark.usefixtures("own_decoder")
@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=4, max_size=4),
    st.permutations(range(4)),
    st.booleans(),
    st.booleans(),
)
def test_images_of_memories_are_those_of_the_file(image_fds, margins, order, has_tables, check):
    spans = image_spans()
    moved, memories = spans.copy(), [b""] * 4
    for row, (before, after) in enumerate(margins):
        memories[order[row]] = bytes(before) + IMAGES[row] + bytes(after)
        moved["shard"][row] = order[row]
        moved["offset"][row] = moved["record_offset"][row] = before
    options = {"has_tables": has_tables, "check": check}
    expected = decoded(spans, fds=image_fds, **options)
    found = decoded(moved, memories=Memories.of(memories), **options)
    assert found[0] == expected[0] == []
    assert (found[1] == expected[1]).all()
    assert found[2] == expected[2] == 4 * has_tables


def test_seek_points_of_memories_are_those_of_the_file(image_fds):
    assert all(TABLES)
    assert seek_points(image_spans(), fds=image_fds) == TABLES


def test_damage_of_an_image_in_memory_is_found():
    """On disk a crop with seek points skips other bytes; in memory the checksum covers all."""
    damaged = bytearray(IMAGES[2])
    damaged[-20] ^= 1
    memories = Memories.of([*IMAGES[:2], damaged, IMAGES[3]])
    spans = image_spans(in_memories=True)
    assert decoded(spans, has_tables=True, check=True, memories=memories)[0] == [BAD_DATA_CRC]


# Chunks

VALUES = np.random.default_rng(1).integers(0, 9, (23, 7, 5)).astype(np.uint8)
LAYOUTS = {
    "plain": {"chunks": (1, 7, 5)},
    "plain, several samples": {"chunks": (4, 3, 5)},
    "gzip": {"chunks": (3, 7, 5), "compression": "gzip", "shuffle": True},
    "one sample, gzip": {"chunks": (1, 7, 5), "compression": "gzip", "fletcher32": True},
    "divided samples": {"chunks": (5, 4, 2), "compression": "lzf"},
}


@pytest.fixture(scope="module", params=list(LAYOUTS))
def chunked(request, tmp_path_factory):
    """The table of a dataset whose samples 8 to 13 were never written, its bytes and its file."""
    path = tmp_path_factory.mktemp("chunks") / "x.h5"
    with h5py.File(path, "w") as f:
        layout = LAYOUTS[request.param]
        dataset = f.create_dataset("x", VALUES.shape, np.uint8, fillvalue=77, **layout)
        dataset[:8], dataset[14:] = VALUES[:8], VALUES[14:]
    with h5py.File(path, "r") as f:
        dataset = f["x"]
        table = ChunkTable(
            dataset.shape,
            dataset.chunks,
            filters_of(dataset),
            chunks_of(dataset, path.stat().st_size, None),
            np.array([77], np.uint8),
        )
        expected = dataset[:]
    fd = os.open(path, os.O_RDONLY)
    yield table, path.read_bytes(), fd, expected
    os.close(fd)


def read_chunks(table, samples, fd=-1, **origin):
    out = np.full(len(samples) * 35, 99, np.uint8)
    job = ReadChunks(
        fd,
        table.chunks,
        table.filters,
        table.fill,
        shape=table.shape,
        chunk_shape=table.chunk_shape,
        wanted=table.wanted(samples, np.arange(len(samples))),
        out=out,
        **origin,
    )
    outcomes = run_in_threads(job.run, 2)
    return out.reshape(-1, 7, 5), [outcome for outcome in outcomes if outcome]


def wanted_chunks(table, samples):
    layers = table.wanted(samples, np.arange(len(samples)))[0]
    return table.chunks.reshape(-1, math.prod(table.grid[1:]))[layers].ravel()


@given(st.lists(st.integers(0, 22), min_size=1, max_size=9), st.data())
def test_chunks_of_memories_are_those_of_the_file(chunked, samples, data):
    table, contents, fd, expected = chunked
    samples = np.array(samples)
    chunks = wanted_chunks(table, samples)
    numbers, offsets = np.zeros(len(chunks), np.uint32), np.zeros(len(chunks), np.uint64)
    memories = [b"another"]
    for i, (offset, length, _) in enumerate(chunks.tolist()):
        if offset != int(NO_SPAN):
            before = data.draw(st.integers(0, min(offset, 20)))
            numbers[i], offsets[i] = len(memories), before
            memories.append(contents[offset - before : offset + length + before])
    origin = {"memories": Memories.of(memories), "located": (numbers, offsets)}
    for pixels, failures in (
        read_chunks(table, samples, fd),
        read_chunks(table, samples, **origin),
    ):
        assert failures == []
        assert (pixels == expected[samples]).all()


@given(
    st.integers(0, 3) | st.just(2**32 - 1),
    st.integers(0, 2000) | st.sampled_from([2**63, MANY - 3, MANY]),
)
def test_hostile_places_of_chunks_read_nothing_outside_of_a_memory(chunked, number, offset):
    table, contents, _, _ = chunked
    samples = np.array([1, 15])
    chunks = wanted_chunks(table, samples)
    located = np.full(len(chunks), number, np.uint32), np.full(len(chunks), offset, np.uint64)
    memories = [contents[:500], b"", contents[:1]]
    _, failures = read_chunks(table, samples, memories=Memories.of(memories), located=located)
    if number > 0 or offset >= 500:
        assert failures


def test_places_of_another_number_of_chunks_are_a_mistake(chunked):
    table, contents, _, _ = chunked
    located = np.zeros(99, np.uint32), np.zeros(99, np.uint64)
    with pytest.raises(ValueError, match="located"):
        read_chunks(table, np.array([1]), memories=Memories.of([contents]), located=located)
