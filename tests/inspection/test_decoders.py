"""Which decoder takes an image: what the headers say, and what then happens."""

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import fastpack
from fastpack._native.decode import DecodeBatch, Decoder
from fastpack.cli import main
from fastpack.cli.info import decoders_text
from fastpack.core.dtypes import SPAN, VIEW
from fastpack.core.memories import Memories
from fastpack.images.headers import probe
from fastpack.inspection import decoders as decoders
from fastpack.inspection.decoders import DecoderUsage, decoder_usage
from fastpack.inspection.doctor import doctor
from tests.support.images import jpeg, photo, save
from tests.support.jpeg_kinds import KINDS, LARGE


@pytest.mark.parametrize(
    ("decoder_name", "data"),
    KINDS,
    ids=[f"{number} {decoder_name}" for number, (decoder_name, _) in enumerate(KINDS)],
)
def test_route(decoder_name, data):
    assert Decoder().route(data, len(data))[0] == decoder_name


@pytest.mark.parametrize("picture", ["small", "large", "turned, with a large thumbnail"])
def test_heads_are_enough(picture, tmp_path, monkeypatch):
    """Or all of it is read, where the header is longer."""
    options = {"small": {"height": 20, "width": 30}, "large": LARGE}.get(picture, LARGE)
    data = jpeg(**options, optimize=True)
    segment = b"\xff\xe1" + (50000).to_bytes(2, "big") + bytes(49998)
    if picture == "turned, with a large thumbnail":
        data = data[:2] + segment + segment + data[2:]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.jpg").write_bytes(data)
    fastpack.pack(tmp_path / "a", tmp_path / "packed.tfrecord")
    dataset = fastpack.open(tmp_path / "packed.tfrecord")
    asked = []
    heads = fastpack.Reader.heads
    monkeypatch.setattr(
        fastpack.Reader,
        "heads",
        lambda self, field, rows, count: asked.append(count) or heads(self, field, rows, count),
    )
    found = decoder_usage(dataset)
    assert (found.ours, found.libjpeg) == ((0, {"small": 1}) if picture == "small" else (1, {}))
    assert asked == ([2**16, len(data)] if len(data) > 10**5 else [2**16])


def test_no_more_than_heads_is_read(dataset, monkeypatch):
    monkeypatch.setattr(decoders, "_HEAD_BYTES", 700)
    assert [len(head) for head in dataset.heads(dataset.schema.image_field, np.arange(5), 700)] == [
        700,
        700,
        700,
        266,
        8,
    ]
    assert decoder_usage(dataset) == DecoderUsage(5, 5, 2, {"progressive": 1}, {"png": 1}, 1)


@pytest.mark.parametrize(
    ("decoder_name", "data"),
    [kind for kind in KINDS if kind[0] not in ("not 8 bits", "unusual headers", "unreadable")],
)
def test_the_decoder_goes_the_same_way(decoder_name, data):
    info = probe(data)
    spans, views = np.zeros(1, SPAN), np.zeros(1, VIEW)
    spans["length"] = len(data)
    views["width"], views["height"] = info["width"], info["height"]
    out = np.empty((info["height"], info["width"], 3), np.uint8)
    job = DecodeBatch(
        spans, views, [out], max_pixels=10**8, max_scans=100, memories=Memories.of([data])
    )
    job.run()
    assert job.failures() == []
    assert job.num_sequential() == (decoder_name == "ours")


@pytest.fixture
def dataset(tmp_path):
    images = [KINDS[0][1], KINDS[1][1], KINDS[3][1], save(photo(9, 9), "PNG"), b"no image"]
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file["images/bytes"] = np.frombuffer(b"".join(images), np.uint8)
        file["images/offsets"] = np.cumsum([0, *map(len, images)]).astype(np.uint64)
    return fastpack.open(tmp_path / "all.h5")


def test_routes_of_a_dataset(dataset):
    assert decoder_usage(dataset) == DecoderUsage(5, 5, 2, {"progressive": 1}, {"png": 1}, 1)


def test_a_large_dataset_is_sampled_and_says_so(dataset, monkeypatch):
    monkeypatch.setattr(decoders, "_MAX_SAMPLED", 3)
    found = decoder_usage(dataset)
    assert found.num_sampled == 3
    assert (
        found.ours + sum(found.libjpeg.values()) + sum(found.others.values()) + found.num_unreadable
        == 3
    )
    assert "by the headers of 3 of 5 images" in decoders_text(found)


def test_pixels_have_no_routes(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(save(photo(8, 8), "PNG"))
    fastpack.pack(tmp_path / "in", tmp_path / "pixels.h5", fastpack.PackOptions(size=8))
    assert decoder_usage(fastpack.open(tmp_path / "pixels.h5")) is None


def test_info_and_doctor_tell(dataset, tmp_path):
    result = CliRunner().invoke(main, ["info", str(tmp_path / "all.h5")])
    assert result.exit_code == 0, result.output
    assert "own decoder    40.0%" in result.output
    assert "libjpeg-turbo  20.0%  progressive" in result.output
    assert (
        '"decoders": {'
        in CliRunner().invoke(main, ["info", str(tmp_path / "all.h5"), "--json"]).output
    )
    assert doctor(dataset.take([0, 2]), seconds=0.01).decoders == DecoderUsage(
        2, 2, 1, {"progressive": 1}, {}, 0
    )
