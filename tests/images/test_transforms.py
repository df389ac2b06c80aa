"""Transforms: boxes, distributions as torchvision documents them, normalized values."""

import math
import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastpack
from fastpack import (
    CenterCrop,
    HorizontalFlip,
    Normalize,
    RandomCrop,
    RandomResizedCrop,
    Resize,
    ResizeShort,
    errors,
)
from fastpack.core.rng import CounterRng, philox
from fastpack.images.transforms import plan_batch
from tests.support.images import photo, save
from tests.support.samples import packed

SIDES = st.integers(1, 3000)


def boxes(plan):
    return plan.views[["x", "y", "width", "height"]].tolist()


def words(*values):
    return [np.array([value], np.uint64) for value in values]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            0xA4093822 | 0x299F31D0 << 32,
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(counter, key, expected):
    """The test vectors that come with Random123."""
    assert tuple(int(word[0]) for word in philox(words(*counter), key)) == expected


class TestDraws:
    @given(
        st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(1, 20)
    )
    def test_a_draw_does_not_depend_on_what_is_drawn_beside_it(self, seed, epoch, first, count):
        samples = np.array([7, 0, 2**40])
        together = CounterRng(seed, epoch, samples).uniforms(0, first + count)
        alone = [
            CounterRng(seed, epoch, samples[i : i + 1]).uniforms(first, count)[0] for i in range(3)
        ]
        assert (together[:, first:] == alone).all()

    def test_even(self):
        numbers = CounterRng(1, 2, np.arange(20000)).uniforms(0, 5)
        assert ((numbers >= 0) & (numbers < 1)).all()
        counts = np.stack([np.histogram(column, 20, (0, 1))[0] for column in numbers.T])
        chi_square = ((counts - 1000) ** 2 / 1000).sum(axis=1)  # 19 degrees of freedom
        assert (chi_square < 50).all()

    @pytest.mark.parametrize(
        "other",
        [
            CounterRng(2, 0, np.arange(500)),
            CounterRng(1, 1, np.arange(500)),
            CounterRng(1, 0, np.arange(500) + 500),
        ],
    )
    def test_other_seeds_epochs_and_samples_are_independent(self, other):
        mine = CounterRng(1, 0, np.arange(500)).uniforms(0, 4).ravel()
        assert abs(np.corrcoef(mine, other.uniforms(0, 4).ravel())[0, 1]) < 0.1


def torchvision_box(width, height, scale, ratio, rng):
    """RandomResizedCrop.get_params as torchvision documents it, one image at a time."""
    for _ in range(10):
        area = width * height * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return rng.randint(0, width - w), rng.randint(0, height - h), w, h
    if width / height < ratio[0]:
        w, h = width, round(width / ratio[0])
    elif width / height > ratio[1]:
        w, h = round(height * ratio[1]), height
    else:
        w, h = width, height
    return (width - w) // 2, (height - h) // 2, w, h


@pytest.mark.parametrize("size", [(500, 375), (300, 300), (100, 640), (30, 20)], ids=str)
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.9, 1.0)], ids=str)
def test_random_resized_crop_is_distributed_as_torchvisions(size, scale):
    num_samples, rng = 6000, random.Random(1)
    theirs = np.array(
        [torchvision_box(*size, scale, (3 / 4, 4 / 3), rng) for _ in range(num_samples)]
    )
    step = RandomResizedCrop(224, scale)
    plan = plan_batch(
        [step],
        np.full(num_samples, size[0]),
        np.full(num_samples, size[1]),
        CounterRng(1, 0, np.arange(num_samples)),
    )
    ours = np.array(boxes(plan))
    for mine, other in zip(ours.T, theirs.T, strict=True):
        # Two-sample Kolmogorov-Smirnov; 1.95 is its one-in-a-thousand point for large samples.
        values = np.union1d(mine, other)
        distance = (
            np.abs(
                np.searchsorted(np.sort(mine), values, "right")
                - np.searchsorted(np.sort(other), values, "right")
            ).max()
            / num_samples
        )
        assert distance < 1.95 * math.sqrt(2 / num_samples)


@given(SIDES, SIDES, st.integers(0, 2**32))
def test_random_resized_crop_lies_inside(width, height, sample):
    plan = plan_batch(
        [RandomResizedCrop((7, 9))], [width], [height], CounterRng(0, 0, np.array([sample]))
    )
    ((x, y, w, h),) = boxes(plan)
    assert w > 0
    assert h > 0
    assert x + w <= width
    assert y + h <= height
    assert plan.size == (7, 9)


def test_flips_come_as_often_as_asked():
    plan = plan_batch(
        [HorizontalFlip(0.3)],
        np.full(20000, 9),
        np.full(20000, 9),
        CounterRng(5, 0, np.arange(20000)),
    )
    assert abs(plan.views["flip"].mean() - 0.3) < 0.015


@pytest.mark.parametrize(("p", "flips"), [(0.0, 0), (1.0, 50)])
def test_flips_never_and_always(p, flips):
    assert (
        plan_batch([HorizontalFlip(p)], np.full(50, 9), np.full(50, 9)).views["flip"].sum() == flips
    )


def test_random_crop_reaches_every_offset():
    plan = plan_batch(
        [RandomCrop((3, 4))], np.full(3000, 6), np.full(3000, 5), CounterRng(0, 0, np.arange(3000))
    )
    assert set(plan.views["x"].tolist()) == {0, 1, 2}
    assert set(plan.views["y"].tolist()) == {0, 1, 2}


class TestComposition:
    @given(st.integers(260, 2000), st.integers(260, 2000))
    def test_resize_short_then_center_crop(self, width, height):
        plan = plan_batch([ResizeShort(256), CenterCrop(224)], [width], [height])
        view = plan.views[0]
        scaled = int(256 * width / min(width, height)), int(256 * height / min(width, height))
        assert (view["width"], view["height"]) == (width, height)
        assert abs(int(view["scaled_width"]) - scaled[0]) <= 1
        assert (view["left"], view["top"]) == (
            round((view["scaled_width"] - 224) / 2),
            round((view["scaled_height"] - 224) / 2),
        )

    def test_crop_of_a_crop(self):
        plan = plan_batch([CenterCrop(100), CenterCrop((50, 20))], [300], [200])
        assert boxes(plan) == [(140, 75, 20, 50)]

    def test_crop_after_a_flip_is_taken_from_the_mirrored_image(self):
        class LeftHalf:
            num_draws = 0

            def apply(self, plan, uniforms):
                return plan.crop(np.zeros(1, int), np.zeros(1, int), plan.widths // 2, plan.heights)

        assert boxes(plan_batch([HorizontalFlip(1.0), LeftHalf()], [10], [4])) == [(5, 0, 5, 4)]
        assert boxes(plan_batch([LeftHalf(), HorizontalFlip(1.0)], [10], [4])) == [(0, 0, 5, 4)]

    def test_two_resizes_are_refused(self):
        with pytest.raises(errors.OptionError, match="a second resize"):
            plan_batch([Resize(5), Resize(7)], [10], [10])

    @pytest.mark.parametrize("step", [CenterCrop(50), RandomCrop(50)], ids=str)
    def test_crops_of_smaller_images_are_refused(self, step):
        plan = plan_batch([step], [60, 40], [60, 60])
        assert list(plan.refused) == [1]
        assert re.search(
            "60 x 40, smaller than the crop of 50 x 50; .*ResizeShort.*pad_if_needed",
            plan.refused[1],
        )
        assert plan.size == (50, 50)

    def test_steps_draw_their_own_numbers(self):
        flips = plan_batch(
            [HorizontalFlip(), HorizontalFlip()],
            np.full(400, 5),
            np.full(400, 5),
            CounterRng(0, 0, np.arange(400)),
        ).views["flip"]
        assert 120 < flips.sum() < 280  # the same numbers twice would give none


@pytest.mark.parametrize("step", [Resize, ResizeShort, CenterCrop, RandomCrop, RandomResizedCrop])
@pytest.mark.parametrize("size", [0, -1])
def test_sizes_must_be_positive(step, size):
    with pytest.raises(errors.OptionError):
        step(size)


@pytest.mark.parametrize(
    "make",
    [
        lambda: HorizontalFlip(1.5),
        lambda: RandomResizedCrop(5, scale=(0.5, 0.1)),
        lambda: RandomResizedCrop(5, ratio=(0, 1)),
        lambda: Normalize((0.5,), (0.0,)),
        lambda: Normalize((0.5,), (0.5, 0.5)),
        lambda: Normalize((0.5,), (0.5,), dtype="int8"),
        lambda: Normalize((0.5,), (0.5,), layout="CHWN"),
    ],
)
def test_options_that_make_no_sense(make):
    with pytest.raises(errors.OptionError):
        make()


class TestPadding:
    """Crops of images that are smaller, with pixels around them."""

    @pytest.fixture(scope="class")
    @staticmethod
    def dataset(tmp_path_factory):
        sizes = [(20, 28), (50, 50), (33, 20), (7, 41)]
        files = [save(photo(*size, seed=seed), "PNG") for seed, size in enumerate(sizes)]
        return fastpack.open(packed(tmp_path_factory.mktemp("padding"), files, "x.tfrecord"))

    @staticmethod
    def padded(pixels, size, fill):
        """As torchvision documents CenterCrop: padded, an odd pixel at the end; then cropped."""
        height, width = (
            max(0, side - there) for side, there in zip(size, pixels.shape, strict=False)
        )
        around = [(height // 2, height - height // 2), (width // 2, width - width // 2), (0, 0)]
        pixels = np.pad(pixels, around, constant_values=fill)
        y, x = (round((there - side) / 2) for side, there in zip(size, pixels.shape, strict=False))
        return pixels[y : y + size[0], x : x + size[1]]

    @pytest.mark.parametrize("size", [(32, 32), (21, 45), (60, 61)], ids=str)
    def test_center_crop(self, dataset, size):
        images = dataset.with_options(transform=CenterCrop(size, pad_if_needed=True, fill=9)).read(
            range(4)
        )["image"]
        for number in range(4):
            np.testing.assert_array_equal(
                images[number], self.padded(dataset[number]["image"], size, 9)
            )

    def test_flips_mirror_the_padding(self, dataset):
        steps = [CenterCrop((31, 33), pad_if_needed=True)]
        images, flipped = (
            dataset.with_options(transform=more).read(range(4))["image"]
            for more in (steps, [*steps, HorizontalFlip(1.0)])
        )
        np.testing.assert_array_equal(flipped, images[:, :, ::-1])

    def test_normalized_padding(self, dataset):
        steps = [
            CenterCrop(40, pad_if_needed=True, fill=51),
            Normalize((0.1, 0.2, 0.3), (1.0, 2.0, 4.0)),
        ]
        corner = dataset.with_options(transform=steps).read([0])["image"][0, :, 0, 0]
        np.testing.assert_allclose(corner, [0.1, 0.0, -0.025], atol=1e-6)

    def test_random_crop_shows_the_whole_image_at_any_offset(self, dataset):
        reader = dataset.with_options(transform=RandomCrop((22, 31), pad_if_needed=True))
        whole, seen = dataset[0]["image"], set()
        for epoch in range(40):
            image = reader.read([0], epoch=epoch)["image"][0]
            found_at = [
                (y, x)
                for y in range(3)
                for x in range(4)
                if (image[y : y + 20, x : x + 28] == whole).all()
            ]
            assert len(found_at) == 1
            seen |= set(found_at)
        assert {y for y, _ in seen} == {0, 1, 2}
        assert {x for _, x in seen} == {0, 1, 2, 3}

    @pytest.mark.parametrize("on_error", ["mask", "skip"])
    @pytest.mark.parametrize("step", [CenterCrop(32), RandomCrop(32)], ids=str)
    def test_without_it_a_small_image_is_one_bad_sample(self, dataset, step, on_error):
        batch = dataset.with_options(transform=step, on_error=on_error).read([0, 1, 3])
        assert len(batch.failures) == 2
        assert re.search(
            "20 x 28, smaller than the crop of 32 x 32.*record 0", str(batch.failures[0])
        )
        np.testing.assert_array_equal(
            batch["image"][0 if on_error == "skip" else 1].shape, (32, 32, 3)
        )
        if on_error == "mask":
            assert batch.mask.tolist() == [False, True, False]

    def test_what_pads_comes_last(self, dataset):
        steps = [CenterCrop(32, pad_if_needed=True), Resize(8)]
        with pytest.raises(errors.OptionError, match="must be the last"):
            dataset.with_options(transform=steps).read([0])

    @pytest.mark.parametrize("fill", [-1, 256, 0.5, "white"])
    def test_fill_is_a_level(self, fill):
        with pytest.raises(errors.OptionError, match="fill"):
            CenterCrop(32, fill=fill)
