"""Bad samples without an encoded span: stored pixels, files of a folder, library reads."""

import os
from dataclasses import replace

import h5py
import numpy as np
import pytest

import fastpack
from fastpack import Normalize, Resize
from fastpack.errors import CorruptRecordError, FastpackError, FormatError
from fastpack.files.companions import index_path
from fastpack.files.shard import Shard
from fastpack.formats.hdf5.container import Hdf5Container
from fastpack.reading.reader import Reader
from fastpack.reading.samples import Samples
from tests.support.damage import in_place
from tests.support.images import jpeg

NUM_SAMPLES = 9
PIXELS = np.random.default_rng(0).integers(1, 256, (NUM_SAMPLES, 6, 5, 3), np.uint8)
each_policy = pytest.mark.parametrize("on_error", ["mask", "skip"])


def check(batch, bad, good, on_error):
    """`good` are the values of all rows as they would be, as lists or arrays."""
    kept = [row for row in range(NUM_SAMPLES) if row not in bad]
    assert len(batch.failures) == len(bad)
    assert batch.mask.tolist() == [
        row not in bad for row in (range(NUM_SAMPLES) if on_error == "mask" else kept)
    ]
    assert batch.sample_numbers.tolist() == (
        list(range(NUM_SAMPLES)) if on_error == "mask" else kept
    )
    images = batch["image"]
    for position, row in enumerate(batch.sample_numbers.tolist()):
        assert (
            not np.any(images[position])
            if row in bad
            else np.array_equal(images[position], good[row])
        )


def with_damaged_chunks(path, bad):
    """Of one sample each; gzip detects damage by its own checksum."""
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", data=PIXELS, chunks=(1, 6, 5, 3), compression="gzip")
        offsets = [images.id.get_chunk_info(row).byte_offset for row in bad]
    reader = fastpack.open(path, save_index=False)
    in_place(path, dict.fromkeys(offsets, b"\xff" * 16))
    return reader


def cut_short(path, bad):
    """A truncated file with the index of the whole one: samples after the cut fail."""
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", data=PIXELS)
        first = images.id.get_offset()
    index = fastpack.open(path, save_index=False).index
    os.truncate(path, first + min(bad) * PIXELS[0].nbytes)
    return Reader(Samples.of(replace(index, shards=(Shard.of(path, "hdf5"),))))


def not_to_be_fetched(path, bad):
    with h5py.File(path, "w") as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.COMPACT)
        made = h5py.h5d.create(
            file.id, b"images", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple(PIXELS.shape), layout
        )
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, PIXELS)
    return fastpack.open(path, save_index=False)


@pytest.fixture(
    params=[(with_damaged_chunks, [2, 3, 7]), (cut_short, [6, 7, 8]), (not_to_be_fetched, [0, 8])],
    ids=lambda each: each[0].__name__,
)
def pixels(request, tmp_path, monkeypatch):
    """A reader of stored pixels, and which of them cannot be read."""
    damage, bad = request.param
    fetch = Hdf5Container.fetch

    def fail(container, shard, stored_as, record_numbers, files=None):
        if damage is not_to_be_fetched and set(bad) & set(record_numbers):
            raise FormatError(f"HDF5 cannot read the file - at {shard.path}")
        return fetch(container, shard, stored_as, record_numbers, files)

    monkeypatch.setattr(Hdf5Container, "fetch", fail)
    return damage(tmp_path / "pixels.h5", bad), bad


@each_policy
def test_stored_pixels(pixels, on_error):
    reader, bad = pixels
    batch = reader.with_options(on_error=on_error).read(range(NUM_SAMPLES))
    check(batch, bad, PIXELS, on_error)
    for row, failure in zip(bad, batch.failures, strict=True):
        assert f"record {row}" in str(failure)


@pytest.mark.parametrize(
    "steps",
    [(Resize(4),), (Resize(4), Normalize((0.5,) * 3, (0.2,) * 3))],
    ids=["resize", "floats"],
)
def test_stored_pixels_that_are_transformed(pixels, steps, tmp_path):
    reader, bad = pixels
    with h5py.File(tmp_path / "good.h5", "w") as file:
        file["images"] = PIXELS
    good = fastpack.open(tmp_path / "good.h5", transform=steps).read(range(NUM_SAMPLES))["image"]
    check(
        reader.with_options(on_error="mask", transform=steps).read(range(NUM_SAMPLES)),
        bad,
        good,
        "mask",
    )


def test_stored_pixels_raise(pixels):
    reader, _ = pixels
    with pytest.raises(FastpackError):
        reader.read(range(NUM_SAMPLES))


def test_into_memory_of_the_caller(pixels):
    reader, bad = pixels
    out = np.full((NUM_SAMPLES, 6, 5, 6), 7, np.uint8)[..., ::2]
    batch = reader.with_options(on_error="mask").read(range(NUM_SAMPLES), out=out)
    assert batch["image"] is out
    check(batch, bad, PIXELS, "mask")


JPEGS = [jpeg(20 + row, 30, seed=row) for row in range(NUM_SAMPLES)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder" / "cat").mkdir(parents=True)
    for row, data in enumerate(JPEGS):
        (tmp_path / "folder" / "cat" / f"{row}.jpg").write_bytes(data)
    return tmp_path / "folder"


@each_policy
@pytest.mark.parametrize("decode", [True, False])
def test_files_of_a_folder(folder, on_error, decode):
    reader = fastpack.open(folder, save_index=False, decode=decode, on_error=on_error)
    good = fastpack.open(folder, save_index=False, decode=decode).read(range(NUM_SAMPLES))["image"]
    (folder / "cat" / "1.jpg").unlink()
    (folder / "cat" / "4.jpg").write_bytes(JPEGS[4] + b"longer")
    (folder / "cat" / "8.jpg").write_bytes(b"")
    batch = reader.read(range(NUM_SAMPLES))
    check(batch, [1, 4, 8], good, on_error)
    assert [
        f"cat/{row}.jpg" in str(failure)
        for row, failure in zip([1, 4, 8], batch.failures, strict=True)
    ] == [True] * 3


def rows_of(values):
    return [values[row] for row in range(len(values))]


@pytest.mark.parametrize(
    "options",
    [{}, {"decode": False}, {"transform": Resize(8)}],
    ids=["whole", "encoded", "resized"],
)
@pytest.mark.parametrize("suffix", ["tfrecord", "h5"])
def test_a_batch_of_a_folder_and_of_records(folder, tmp_path, options, suffix):
    """Fields with spans and fields that the library reads, side by side."""
    fastpack.pack(fastpack.from_folder(folder), tmp_path / f"packed.{suffix}")
    packed, files = (
        fastpack.open(path, fields=["image", "label"], **options)
        for path in (tmp_path / f"packed.{suffix}", folder)
    )
    rows = [0, 17, 3, 9, 9, 8, 12]
    images = rows_of(fastpack.concat([packed, files]).read(rows)["image"])
    wanted = [
        rows_of((packed if row < NUM_SAMPLES else files).read([row % NUM_SAMPLES])["image"])[0]
        for row in rows
    ]
    assert all(map(np.array_equal, images, wanted))


@each_policy
def test_a_batch_of_a_folder_and_of_damaged_records(folder, tmp_path, on_error):
    fastpack.pack(fastpack.from_folder(folder), tmp_path / "packed.tfrecord")
    readers = [
        fastpack.open(path, fields=["image", "label"], on_error=on_error)
        for path in (tmp_path / "packed.tfrecord", folder)
    ]
    both = fastpack.concat(readers)
    span = both.index.spans["image"][2]
    readers[0].read([0])
    in_place(tmp_path / "packed.tfrecord", {int(span["offset"]) + 20: b"\0\1\2\3"})
    (folder / "cat" / "5.jpg").unlink()
    batch = both.read([1, 2, 9 + 5, 9 + 2])
    assert isinstance(batch.failures[0], CorruptRecordError)
    assert "5.jpg" in str(batch.failures[1])
    assert batch.sample_numbers.tolist() == ([1, 2, 14, 11] if on_error == "mask" else [1, 11])
    assert batch.mask.tolist() == (
        [True, False, False, True] if on_error == "mask" else [True, True]
    )


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("file_first", [True, False])
def test_raise_names_the_lowest_whatever_way_it_is_read(folder, tmp_path, decode, file_first):
    """One sample has no image, as its header shows; the file of another is missing."""
    broken = h5py.special_dtype(vlen=np.uint8)
    with h5py.File(tmp_path / "packed.h5", "w") as file:
        file.create_dataset(
            "images",
            data=[np.frombuffer(data, np.uint8) for data in [JPEGS[0], b"no image" * 9]],
            dtype=broken,
        )
    readers = [
        fastpack.open(path, fields=["image"], decode=decode)
        for path in (tmp_path / "packed.h5", folder)
    ]
    both = fastpack.concat(readers)
    (folder / "cat" / "5.jpg").unlink()
    rows = [0, 2 + 5, 1, 2 + 2] if file_first else [0, 1, 2 + 5, 2 + 2]
    with pytest.raises(
        FastpackError, match="5.jpg" if file_first or not decode else "packed.h5, record 1"
    ):
        both.read(rows)


@pytest.mark.parametrize("chunked_first", [True, False])
def test_raise_names_the_lowest_of_pixels_in_chunks_and_in_spans(tmp_path, chunked_first):
    damaged = with_damaged_chunks(tmp_path / "chunks.h5", [4])
    cut = cut_short(tmp_path / "spans.h5", [6])
    rows = [4, NUM_SAMPLES + 6] if chunked_first else [NUM_SAMPLES + 6, 4]
    both = fastpack.concat([damaged, cut])
    with pytest.raises(
        FastpackError, match="chunks.h5, record 4" if chunked_first else "/spans.h5"
    ):
        both.read([0, *rows])


@pytest.mark.parametrize("on_error", ["raise", "skip", "mask"])
def test_a_single_sample_is_never_filled_in(pixels, on_error):
    """It has no mask that could show it."""
    reader, bad = pixels
    reader = reader.with_options(on_error=on_error)
    with pytest.raises(FastpackError, match=f"record {bad[0]}"):
        reader[bad[0]]
    assert np.array_equal(reader[1]["image"], PIXELS[1])


def packed_h5(folder, output, layout):
    options = {"size": 6} if layout == "pixels" else {"layout": layout}
    fastpack.pack(folder, output, fastpack.PackOptions(**options))
    return fastpack.open(output)


@each_policy
@pytest.mark.parametrize("layout", ["encoded", "vlen", "pixels"])
def test_images_that_differ_when_they_are_indexed(folder, tmp_path, layout, on_error):
    """Opening skips them like reading, also among rows that are read together; or it raises."""
    good = packed_h5(folder, tmp_path / "x.h5", layout)
    offsets = good.index.spans["image"]["offset"].tolist()
    index_path(tmp_path / "x.h5").unlink()
    in_place(tmp_path / "x.h5", {offsets[row] + 40: b"\1\2\3\4\5" for row in (3, 8)})
    with pytest.raises(CorruptRecordError, match="record 3"):
        fastpack.open(tmp_path / "x.h5")
    reader = fastpack.open(tmp_path / "x.h5", on_error=on_error)
    expected = [None if row in (3, 8) else good[row]["image"] for row in range(NUM_SAMPLES)]
    batch = reader.read(range(NUM_SAMPLES))
    check(batch, [3, 8], expected, on_error)
    assert [
        f"record {row}" in str(failure) for row, failure in zip([3, 8], batch.failures, strict=True)
    ] == [True] * 2
    with pytest.raises(CorruptRecordError, match="record 3"):
        reader.with_options(on_error="raise").read([2, 3, 4])
