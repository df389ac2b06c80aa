"""Batches shown: their repr, their pictures, and their HTML."""

import pickle
import re

import numpy as np
import pytest

import fastpack
from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Field, Schema
from fastpack.errors import CorruptImageError, OptionError, SchemaError, UnreadableFileError
from fastpack.images.batch import Batch
from fastpack.images.grid import BACKGROUND, GAP
from fastpack.images.picture import Picture
from fastpack.sources import ImageFiles

TILE = 160
RED, BLUE = (255, 0, 0), (0, 0, 255)


def solid(*colors: tuple[int, int, int], side: int = 40) -> np.ndarray:
    """One image of a single color each, (n, side, side, 3)."""
    return np.stack([np.full((side, side, 3), color, np.uint8) for color in colors])


def square(picture: Picture, number: int, columns: int = 8) -> np.ndarray:
    row, column = divmod(number, columns)
    top, left = GAP + row * (TILE + GAP), GAP + column * (TILE + GAP)
    return picture.pixels[top : top + TILE, left : left + TILE]


def files(images: np.ndarray, format: str = "png") -> Ragged:
    return Ragged.of_bytes([fastpack.encode(image, format) for image in images])


# repr


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "Batch(2 samples: no fields)"),
        ({"label": np.array([3, 4])}, "Batch(2 samples: label int64 (2,))"),
        ({"image": np.zeros((2, 4, 6, 3), np.uint8)}, "Batch(2 samples: image uint8 (2, 4, 6, 3))"),
        ({"image": list(np.zeros((2, 4, 6, 3)))}, "Batch(2 samples: image list of 2 arrays)"),
        ({"key": Text.of(["a", "b"])}, "Batch(2 samples: key text (2,))"),
        ({"image": Ragged.of_bytes([b"a", b""])}, "Batch(2 samples: image uint8 (2, *))"),
        (
            {"names": Ragged(Text.of(["a", "b"]), np.array([0, 2, 2]))},
            "Batch(2 samples: names text (2, *))",
        ),
        (
            {"views": Ragged(Ragged.of_bytes([b"a"]), np.array([0, 1, 1]))},
            "Batch(2 samples: views uint8 (2, *, *))",
        ),
    ],
)
def test_the_repr_names_fields_with_dtype_and_shape(fields, text):
    assert repr(Batch(fields, 2)) == text


def test_the_repr_counts_failures():
    batch = Batch({"label": np.array([3])}, 1, failures=[CorruptImageError("damaged")])
    assert repr(batch) == "Batch(1 sample: label int64 (1,); 1 failed)"


# Pictures


@pytest.mark.parametrize(
    "images", [solid(RED, BLUE), list(solid(RED, BLUE))], ids=["array", "list"]
)
def test_uint8_images_are_shown_as_they_are(images):
    picture = Batch({"image": images}, 2).show()
    assert picture.pixels.shape == (TILE + 2 * GAP, 2 * TILE + 3 * GAP, 3)
    assert (square(picture, 0) == RED).all()
    assert (square(picture, 1) == BLUE).all()


@pytest.mark.parametrize("format", ["png", "webp", "bmp", "jpeg"])
def test_encoded_images_are_decoded(format):
    picture = Batch({"image": files(solid(RED, BLUE), format)}, 2).show()
    assert (np.abs(square(picture, 0).astype(int) - RED) < 6).all()
    assert (np.abs(square(picture, 1).astype(int) - BLUE) < 6).all()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_floats_are_stretched_from_their_own_minimum_to_their_maximum(layout):
    images = np.zeros((2, 160, 160, 3), np.float32)
    images[0, 80:], images[1, :, 80:] = 2.5, -7
    images[0, 0, 0] = np.nan
    stored = images if layout == "NHWC" else images.transpose(0, 3, 1, 2)
    picture = Batch({"image": stored}, 2).show()
    assert (square(picture, 0)[:80] == 0).all()
    assert (square(picture, 0)[80:] == 255).all()
    assert (square(picture, 1)[:, :80] == 255).all()


@pytest.mark.parametrize("shape", [(1, 6, 6, 1), (1, 6, 6, 4), (1, 1, 6, 6), (1, 6, 6)], ids=str)
def test_gray_and_transparent_images(shape):
    assert (square(Batch({"x": np.full(shape, 7, np.uint8)}, 1).show(), 0) == 7).all()


def test_the_first_field_of_images_is_shown_and_not_a_mask():
    fields = {"mask": np.zeros((1, 6, 6), np.uint8), "raw": Ragged.of_bytes([b"no image"])}
    assert (square(Batch({**fields, "x": solid(RED)}, 1).show(), 0) == RED).all()


def test_the_schema_decides_field_and_axes():
    schema = Schema((Field("a", "pixels", (3, 4, 3), axes="NCHW"), Field("b", "image")))
    pixels = np.zeros((1, 3, 4, 3), np.uint8)
    pixels[:, 0] = 255
    batch = Batch({"b": solid(BLUE), "a": pixels}, 1, schema=schema)
    assert (square(batch.show(), 0)[:, 40:80] == RED).all()


def test_samples_that_were_not_read_leave_their_square_empty():
    encoded = Ragged.of_bytes([fastpack.encode(solid(RED)[0], "png"), b"", b"GIF89a"])
    for batch in (
        Batch({"image": solid(RED, BLUE, BLUE)}, 3, mask=np.array([True, False, False])),
        Batch({"image": encoded}, 3),
    ):
        picture = batch.show()
        assert (square(picture, 0) == RED).all()
        assert (square(picture, 1) == BACKGROUND).all()
        assert (square(picture, 2) == BACKGROUND).all()


def test_columns_and_max_images():
    batch = Batch({"image": solid(*[RED] * 5)}, 5)
    assert batch.show(np.int64(2)).pixels.shape == (3 * TILE + 4 * GAP, 2 * TILE + 3 * GAP, 3)
    assert batch.show(2, max_images=2).pixels.shape[0] == TILE + 2 * GAP
    for options in ({"columns": 0}, {"max_images": 0}, {"columns": True}, {"columns": 2.0}):
        with pytest.raises(OptionError, match="must be an integer of at least 1"):
            batch.show(**options)


@pytest.mark.parametrize(
    ("fields", "num_samples"), [({"label": np.arange(2)}, 2), ({"image": solid(RED)[:0]}, 0)]
)
def test_a_batch_without_images(fields, num_samples):
    batch = Batch(fields, num_samples)
    assert "<img" not in batch._repr_html_()
    with pytest.raises(SchemaError, match="no images to show"):
        batch.show()


def test_an_image_is_saved_and_displayed(tmp_path):
    picture = Batch({"image": solid(RED, BLUE)}, 2).show()
    for name in ("a.png", "b.BMP"):
        picture.save(tmp_path / name)
        picture.save(str(tmp_path / name))
        assert (fastpack.decode((tmp_path / name).read_bytes()) == picture.pixels).all()
    assert (fastpack.decode(picture._repr_png_()) == picture.pixels).all()
    with pytest.raises(OptionError, match=r"not an image format.* - at .*\.txt"):
        picture.save(tmp_path / "a.txt")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UnreadableFileError, match=r"cannot write"):
        picture.save(tmp_path / "folder.png")


# HTML


def test_html_has_thumbnails_with_class_and_key():
    schema = Schema((Field("image", "image"), Field("label", "int")), ("cat", "<b>dog</b>"))
    fields = {"image": solid(RED, BLUE), "label": np.array([1, 7]), "key": Text.of(["&", "\udce9"])}
    text = Batch(fields, 2, schema=schema)._repr_html_()
    assert text.count("<img") == 2
    assert re.findall("<figcaption>(.*?)</figcaption>", text) == [
        "&lt;b&gt;dog&lt;/b&gt;<br>&amp;",
        "7<br>?",
    ]
    assert "<code>Batch(2 samples: image uint8 (2, 40, 40, 3), " in text


def test_html_has_at_most_32_thumbnails_and_marks_missing_ones():
    text = Batch({"image": solid(*[RED] * 40)}, 40, mask=np.arange(40) != 3)._repr_html_()
    assert (text.count("<figure"), text.count("<img"), text.count("not read")) == (32, 31, 1)


# Batches of a reader


def test_a_readers_batch_knows_its_schema(tmp_path):
    images = solid(RED, BLUE)
    for name, image in zip("ab", images, strict=True):
        (tmp_path / f"{name}.png").write_bytes(fastpack.encode(image, "png"))
    source = ImageFiles(
        [tmp_path / "a.png", tmp_path / "b.png"], labels=[0, 1], class_names=["red", "blue"]
    )
    fastpack.pack(source, tmp_path / "data.tfrecord")
    dataset = fastpack.open(tmp_path / "data.tfrecord")
    for reader in (dataset, dataset.with_options(decode=False)):
        batch = pickle.loads(pickle.dumps(reader.read([1, 0])))
        assert re.findall("<figcaption>(\\w+)", batch._repr_html_()) == ["blue", "red"]
        assert (square(batch.show(), 0) == BLUE).all()
