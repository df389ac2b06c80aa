"""Images that end too early: an error, or what libjpeg makes of them when that is asked for."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFile

import fastpack
from fastpack import errors
from fastpack.sources import ImageFiles
from tests.support.images import jpeg

SOUND = jpeg(60, 80)


@pytest.fixture(params=[0.8, 0.95])
def packed(request, tmp_path):
    (tmp_path / "a.jpg").write_bytes(SOUND)
    (tmp_path / "b.jpg").write_bytes(SOUND[: int(len(SOUND) * request.param)])
    fastpack.pack(ImageFiles([tmp_path / "a.jpg", tmp_path / "b.jpg"]), tmp_path / "x.tfrecord")
    return tmp_path / "x.tfrecord"


def test_is_an_error(packed):
    with pytest.raises(errors.CorruptImageError, match="record 1"):
        fastpack.open(packed).read([0, 1])


def test_may_be_accepted(packed, monkeypatch):
    accepted = fastpack.open(packed, truncated="accept").read([0, 1])["image"]
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with Image.open(io.BytesIO((packed.parent / "b.jpg").read_bytes())) as image:
        expected = np.asarray(image.convert("RGB"))
    whole = fastpack.open(packed)[0]["image"]
    rows = np.flatnonzero((expected == whole).all(axis=(1, 2)))  # those that came whole
    assert len(rows) > 4
    assert (accepted[0] == whole).all()
    assert (accepted[1][rows] == whole[rows]).all()
    assert not (accepted[1] == whole).all()


def test_other_words_are_refused():
    with pytest.raises(errors.OptionError, match="truncated"):
        fastpack.ReadOptions(truncated="perhaps")
