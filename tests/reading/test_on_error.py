"""Bad samples among good ones: raise names the first, mask keeps rows, skip removes them."""

import os
import struct

import numpy as np
import pytest

import fastpack
from fastpack import CenterCrop, HorizontalFlip, Limits, Normalize, RandomResizedCrop, Resize
from fastpack.errors import (
    CorruptImageError,
    CorruptRecordError,
    FastpackError,
    LimitError,
    UnsupportedImageError,
)
from tests.support.images import jpeg, photo, save
from tests.support.wire import bytes_list, entry, example, frame, int_list

NUM_SAMPLES = 12
SIZE = (40, 56)


def image_file(i):
    return save(photo(*SIZE, seed=i), "PNG") if i % 3 == 1 else jpeg(*SIZE, seed=i)


GOOD = [image_file(i) for i in range(NUM_SAMPLES)]


def record(i, data):
    key = entry(b"key", bytes_list(f"sample {i}".encode()))
    return frame(example(entry(b"image", bytes_list(data)), entry(b"label", int_list(10 * i)), key))


def cut_short(data, i):
    return record(i, data[:-60])


def no_image(data, i):
    return record(i, b"an error page, not an image")


def nothing(data, i):
    return record(i, b"")


def header_only(data, i):
    return record(i, data[:20])


def too_large(data, i):
    return record(i, jpeg(400, 300))


def bit_flipped(data, i):
    """In the middle of the image: the record's checksum detects it. See open_damaged."""
    damaged = bytearray(record(i, data))
    damaged[len(damaged) // 2] ^= 0x10
    return bytes(damaged)


# Damage of a sample -> the error for it.
DAMAGES = {
    cut_short: CorruptImageError,
    no_image: UnsupportedImageError,
    nothing: UnsupportedImageError,
    header_only: CorruptImageError,
    too_large: LimitError,
    bit_flipped: CorruptRecordError,
}
# 0 is good: by it the reader sees that these are images. 3, 6 and 9 are JPEGs, 4 and 7 PNGs.
PLACES = {
    "one jpeg": {3: cut_short},
    "one png": {4: cut_short},
    "all kinds": {
        2: no_image,
        3: cut_short,
        4: bit_flipped,
        6: bit_flipped,
        7: cut_short,
        8: too_large,
        9: header_only,
        10: nothing,
    },
    "the last": {NUM_SAMPLES - 1: bit_flipped},
    "all except the first": {i: (cut_short, bit_flipped)[i % 2] for i in range(1, NUM_SAMPLES)},
}
LIMITS = Limits(max_pixels=100_000)
FLOATS = Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
STEPS = {
    "none": (),
    "resize": Resize((16, 20)),
    "augmented": (RandomResizedCrop(16), HorizontalFlip()),
    "floats": (Resize(16), FLOATS),
}


def shard(path, damages):
    """A TFRecord of good samples, except for the damaged ones."""
    path.write_bytes(
        b"".join(
            damages[i](data, i) if i in damages else record(i, data) for i, data in enumerate(GOOD)
        )
    )
    return path


def open_damaged(path, damages, **options):
    """Flipped bits come after the file was opened, for opening looks at all checksums."""
    shard(path, {i: damage for i, damage in damages.items() if damage is not bit_flipped})
    reader = fastpack.open(path, **{"limits": LIMITS, "save_index": False, **options})
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    shard(path, damages)
    os.utime(path, ns=times)  # as a disk that loses a bit does
    return reader


@pytest.fixture
def good(tmp_path):
    return fastpack.open(shard(tmp_path / "good.tfrecord", {}), limits=LIMITS)


@pytest.fixture(params=PLACES)
def damages(request):
    return PLACES[request.param]


@pytest.fixture
def damaged(tmp_path, damages):
    return open_damaged(tmp_path / "bad.tfrecord", damages)


each_steps = pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
each_workers = pytest.mark.parametrize("num_workers", [1, 2, 8])


def check_failures(batch, damages, order):
    """One for each bad sample, in the order of the batch, of the right kind, naming the record."""
    bad = [i for i in order if i in damages]
    assert len(batch.failures) == len(bad)
    for i, failure in zip(bad, batch.failures, strict=True):
        assert isinstance(failure, DAMAGES[damages[i]])
        assert f"bad.tfrecord, record {i}, " in f"{failure}, "


@each_steps
@each_workers
def test_mask_keeps_the_rows(good, damaged, damages, steps, num_workers):
    order = np.random.default_rng(1).permutation(NUM_SAMPLES)
    batch = damaged.with_options(on_error="mask", transform=steps, num_workers=num_workers).read(
        order, epoch=2
    )
    expected = good.with_options(transform=steps).read(order, epoch=2)
    assert batch.num_samples == NUM_SAMPLES
    assert batch.mask.tolist() == [i not in damages for i in order]
    assert batch["label"].tolist() == expected["label"].tolist()
    assert list(batch["key"]) == list(expected["key"])
    for image, wanted, is_good in zip(batch["image"], expected["image"], batch.mask, strict=True):
        assert (image == wanted).all() if is_good else not image.any()
    check_failures(batch, damages, order)


@each_steps
@each_workers
def test_skip_leaves_them_out(good, damaged, damages, steps, num_workers):
    order = np.random.default_rng(2).permutation(NUM_SAMPLES)
    batch = damaged.with_options(on_error="skip", transform=steps, num_workers=num_workers).read(
        order, epoch=2
    )
    left = [i for i in order if i not in damages]
    expected = good.with_options(transform=steps).read(left, epoch=2)
    assert batch.num_samples == len(left)
    assert batch.mask.all()
    assert batch["label"].tolist() == [10 * i for i in left]
    assert list(batch["key"]) == [f"sample {i}" for i in left]
    assert all(
        (image == wanted).all()
        for image, wanted in zip(batch["image"], expected["image"], strict=True)
    )
    check_failures(batch, damages, order)


@pytest.mark.parametrize("on_error", ["raise", "mask", "skip"])
def test_without_damage_they_are_alike(good, on_error):
    batch = good.with_options(on_error=on_error, transform=Resize(16)).read(range(NUM_SAMPLES))
    assert batch.failures == ()
    assert batch.mask.tolist() == [True] * NUM_SAMPLES
    assert (
        batch["image"] == good.with_options(transform=Resize(16)).read(range(NUM_SAMPLES))["image"]
    ).all()


@pytest.mark.parametrize("damage", DAMAGES)
@each_workers
def test_raise_names_the_sample(tmp_path, damage, num_workers):
    reader = open_damaged(
        tmp_path / "bad.tfrecord", {5: damage}, transform=Resize(16), num_workers=num_workers
    )
    with pytest.raises(DAMAGES[damage], match=r"bad\.tfrecord, record 5"):
        reader.read(range(NUM_SAMPLES))
    assert reader.read([0, 4, 6])["image"].any()  # and goes on


@pytest.mark.parametrize("damage", [cut_short, bit_flipped])
@pytest.mark.parametrize(
    "rows", [(3, 6, 9), (6, 8, 11), (1, 4, 7)], ids=["jpegs", "jpegs later", "pngs"]
)
@each_workers
def test_raise_names_the_lowest(tmp_path, damage, rows, num_workers):
    reader = open_damaged(
        tmp_path / "bad.tfrecord", dict.fromkeys(rows, damage), num_workers=num_workers
    )
    with pytest.raises(FastpackError, match=f"record {rows[0]},"):
        reader.read(range(NUM_SAMPLES))
    with pytest.raises(FastpackError, match=f"record {rows[-1]},"):
        reader.read(range(NUM_SAMPLES)[::-1])  # of the batch, not of the file


@pytest.mark.parametrize(
    "damages",
    [{1: cut_short, 3: cut_short}, {3: cut_short, 8: no_image}],
    ids=["png first", "header last"],
)
def test_raise_names_the_lowest_of_mixed_kinds(damaged, damages):
    with pytest.raises(FastpackError, match=f"record {min(damages)},"):
        damaged.read(range(NUM_SAMPLES))


@pytest.mark.parametrize("damages", [PLACES["all kinds"]], ids=["all kinds"])
@pytest.mark.parametrize(
    "steps", [Resize((16, 20)), (Resize((16, 20)), FLOATS)], ids=["levels", "floats"]
)
def test_mask_into_out(good, damaged, damages, steps):
    expected = good.with_options(transform=steps).read(range(NUM_SAMPLES))["image"]
    expected[sorted(damages)] = 0
    memory = np.full((NUM_SAMPLES, *(side + 4 for side in expected.shape[1:])), 7, expected.dtype)
    window = memory[:, 2:-2, 2:-2, 2:-2]
    batch = damaged.with_options(transform=steps, on_error="mask").read(
        range(NUM_SAMPLES), out=window
    )
    assert batch["image"] is window
    assert (window == expected).all()
    window[...] = 7
    assert (memory == 7).all()


@pytest.mark.parametrize("damages", [PLACES["all kinds"]], ids=["all kinds"])
def test_skip_with_out(good, damaged, damages):
    """The batch holds the good ones, in order."""
    left = [i for i in range(NUM_SAMPLES) if i not in damages]
    out = np.full((NUM_SAMPLES, 16, 16, 3), 7, np.uint8)
    batch = damaged.with_options(transform=Resize(16), on_error="skip").read(
        range(NUM_SAMPLES), out=out
    )
    assert (batch["image"] == good.with_options(transform=Resize(16)).read(left)["image"]).all()


@pytest.mark.parametrize("on_error", ["mask", "skip"])
@pytest.mark.parametrize(
    ("damage", "steps"),
    [
        *[
            (damage, steps)
            for damage in (cut_short, no_image, bit_flipped)
            for steps in ((), Resize(16), (Resize(16), FLOATS))
        ],
        (bit_flipped, CenterCrop(16)),
        (no_image, CenterCrop(16)),
    ],
)
def test_a_batch_of_nothing_good(tmp_path, on_error, steps, damage):
    reader = open_damaged(
        tmp_path / "bad.tfrecord", {3: damage, 4: damage}, on_error=on_error, transform=steps
    )
    batch = reader.read([3, 4, 3])
    assert len(batch.failures) == 3
    assert (
        batch.num_samples
        == len(batch["image"])
        == len(batch["label"])
        == (3 if on_error == "mask" else 0)
    )
    assert not batch.mask.any()
    assert not np.any([image.any() for image in batch["image"]])


def test_a_bad_sample_that_comes_twice_fails_twice(tmp_path):
    reader = open_damaged(tmp_path / "bad.tfrecord", {5: cut_short}, on_error="mask")
    batch = reader.read([5, 0, 5])
    assert batch.mask.tolist() == [False, True, False]
    assert [str(failure) for failure in batch.failures] == [str(batch.failures[0])] * 2


@pytest.mark.parametrize("on_error", ["mask", "skip"])
def test_iterating_goes_over_bad_samples(tmp_path, on_error):
    reader = open_damaged(
        tmp_path / "bad.tfrecord", {3: cut_short, 4: cut_short}, on_error=on_error
    )
    labels = [sample["label"] for sample in reader]
    assert labels == [10 * i for i in range(NUM_SAMPLES) if on_error == "mask" or i not in (3, 4)]


def test_without_checks_a_flipped_bit_passes_or_is_the_images(tmp_path):
    """check=False does not look at checksums: what is left is what the codec notices."""
    batch = open_damaged(
        tmp_path / "bad.tfrecord", {3: bit_flipped}, on_error="mask", check=False
    ).read([0, 3])
    assert batch.mask[0]
    assert not any(isinstance(failure, CorruptRecordError) for failure in batch.failures)


@pytest.mark.parametrize("on_error", ["raise", "mask", "skip"])
def test_mistakes_of_the_caller_are_raised_all_the_same(good, on_error):
    with pytest.raises(FastpackError, match="fill must be"):
        good.with_options(transform=CenterCrop(8, fill=999), on_error=on_error)
    with pytest.raises(IndexError):
        good.with_options(on_error=on_error).read([NUM_SAMPLES])


@pytest.mark.parametrize("on_error", ["raise", "mask", "skip"])
def test_damaged_frames_are_raised_all_the_same(tmp_path, on_error):
    """A length that contradicts its checksum: no later record can be found."""
    path = shard(tmp_path / "bad.tfrecord", {})
    data = bytearray(path.read_bytes())
    data[:8] = struct.pack("<Q", 10)
    path.write_bytes(data)
    with pytest.raises(CorruptRecordError):
        fastpack.open(path, on_error=on_error)
