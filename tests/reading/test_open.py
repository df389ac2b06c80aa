"""open and Reader: keywords, numpy's integers, and messages for wrong calls."""

import numpy as np
import pytest

import fastpack
from fastpack.errors import OptionError
from fastpack.loading import LoaderOptions


def test_options_may_come_whole_and_by_name(digits):
    options = fastpack.ReadOptions(color="GRAY", seed=3)
    opened = fastpack.open(digits, options, color="BGR")
    assert (opened.options.color, opened.options.seed) == ("BGR", 3)
    assert fastpack.open(digits, options=options).options == options


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda path: fastpack.open(path, trasform=None), r"^open\(\).*'trasform'.*'transform'\?"),
        (lambda path: fastpack.open(path, prefetch=3), "'prefetch'$"),
        (lambda path: fastpack.open(path).with_options(colour="RGB"), r"with_options.*'color'\?"),
        (lambda path: fastpack.Loader(fastpack.open(path), batchsize=3), r"Loader.*'batch_size'\?"),
    ],
)
def test_unknown_keywords_name_the_similar_one(digits, call, message):
    with pytest.raises(TypeError, match=message):
        call(digits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interpolation": "cubic"}, r"interpolation must be .*; did you mean 'bicubic'\?"),
        ({"mode": "Fast"}, r"mode must be .*; did you mean 'fast'\?"),
        ({"seek_points": "learn"}, 'seek_points must be True, False, "lazy" or None'),
        ({"checkpoints": True}, "checkpoints is now seek_points"),
    ],
)
def test_wrong_values_name_their_option(digits, options, message):
    with pytest.raises(OptionError, match=message):
        fastpack.open(digits, **options)


def test_readers_come_from_open(digits):
    with pytest.raises(OptionError, match=r"fastpack\.open"):
        fastpack.Reader(digits)


@pytest.mark.parametrize("integer", [np.int64, np.uint8, np.int32, np.array])
def test_numpy_integers_are_integers(digits, integer):
    dataset = fastpack.open(digits, transform=fastpack.RandomCrop(4), num_workers=integer(1))
    assert dataset[integer(3)]["label"] == 3
    assert dataset.take([integer(3), integer(1)]).columns["label"].tolist() == [3, 1]
    batch = dataset.read([integer(2)], epoch=integer(5))
    assert (batch["image"] == dataset.read([2], epoch=5)["image"]).all()
    options = LoaderOptions(batch_size=integer(4), prefetch=integer(0))
    loader = fastpack.Loader(dataset, options, rank=integer(0), world=integer(1))
    loader.set_epoch(integer(2))
    batch = loader.peek()
    assert (batch.epoch, batch.num_samples) == (2, 4)
    assert loader.replay(integer(2), integer(0)).position == 0


@pytest.mark.parametrize("index", [[1, 2, 3], (1, 2), np.arange(3), "1", 1.5, None, True])
def test_several_indices_are_refused_with_the_ways_to_read_them(digits, index):
    with pytest.raises(OptionError, match=r"an index must be an integer.*read\(\[1, 2, 3\]\)"):
        fastpack.open(digits)[index]
