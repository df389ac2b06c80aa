"""Samples read from fetched ranges are those read from files, in every container."""

import os
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastpack
from fastpack import Normalize, RandomResizedCrop, Resize
from fastpack.core import Ragged
from fastpack.errors import CorruptRecordError, FastpackError
from fastpack.formats.index.index import concatenate
from fastpack.reading.origins import ranges_of
from fastpack.stores.fetched import Fetched
from fastpack.stores.ranges import join
from tests.support.hdf5_files import write_compact_jpegs
from tests.support.images import jpeg, photo, save
from tests.support.tars import write_tar
from tests.support.wire import bytes_list, entry, example, frame, int_list

COUNT = 11
STEPS = {
    "none": (),
    "crop": (RandomResizedCrop(16),),
    "floats": (Resize((12, 20)), Normalize((0.5,) * 3, (0.2,) * 3)),
}


def side_of(number):
    side = 40 + 60 * (number % 3)
    return side, side + 11


def image_of(number):
    """JPEGs and PNGs, some of them large enough for seek points."""
    if number % 4 == 3:
        return save(photo(*side_of(number), seed=number), "PNG")
    return jpeg(*side_of(number), seed=number)


IMAGES = [image_of(number) for number in range(COUNT)]
MASKS = [save(photo(*side_of(number), 1, seed=number), "PNG") for number in range(COUNT)]
PIXELS = np.stack([photo(18, 14, seed=number) for number in range(COUNT)])


def write_tfrecord(folder):
    paths = [folder / f"{shard}.tfrecord" for shard in range(2)]
    for shard, path in enumerate(paths):
        path.write_bytes(
            b"".join(
                frame(
                    example(
                        entry(b"image", bytes_list(IMAGES[i])),
                        entry(b"label", int_list(i)),
                        entry(b"more", bytes_list(b"", bytes(i), b"z" * 50)),
                    )
                )
                for i in range(shard, COUNT, 2)
            )
        )
    return paths


def write_lists(folder):
    """0 to 3 images a record."""
    path = folder / "lists.tfrecord"
    path.write_bytes(
        b"".join(
            frame(
                example(
                    entry(b"images", bytes_list(*IMAGES[i : i + i % 4])), entry(b"n", int_list(i))
                )
            )
            for i in range(1, COUNT)
        )
    )
    return path


def write_masked_tar(folder):
    members = [
        (f"{i}.{ending}", data)
        for i in range(COUNT)
        for ending, data in (("jpg", IMAGES[i]), ("mask.png", MASKS[i]), ("cls", b"%d" % i))
    ]
    return write_tar(folder / "x.tar", members)


def write_vlen(folder, empty=()):
    path = folder / "vlen.h5"
    with h5py.File(path, "w") as f:
        images = f.create_dataset("images", COUNT, h5py.vlen_dtype(np.uint8))
        for i, data in enumerate(IMAGES):
            if i not in empty:
                images[i] = np.frombuffer(data, np.uint8)
        f["labels"] = np.arange(COUNT)
    return path


def write_with_empty_rows(folder):
    return write_vlen(folder, empty=(1, 5))


def write_without_spans(folder):
    return write_compact_jpegs(folder / "compact.h5")


def write_packed(folder):
    for i, data in enumerate(IMAGES):
        (folder / f"{i}.img").write_bytes(data)
    paths = [folder / f"{i}.img" for i in range(COUNT)]
    source = fastpack.sources.ImageFiles(paths, range(COUNT))
    return fastpack.pack(source, folder / "packed.h5", fastpack.PackOptions(shards=2)).paths


def pixels(**layout):
    def write(folder):
        path = folder / "pixels.h5"
        with h5py.File(path, "w") as f:
            images = f.create_dataset("images", PIXELS.shape, np.uint8, fillvalue=9, **layout)
            images[:5], images[8:] = PIXELS[:5], PIXELS[8:]
            f["labels"] = np.arange(COUNT)
        return path

    return write


WITHOUT_SPANS = "hdf5 without spans"
WRITERS = {
    "tfrecord": write_tfrecord,
    "lists": write_lists,
    "tar with masks": write_masked_tar,
    "hdf5 encoded": write_packed,
    "hdf5 vlen": write_vlen,
    "hdf5 empty rows": write_with_empty_rows,
    WITHOUT_SPANS: write_without_spans,
    "hdf5 pixels": pixels(),
    "hdf5 plain chunks": pixels(chunks=(1, 18, 14, 3)),
    "hdf5 chunks of several": pixels(chunks=(4, 18, 14, 3)),
    "hdf5 gzip": pixels(chunks=(3, 18, 14, 3), compression="gzip", shuffle=True),
    "hdf5 parts, lzf": pixels(chunks=(2, 7, 9, 3), compression="lzf", fletcher32=True),
}
WITH_CHECKSUMS = {"tfrecord", "lists", "hdf5 encoded", "hdf5 gzip", "hdf5 parts, lzf"}


@pytest.fixture(scope="module", params=list(WRITERS))
def written(request, tmp_path_factory):
    """The kind of a dataset, and a function that opens it."""
    paths = WRITERS[request.param](tmp_path_factory.mktemp("data"))
    readers = {}

    def opened(**options):
        key = repr(sorted(options.items()))
        if key not in readers:
            readers[key] = fastpack.open(paths, save_index=False, **options)
        return readers[key]

    return request.param, opened


class _FetchedTable:
    """A table whose samples come with the bytes that `fetch` reads."""

    def __init__(self, table, fetch):
        self._table, self._fetch = table, fetch

    def __getattr__(self, name):
        return getattr(self._table, name)

    def __len__(self):
        return len(self._table)

    def take(self, rows, names=None):
        entries = self._table.take(rows, names)
        return replace(entries, fetched=self._fetch(entries))


class _NoFiles:
    def descriptors(self, shards, numbers):
        raise AssertionError("a file was opened")


def read_ranges(shards, ranges):
    buffers = []
    rows = zip(ranges.files.tolist(), ranges.starts.tolist(), ranges.ends.tolist(), strict=True)
    for number, start, end in rows:
        with open(shards[number].path, "rb") as file:
            file.seek(start)
            buffers.append(file.read(end - start))
    return buffers


def from_memory(reader, gap, num_windows, seed=0):
    """The reader over ranges of exactly what each batch needs, joined in windows."""

    def fetch(entries):
        needed = ranges_of(entries)
        window = np.random.default_rng(seed).integers(0, num_windows, len(needed))
        parts = []
        for number in range(num_windows):
            joined = join(needed.take(np.flatnonzero(window == number)), gap, 5000)
            parts.append(Fetched(read_ranges(entries.shards, joined), joined))
        return Fetched.joined(parts)

    samples = reader._samples
    table = _FetchedTable(samples.table, fetch)
    return type(reader)(replace(samples, table=table, files=_NoFiles()), reader._options)


def plain(value):
    if isinstance(value, Ragged | list):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    return value


def outcome(reader, rows, **options):
    """The values of a batch, or the error and its message."""
    try:
        batch = reader.read(rows, **options)
    except FastpackError as error:
        return type(error), str(error)
    values = {name: plain(batch[name]) for name in batch}
    mask = None if batch.mask is None else batch.mask.tolist()
    return values, mask, [(type(error), str(error)) for error in batch.failures]


each_option = given(
    st.lists(st.integers(0, COUNT - 2), max_size=12),
    st.sampled_from(list(STEPS)),
    st.sampled_from([0, 100, 10**6]),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([None, True, "lazy", False]),
    st.integers(0, 99),
)


@each_option
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_samples_of_fetched_ranges_are_those_of_files(
    written, rows, steps, gap, num_windows, check, seek_points, seed
):
    kind, opened = written
    for decode in (True, False):
        options = {"decode": decode, "check": check}
        if decode:
            options["transform"] = STEPS[steps]
        if decode and "pixels" not in kind and "chunks" not in kind:
            options["seek_points"] = seek_points
        reader = opened(**options)
        rows = [row % len(reader) for row in rows]
        found = outcome(from_memory(reader, gap, num_windows, seed), rows, epoch=seed)
        assert found == outcome(reader, rows, epoch=seed)


def test_an_index_keeps_fetched_bytes_only_for_its_own_samples(written):
    """Some rows of an index keep them; a joined index, with other numbers of files, has none."""
    entries = written[1]()._samples.entries(np.array([2, 0]))
    fetched = Fetched([], ranges_of(entries).take(np.zeros(0, np.int64)))
    entries = replace(entries, fetched=fetched)
    assert entries.take(np.array([1])).fetched is fetched
    assert concatenate([entries, entries]).fetched is None


# Damaged files


def flip_stored(reader, samples):
    """Flip a bit in the middle of all ranges of these samples; the files keep their times."""
    entries = reader._samples.entries(np.array(samples))
    needed = join(ranges_of(entries), 0)
    rows = zip(needed.files.tolist(), needed.starts.tolist(), needed.ends.tolist(), strict=True)
    for number, start, end in rows:
        path = entries.shards[number].path
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        with open(path, "r+b") as file:
            file.seek((start + end) // 2)
            (byte,) = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 4]))
        os.utime(path, ns=times)


DAMAGE_OPTIONS = [
    {"on_error": on_error, "decode": decode, "check": check, "seek_points": False}
    for on_error in ("raise", "mask", "skip")
    for decode in (True, False)
    for check in (None, True, False)
]


@pytest.fixture(scope="module", params=[kind for kind in WRITERS if kind != WITHOUT_SPANS])
def damaged(request, tmp_path_factory):
    """Readers of a file whose samples 2 and 7 lost a bit after it was opened."""
    paths = WRITERS[request.param](tmp_path_factory.mktemp("damaged"))
    readers = [
        fastpack.open(paths, save_index=False, transform=Resize(9), **options)
        if options["decode"]
        else fastpack.open(paths, save_index=False, **options)
        for options in DAMAGE_OPTIONS
    ]
    flip_stored(readers[0], [2, 7])
    return request.param, readers


@given(
    st.lists(st.integers(0, COUNT - 2), min_size=1, max_size=8),
    st.sampled_from([0, 100, 10**6]),
    st.integers(1, 3),
    st.integers(0, 99),
)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
def test_damage_is_reported_as_in_a_file(damaged, rows, gap, num_windows, seed):
    """The same error at the same place, and the same samples beside it."""
    for reader in damaged[1]:
        found = outcome(from_memory(reader, gap, num_windows, seed), rows)
        assert found == outcome(reader, rows)


def test_a_flipped_bit_is_noticed_where_there_is_a_checksum(damaged):
    kind, readers = damaged
    reader = readers[DAMAGE_OPTIONS.index({**DAMAGE_OPTIONS[0], "check": True, "decode": False})]
    found = outcome(from_memory(reader, 100, 2), [2])
    assert (found[0] is CorruptRecordError) == (kind in WITH_CHECKSUMS)
