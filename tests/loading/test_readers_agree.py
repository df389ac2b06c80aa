"""Order, resume and the union of ranks over every kind of Reader: all give the same samples.

One file, many shards with a manifest, their indexes read page by page, and parts of datasets.
"""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastpack
from fastpack import Balanced, HorizontalFlip, Loader, Mix, PackOptions, RandomResizedCrop, Shuffle
from fastpack.files.companions import manifest_path
from fastpack.formats import shard_indexes
from fastpack.sources import ImageFiles
from tests.support.extent import num_examples
from tests.support.images import jpeg
from tests.support.interrupted import interrupted_epoch, labels_of, order_of

NUM_SAMPLES = 61
TRANSFORM = [RandomResizedCrop(16), HorizontalFlip()]
READERS = ("one", "seven", "pages", "concat", "filtered", "sliced", "nested")
WHOLE = ("one", "seven", "pages")  # readers of the same samples, which have the same state


def pack(folder, name, samples, **options):
    """A sample's label is its number, and its group is that modulo 3."""
    paths = [folder / f"{number % NUM_SAMPLES:02}.jpg" for number in samples]
    for number, path in enumerate(paths):
        path.write_bytes(jpeg(24 + number % 5, 30, seed=number))
    groups = {"group": np.array([number % 3 for number in samples])}
    source = ImageFiles(paths, samples, columns=groups)
    fastpack.pack(source, folder / name, PackOptions(**options))
    return folder / name


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readers")
    numbers = list(range(NUM_SAMPLES))
    mixed = [number for pair in zip(numbers, range(100, 161), strict=True) for number in pair]
    found = {
        "one": pack(folder, "one.tfrecord", numbers),
        "seven": pack(folder, "seven.tfrecord", numbers, shards=7),
        "padded": pack(
            folder, "padded.tfrecord", [*range(100, 105), *numbers, *range(200, 207)], shards=7
        ),
        "crowded": pack(folder, "crowded.tfrecord", mixed, shards=7),
    }
    for path in found.values():
        fastpack.open(path)
        assert manifest_path(path).exists() == (path is not found["one"])
    return found


def open_all(paths, **options):
    """A Reader of each kind."""
    with pytest.MonkeyPatch.context() as patch:  # two open indexes, read with pread
        patch.setattr(shard_indexes, "_KEPT_BYTES", 0)
        patch.setattr(shard_indexes, "max_open", lambda share: 2)
        pages = fastpack.open(paths["seven"], **options)
        outer = fastpack.open(paths["padded"], **options)
    kept, crowd = (fastpack.open(paths[name], **options) for name in ("seven", "crowded"))
    inner = np.arange(5, 5 + NUM_SAMPLES)
    return {
        "one": fastpack.open(paths["one"], **options),
        "seven": kept,
        "pages": pages,
        "concat": fastpack.concat([kept.take(np.arange(20)), pages.take(np.arange(20, 61))]),
        "filtered": crowd.filter(lambda columns: columns["label"] < 100),
        "sliced": outer.take(inner),
        "nested": fastpack.concat([outer, crowd]).take(inner),
    }


@pytest.fixture(scope="module")
def readers(paths):
    return open_all(paths, transform=TRANSFORM)


@pytest.fixture(scope="module")
def labels(paths):
    """The same samples without their images: quick to read."""
    return open_all(paths, fields=["label", "group"])


@pytest.mark.parametrize("kind", READERS)
def test_they_have_the_same_samples(readers, kind):
    reader, random = readers[kind], np.random.default_rng(0)
    assert len(reader) == NUM_SAMPLES
    assert reader.columns["label"][:].tolist() == list(range(NUM_SAMPLES))
    for _ in range(30):
        rows = random.integers(-NUM_SAMPLES, NUM_SAMPLES, random.integers(1, 40))
        batch = reader.read(rows)
        assert batch["label"].tolist() == (rows % NUM_SAMPLES).tolist()
        assert batch["group"].tolist() == (rows % NUM_SAMPLES % 3).tolist()


shuffles = st.builds(Shuffle, st.integers(0, 5), window=st.sampled_from([None, 7]))
orders = shuffles | st.builds(Balanced, st.integers(0, 5), column=st.just("group"))


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
@settings(max_examples=num_examples(60))
def test_ranks_and_interruptions(labels, kind, data):
    """Ranks stop after some steps; another number of ranks continues, until the epoch ends."""
    reader, shuffle = labels[kind], data.draw(shuffles, "shuffle")
    epoch = data.draw(st.integers(0, 3), "epoch")
    delivered, state = interrupted_epoch(data, reader, shuffle, epoch)
    wanted = order_of(labels["one"], shuffle, epoch)
    assert delivered == wanted
    assert (state["epoch"], state["position"]) == (epoch + 1, 0)


@given(order=orders, epoch=st.integers(0, 3), batch_size=st.integers(1, 20))
@settings(max_examples=num_examples(60))
def test_each_order_gives_the_same(labels, order, epoch, batch_size):
    wanted = order_of(labels["one"], order, epoch)
    for kind in READERS:
        assert order_of(labels[kind], order, epoch) == wanted, kind
    for kind in READERS[1:4]:
        loader = Loader(labels[kind], batch_size=batch_size, shuffle=order)
        loader.set_epoch(epoch)
        assert labels_of(loader) == wanted


def test_mixes_of_equal_parts(labels):
    """A mixture of two Readers draws the same samples, whatever kind they are of."""
    found = []
    for kind in READERS:
        mixed = fastpack.concat([labels[kind], labels["one"].take(np.arange(9))])
        loader = Loader(mixed, batch_size=8, shuffle=Mix([0.3, 0.7], seed=3, num_samples=50))
        found.append(labels_of(loader))
    assert all(other == found[0] for other in found)


@pytest.mark.parametrize("kind", READERS)
def test_a_resumed_run_is_bit_identical(readers, kind):
    def loader():
        return Loader(readers[kind], batch_size=8, shuffle=3)

    whole = list(loader())
    for steps in (1, 4, 7):
        first = loader()
        assert len([batch for _, batch in zip(range(steps), first, strict=False)]) == steps
        second = loader()
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        rest = list(second)
        assert labels_of(rest) == labels_of(whole[steps:])
        for batch, other in zip(rest, whole[steps:], strict=True):
            assert np.array_equal(batch["image"], other["image"])


def test_whole_ones_have_the_same_pixels(readers):
    def pixels(kind):
        return np.concatenate([each["image"] for each in Loader(readers[kind], shuffle=1)])

    wanted = pixels("one")
    assert all(np.array_equal(pixels(kind), wanted) for kind in WHOLE)
