"""Bad samples on their way through a Loader: named, left out or marked."""

import pytest

import fastpack
from fastpack import Loader, Resize, Shuffle
from fastpack.errors import CorruptRecordError
from tests.support.damage import in_place
from tests.support.interrupted import labels_of, order_of
from tests.support.samples import numbered_shards

NUM_SAMPLES = 41


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return numbered_shards(tmp_path_factory.mktemp("shards"), NUM_SAMPLES)


BAD = 13


@pytest.fixture(params=["decoded", "undecoded"])
def damaged(request, shards, tmp_path):
    """A byte of one record is another than its checksum says, since the dataset was indexed."""
    path = tmp_path / "bad.tfrecord"
    path.write_bytes(shards[0].read_bytes())
    fastpack.open(path)
    reader = fastpack.open(path, transform=Resize(8), decode=request.param == "decoded")
    data = bytearray(path.read_bytes())
    data[int(reader.index.spans["image"]["offset"][BAD]) + 60] ^= 1
    in_place(path, {0: bytes(data)})
    return reader


def test_raise_names_the_sample_and_the_loader_stands_before_it(damaged):
    loader = Loader(damaged, batch_size=5)
    came = []
    for _ in range(2):  # trying again fails again, at the same place
        with pytest.raises(
            CorruptRecordError, match=rf"bad\.tfrecord, record {BAD}, .*key {BAD}\.jpg"
        ):
            for batch in loader:
                came.append(batch)
        assert loader.position == 10
    assert labels_of(came) == list(range(10))
    loader.load_state_dict(loader.state_dict() | {"position": 15})
    assert labels_of(loader) == list(range(15, 20))


@pytest.mark.parametrize("on_error", ["skip", "mask"])
@pytest.mark.parametrize("prefetch", [0, 2])
def test_the_others_come_as_if_nothing_were(damaged, on_error, prefetch, caplog):
    loader = Loader(damaged, batch_size=5, shuffle=2, on_error=on_error, prefetch=prefetch)
    order = order_of(damaged, Shuffle(2), 0)
    batches = list(loader)
    assert labels_of(batches) == [i for i in order if on_error == "mask" or i != BAD]
    assert [i for batch in batches for i in batch.sample_numbers] == labels_of(batches)
    good = [
        i
        for batch in batches
        for i, is_good in zip(batch.sample_numbers, batch.mask, strict=True)
        if is_good
    ]
    assert good == [i for i in order if i != BAD]
    assert loader.num_failures == len(loader.failures) == 1
    assert f"record {BAD}" in str(loader.failures[0])
    assert [f"record {BAD}" in record.getMessage() for record in caplog.records] == [True]
    list(loader)
    assert loader.num_failures == 2


@pytest.mark.parametrize("on_error", ["skip", "mask"])
def test_bytes_that_cannot_be_trusted_are_not_given(damaged, on_error):
    encoded = damaged.with_options(decode=False)
    batch = encoded.with_options(on_error=on_error).read([12, BAD, 14])
    expected = encoded.read([12, 14])["image"]
    assert [batch["image"].bytes(i) for i in range(batch.num_samples)] == (
        [expected.bytes(0), expected.bytes(1)]
        if on_error == "skip"
        else [expected.bytes(0), b"", expected.bytes(1)]
    )
