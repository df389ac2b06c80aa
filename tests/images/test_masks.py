"""Masks: images of class numbers, which are never blended, and follow their image."""

import io
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fastpack
from fastpack import Batch
from fastpack.core import Field, Ragged, Schema, Text
from fastpack.errors import ShapeError, UnsupportedImageError
from fastpack.files.companions import index_path
from fastpack.formats.index.index_file import save_index
from fastpack.formats.protocols import ShardPlan
from fastpack.formats.tfrecord.container import TFRECORD
from tests.support.extent import num_examples
from tests.support.images import jpeg, photo, save, to_pillow

HEIGHT, WIDTH = 48, 64
NORMALIZE = fastpack.Normalize((0.5,) * 3, (0.5,) * 3)


def classes(seed=0, height=HEIGHT, width=WIDTH, most=256):
    """Class numbers in patches of 4 x 4."""
    random = np.random.default_rng(seed)
    patches = random.integers(0, most, (-(-height // 4), -(-width // 4)))
    return np.kron(patches, np.ones((4, 4), np.int64))[:height, :width].astype(
        np.uint8 if most <= 256 else np.uint16
    )


def palette_of(numbers, seed=0):
    image = Image.fromarray(numbers, "P")
    image.putpalette(np.random.default_rng(seed).integers(0, 256, 768).tolist())
    return image


def write(path, members):
    with tarfile.open(path, "w") as file:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def pairs(tmp_path, masks, images=None, name="x.tar"):
    images = images or [jpeg(HEIGHT, WIDTH, seed=number) for number in range(len(masks))]
    members = [
        (f"{i}.{end}", data)
        for i in range(len(masks))
        for end, data in (("jpg", images[i]), ("mask.png", masks[i]))
    ]
    return write(tmp_path / name, members)


KINDS = {
    "gray": (classes(), lambda numbers: save(Image.fromarray(numbers), "PNG")),
    "palette": (classes(), lambda numbers: save(palette_of(numbers), "PNG")),
    "palette with transparency": (
        classes(),
        lambda numbers: save(palette_of(numbers), "PNG", transparency=0),
    ),
    "few colors": (classes(most=4), lambda numbers: save(palette_of(numbers), "PNG", bits=2)),
    "one bit": (
        classes(most=2),
        lambda numbers: save(Image.fromarray(numbers * 255).convert("1"), "PNG"),
    ),
    "16 bits": (classes(most=2**16), lambda numbers: save(Image.fromarray(numbers), "PNG")),
    "tiff": (classes(), lambda numbers: save(palette_of(numbers), "TIFF", compression="tiff_lzw")),
    "tiff of 16 bits": (
        classes(most=2**16),
        lambda numbers: save(Image.fromarray(numbers), "TIFF"),
    ),
    "bmp": (classes(), lambda numbers: save(palette_of(numbers), "BMP")),
    "gif": (classes(), lambda numbers: save(palette_of(numbers), "GIF", optimize=False)),
    "webp whose channels are equal": (
        classes(),
        lambda numbers: save(Image.fromarray(numbers), "WEBP", lossless=True),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_class_numbers_are_as_they_are_stored(tmp_path, kind):
    numbers, make = KINDS[kind]
    path = write_tfrecord(tmp_path / "x.tfrecord", [make(numbers)])
    mask = fastpack.open(path)[0]["mask"]
    assert mask.dtype == numbers.dtype
    np.testing.assert_array_equal(mask, numbers)


def write_tfrecord(path, masks):
    """Writes a TFRecord with an image and a mask in each sample."""
    schema = Schema((Field("image", "image"), Field("mask", "mask"), Field("key", "text")))
    plan = ShardPlan(schema, len(masks), sum(map(len, masks)))
    images = [jpeg(HEIGHT, WIDTH, seed=number) for number in range(len(masks))]
    keys = Text.of([str(number) for number in range(len(masks))])
    writer = TFRECORD.writer(path, plan)
    writer.write(
        Batch(
            {"image": Ragged.of_bytes(images), "mask": Ragged.of_bytes(masks), "key": keys},
            len(masks),
        )
    )
    index = writer.close()
    assert index is not None
    save_index(index, index_path(path))
    return path


STEPS = {
    "Resize": [fastpack.Resize((30, 41))],
    "RandomResizedCrop": [fastpack.RandomResizedCrop((20, 24)), fastpack.HorizontalFlip()],
    "ResizeShort and CenterCrop": [fastpack.ResizeShort(33), fastpack.CenterCrop(32)],
    "RandomCrop": [fastpack.RandomCrop((17, 31)), fastpack.HorizontalFlip()],
    "padding": [fastpack.CenterCrop(60, pad_if_needed=True), fastpack.HorizontalFlip()],
}


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_mask_is_transformed_like_its_image(tmp_path, steps, orientation):
    """Images have the class numbers as gray levels; the kernel takes their nearest pixels."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    files = [save(Image.fromarray(classes(number)), "PNG", exif=exif) for number in range(6)]
    members = [
        (f"{i}.{end}", data) for i, data in enumerate(files) for end in ("rgb.png", "mask.png")
    ]
    dataset = fastpack.open(
        write(tmp_path / "x.tar", members),
        transform=steps,
        interpolation="nearest",
        color="GRAY",
        seed=3,
    )
    batch = dataset.read(range(6), epoch=2)
    np.testing.assert_array_equal(batch["mask.png"], batch["rgb.png"][..., 0])


@pytest.mark.parametrize(
    "steps", [*STEPS.values(), [fastpack.Resize(24), NORMALIZE]], ids=[*STEPS, "Normalize"]
)
def test_a_mask_is_neither_blended_nor_normalized(tmp_path, steps):
    masks = [classes(number, most=3) * 7 for number in range(4)]
    dataset = fastpack.open(
        pairs(tmp_path, [save(Image.fromarray(mask), "PNG") for mask in masks]), transform=steps
    )
    found = dataset.read(range(4))["mask.png"]
    assert found.dtype == np.uint8
    assert set(np.unique(found)) <= {0, 7, 14}


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 4),
    st.integers(0, 9),
    st.sampled_from(sorted(STEPS.keys() - {"RandomCrop"})),
)
@settings(max_examples=num_examples(40), deadline=None)
def test_a_mask_of_fewer_pixels_is_the_coarse_image(
    tmp_path_factory, height, width, factor, seed, name
):
    """Each of its pixels stands for a square of the picture's."""
    coarse = classes(seed, height, width)
    fine = np.kron(coarse, np.ones((factor, factor), np.uint8))
    files = [save(Image.fromarray(pixels), "PNG") for pixels in (fine, coarse, fine)]
    members = [
        (f"0.{end}", data) for end, data in zip(("png", "mask.png", "seg.png"), files, strict=True)
    ]
    dataset = fastpack.open(
        write(tmp_path_factory.mktemp("masks") / "x.tar", members), transform=STEPS[name], seed=seed
    )
    batch = dataset.read([0])
    np.testing.assert_array_equal(batch["mask.png"], batch["seg.png"])


def test_masks_without_a_transform_have_their_own_sizes(tmp_path):
    masks = [classes(0, 24, 32), classes(1, 12, 16)]
    dataset = fastpack.open(pairs(tmp_path, [save(Image.fromarray(mask), "PNG") for mask in masks]))
    for number, mask in enumerate(dataset.read([0, 1])["mask.png"]):
        np.testing.assert_array_equal(mask, masks[number])


def test_masks_alone_are_transformed_by_their_own_size(tmp_path):
    path = pairs(tmp_path, [save(Image.fromarray(classes()), "PNG")])
    dataset = fastpack.open(path, fields=["mask.png"], transform=fastpack.CenterCrop((8, 16)))
    np.testing.assert_array_equal(dataset[0]["mask.png"], classes()[20:28, 24:40])


def test_a_mask_of_another_shape_is_one_bad_sample(tmp_path):
    masks = [
        save(Image.fromarray(classes(0, *size)), "PNG")
        for size in ((HEIGHT, WIDTH), (WIDTH, HEIGHT), (HEIGHT // 2, WIDTH // 2))
    ]
    dataset = fastpack.open(pairs(tmp_path, masks), transform=fastpack.Resize(16), on_error="mask")
    batch = dataset.read([0, 1, 2])
    assert batch.mask.tolist() == [True, False, True]
    assert not batch["mask.png"][1].any()
    with pytest.raises(ShapeError, match="the mask is 64 x 48 and its image 48 x 64, .*key 1"):
        dataset.with_options(on_error="raise").read([0, 1, 2])


def test_a_colored_image_is_no_mask(tmp_path):
    path = write_tfrecord(
        tmp_path / "x.tfrecord", [save(photo(HEIGHT, WIDTH), "PNG"), jpeg(HEIGHT, WIDTH)]
    )
    for number in (0, 1):
        with pytest.raises(UnsupportedImageError, match="a mask has one channel.*key"):
            fastpack.open(path).read([number])


def test_the_kind_survives_the_index_and_its_loss(tmp_path):
    masks = [save(Image.fromarray(classes(number)), "PNG") for number in range(3)]
    path = write_tfrecord(tmp_path / "x.tfrecord", masks)
    assert fastpack.open(path).schema["mask"].kind == "mask"
    assert fastpack.open(path, save_index=False, index_dir=tmp_path).schema["mask"].kind == "mask"
    encoded = fastpack.open(path, decode=False).read([2, 0])["mask"]
    assert [encoded.bytes(0), encoded.bytes(1)] == [masks[2], masks[0]]


@pytest.mark.parametrize(
    "changes", [{"resize_max": 32}, {"size": (24, 32), "quality": 90}], ids=str
)
def test_re_encoded_masks_take_the_nearest_pixels(tmp_path, changes):
    numbers = classes(most=2**16)
    path = write_tfrecord(
        tmp_path / "x.tfrecord",
        [save(Image.fromarray(numbers), "PNG"), save(palette_of(classes()), "PNG")],
    )
    fastpack.pack(
        fastpack.open(path, decode=False), tmp_path / "y.tfrecord", fastpack.PackOptions(**changes)
    )
    dataset = fastpack.open(tmp_path / "y.tfrecord")
    assert dataset[0]["image"].shape == (24, 32, 3)
    np.testing.assert_array_equal(dataset[0]["mask"], numbers[1::2, 1::2])
    np.testing.assert_array_equal(dataset[1]["mask"], classes()[1::2, 1::2])


@pytest.mark.parametrize("orientation", [1, 6])
def test_masks_get_the_size_of_decoded_pixels(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    numbers = classes(most=2**16)
    files = [
        save(Image.fromarray(numbers), "PNG", exif=exif),
        save(palette_of(classes()), "PNG", exif=exif),
    ]
    source = fastpack.open(
        pairs(tmp_path, files, [jpeg(HEIGHT, WIDTH, exif=exif)] * 2), decode=False
    )
    fastpack.pack(source, tmp_path / "y.h5", fastpack.PackOptions(size=(24, 32)))
    expected = [np.rot90(mask, -1) if orientation == 6 else mask for mask in (numbers, classes())]
    rows, columns = nearest(expected[0].shape[0], 24), nearest(expected[0].shape[1], 32)
    small = [mask[rows][:, columns] for mask in expected]
    dataset = fastpack.open(tmp_path / "y.h5")
    batch = dataset.read([0, 1])
    assert batch["image"].shape == (2, 24, 32, 3)
    np.testing.assert_array_equal(batch["mask.png"], small)
    cropped = dataset.with_options(transform=fastpack.CenterCrop(16)).read([0, 1])
    np.testing.assert_array_equal(cropped["mask.png"], [mask[4:20, 8:24] for mask in small])
    assert fastpack.verify(tmp_path / "y.h5", decode=True).is_sound


def nearest(extent, scaled):
    return ((np.arange(scaled) + 0.5) * extent / scaled).astype(int)


def test_stripping_and_checking_leave_masks_as_they_are(tmp_path):
    mask = save(palette_of(classes()), "PNG", transparency=3)
    path = write_tfrecord(tmp_path / "x.tfrecord", [mask])
    fastpack.pack(
        fastpack.open(path, decode=False),
        tmp_path / "y.tfrecord",
        fastpack.PackOptions(metadata="strip", check="decode"),
    )
    np.testing.assert_array_equal(fastpack.open(tmp_path / "y.tfrecord")[0]["mask"], classes())


def test_to_pillow_keeps_the_indices():
    """The tests above rely on this."""
    assert (np.array(Image.open(io.BytesIO(save(palette_of(classes()), "PNG")))) == classes()).all()
    assert to_pillow(photo(2, 2)).mode == "RGB"
