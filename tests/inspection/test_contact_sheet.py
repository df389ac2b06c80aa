"""The contact sheet: its size, what stands where, and what it refuses."""

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

import fastpack
from fastpack.errors import EmptySourceError, OptionError, OutputExistsError, SchemaError
from fastpack.images.grid import BACKGROUND, GAP
from fastpack.inspection.captions import CaptionFont
from fastpack.inspection.contact_sheet import (
    _CAPTION_HEIGHT,
    choose_samples,
    contact_sheet,
    save_sheet,
)
from fastpack.reading.reader import Reader
from fastpack.reading.samples import Samples

COLOURS = np.array([[255, 0, 0], [0, 200, 0], [0, 0, 255], [240, 200, 20], [10, 10, 10]], np.uint8)
TILE = 40


def solid(height: int, width: int, colour) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (height, width, len(colour))).copy()


def dataset_of(folder: Path, images: list[np.ndarray], **columns) -> fastpack.Reader:
    paths = [folder / f"{number}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(fastpack.encode(image, "png"))
    fastpack.pack(fastpack.sources.ImageFiles(paths, **columns), folder / "data.tfrecord")
    return fastpack.open(folder / "data.tfrecord")


def pixels_of(folder: Path, images: np.ndarray) -> fastpack.Reader:
    with h5py.File(folder / "pixels.h5", "w") as file:
        file["images"] = images
        file["labels"] = np.arange(len(images))
    return fastpack.open(folder / "pixels.h5")


def cell(
    sheet: np.ndarray, line: int, column: int, tile: int = TILE
) -> tuple[np.ndarray, np.ndarray]:
    """The square and the caption of one thumbnail."""
    top = GAP + line * (tile + _CAPTION_HEIGHT + GAP)
    left = GAP + column * (tile + GAP)
    whole = sheet[top : top + tile + _CAPTION_HEIGHT, left : left + tile]
    return whole[:tile], whole[tile:]


def caption_of(sheet: np.ndarray) -> np.ndarray:
    return cell(sheet, 0, 0)[1]


def is_blank(part: np.ndarray) -> bool:
    return bool((part == BACKGROUND).all())


@pytest.fixture
def colors(tmp_path: Path) -> fastpack.Reader:
    """Five images of one color each; the last is wide, the one before it high."""
    images = [solid(20, 20, colour) for colour in COLOURS[:3]]
    images += [solid(60, 30, COLOURS[3]), solid(100, 400, COLOURS[4])]
    return dataset_of(tmp_path, images, labels=range(5), class_names=["a", "b", "c", "d", "e"])


@pytest.mark.parametrize(
    ("num_rows", "columns", "lines"), [(5, 2, 3), (5, 5, 1), (4, 2, 2), (1, 1, 1)]
)
def test_size_of_the_sheet(colors, num_rows, columns, lines):
    sheet = contact_sheet(colors, range(num_rows), columns=columns, tile=TILE)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (
        lines * (TILE + _CAPTION_HEIGHT + GAP) + GAP,
        columns * (TILE + GAP) + GAP,
        3,
    )


def test_a_sheet_is_no_wider_than_its_samples(colors):
    assert np.array_equal(
        contact_sheet(colors, [0, 1], columns=8), contact_sheet(colors, [0, 1], columns=2)
    )


def test_each_thumbnail_is_in_its_position(colors):
    rows = [4, 2, 0, 3, 1]
    sheet = contact_sheet(colors, rows, columns=2, tile=TILE)
    middles = [cell(sheet, number // 2, number % 2)[0][TILE // 2, TILE // 2] for number in range(5)]
    assert np.array_equal(middles, COLOURS[rows])
    assert is_blank(np.concatenate(cell(sheet, 2, 1)))


def test_a_square_image_fills_its_square(colors):
    square, _ = cell(contact_sheet(colors, [1], tile=TILE), 0, 0)
    assert (square == COLOURS[1]).all()


@pytest.mark.parametrize(("row", "height", "width"), [(3, 40, 20), (4, 10, 40)])
def test_the_aspect_ratio_is_kept_and_the_image_centered(colors, row, height, width):
    square, _ = cell(contact_sheet(colors, [row], tile=TILE), 0, 0)
    top, left = (TILE - height) // 2, (TILE - width) // 2
    assert (square[top : top + height, left : left + width] == COLOURS[row]).all()
    square[top : top + height, left : left + width] = BACKGROUND
    assert is_blank(square)


def test_a_line_of_extreme_shape_is_still_seen(tmp_path):
    square, _ = cell(
        contact_sheet(dataset_of(tmp_path, [solid(1, 900, [0, 0, 0])]), [0], tile=TILE), 0, 0
    )
    assert (square == 0).all(axis=(1, 2)).sum() == 1


def test_captions_are_class_names(tmp_path):
    image = solid(8, 8, [0, 0, 0])
    named = dataset_of(
        tmp_path, [image, image, image], labels=[0, 1, 1], class_names=["cat", "dog"]
    )
    sheet = contact_sheet(named, range(3), tile=TILE)
    captions = [cell(sheet, 0, column)[1] for column in range(3)]
    assert not is_blank(captions[0])
    assert not np.array_equal(captions[0], captions[1])
    assert np.array_equal(captions[1], captions[2])


def test_captions_are_labels_without_class_names(tmp_path):
    image = solid(8, 8, [0, 0, 0])
    sheet = contact_sheet(dataset_of(tmp_path, [image, image], labels=[7, 8]), range(2), tile=TILE)
    first, second = (cell(sheet, 0, column)[1] for column in range(2))
    assert not is_blank(first)
    assert not np.array_equal(first, second)


def test_captions_are_the_last_part_of_keys_without_labels(tmp_path):
    image = solid(8, 8, [0, 0, 0])
    sheet = contact_sheet(
        dataset_of(tmp_path, [image, image, image], keys=["x/a", "y/a", "x/b"]), range(3), tile=TILE
    )
    captions = [cell(sheet, 0, column)[1] for column in range(3)]
    assert not is_blank(captions[0])
    assert np.array_equal(captions[0], captions[1])
    assert not np.array_equal(captions[0], captions[2])


def test_nothing_is_written_where_nothing_is_known(tmp_path):
    assert is_blank(
        caption_of(contact_sheet(dataset_of(tmp_path, [solid(8, 8, [0, 0, 0])]), [0], tile=TILE))
    )


@pytest.mark.parametrize(
    "name",
    ["n01440764_tench_tinca_tinca", "w" * 100_000, "Löwe", "猫", "two\nlines"],
    ids=lambda name: name[:10],
)
@pytest.mark.parametrize("tile", [1, TILE])
def test_no_name_spills_out_of_its_strip(tmp_path, name, tile):
    dataset = dataset_of(
        tmp_path, [solid(8, 8, [0, 0, 0])] * 2, labels=[0, 1], class_names=[name, "x"]
    )
    sheet = contact_sheet(dataset, [0], tile=tile)
    _, caption = cell(sheet, 0, 0, tile)
    assert tile == 1 or not is_blank(caption)
    caption[:] = BACKGROUND
    assert is_blank(sheet[GAP + tile :])


needs_letters = pytest.mark.skipif(
    not hasattr(cv2, "FontFace"), reason="OpenCV 4 has one font, of ASCII"
)
SCRIPTS = [
    pytest.param(False, id="ASCII"),
    pytest.param(True, id="all scripts", marks=needs_letters),
]


@pytest.mark.parametrize("unicode", SCRIPTS)
@pytest.mark.parametrize("width", [12, 40, 160])
def test_a_long_name_is_cut_where_it_must_be(width, unicode):
    name, lettering = "n01440764_tench_tinca_tinca", CaptionFont(unicode=unicode)
    shown = lettering.shortened(name, width)
    assert shown.endswith("..")
    assert name.startswith(shown[:-2])
    assert lettering.width_of(shown) <= width < lettering.width_of(name[: len(shown) - 1] + "..")


@pytest.mark.parametrize("unicode", SCRIPTS)
def test_a_name_that_fits_is_whole(unicode):
    lettering = CaptionFont(unicode=unicode)
    assert lettering.shortened("tench", lettering.width_of("tench")) == "tench"


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("Löwe", "Lowe"),
        ("猫", "label 3"),
        ("猫 cat", "? cat"),
        ("two\nlines", "two?lines"),
        ("", "label 3"),
    ],
)
def test_ascii_draws_what_it_can(text, drawn):
    assert CaptionFont(unicode=False).drawable(text, "label 3") == drawn


@needs_letters
@pytest.mark.parametrize(
    ("text", "drawn"),
    [("Löwe", "Löwe"), ("猫", "猫"), ("two\nlines", "two?lines"), ("caf\udce9", "caf?")],
)
def test_other_scripts_are_drawn(text, drawn):
    lettering = CaptionFont(unicode=True)
    assert lettering.drawable(text) == drawn
    strip = np.full((18, 60, 3), 255, np.uint8)
    lettering.write(strip, drawn)
    assert (strip < 128).any()


@needs_letters
def test_names_in_other_scripts_are_distinguished(tmp_path):
    dataset = dataset_of(
        tmp_path, [solid(8, 8, [0, 0, 0])] * 2, labels=[0, 1], class_names=["猫", "犬"]
    )
    sheet = contact_sheet(dataset, [0, 1], tile=TILE)
    assert not np.array_equal(cell(sheet, 0, 0)[1], cell(sheet, 0, 1)[1])


def test_shrunken_images_are_averaged(tmp_path):
    checkers = np.indices((400, 400)).sum(axis=0) % 2 * 255
    image = np.repeat(checkers[:, :, None], 3, axis=2).astype(np.uint8)
    square, _ = cell(contact_sheet(dataset_of(tmp_path, [image]), [0], tile=TILE), 0, 0)
    assert (np.abs(square.astype(int) - 127) <= 1).all()


def test_gray_images(tmp_path):
    square, _ = cell(
        contact_sheet(dataset_of(tmp_path, [solid(20, 20, [77])]), [0], tile=TILE), 0, 0
    )
    assert (square == 77).all()


@pytest.mark.parametrize("shape", [(20, 20), (20, 20, 1), (20, 20, 3), (20, 20, 4)], ids=str)
def test_pixels_of_any_usual_shape(tmp_path, shape):
    images = np.stack([np.full(shape, value, np.uint8) for value in (30, 90)])
    sheet = contact_sheet(pixels_of(tmp_path, images), [1, 0], tile=TILE)
    assert (cell(sheet, 0, 0)[0] == 90).all()
    assert (cell(sheet, 0, 1)[0] == 30).all()


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
def test_other_numbers_are_stretched(tmp_path, dtype):
    image = np.full((40, 40, 3), 2, dtype)
    image[:20] = 1
    square, _ = cell(contact_sheet(pixels_of(tmp_path, image[None]), [0], tile=TILE), 0, 0)
    assert (square[:19] == 0).all()
    assert (square[21:] == 255).all()


def test_the_readers_transform_is_seen(colors):
    reader = colors.with_options(transform=fastpack.Resize((20, 40)), color="GRAY")
    square, _ = cell(contact_sheet(reader, [2], tile=TILE), 0, 0)
    assert (square[10:30] == COLOURS[2]).all()
    assert is_blank(square[:10])


def test_undecoded_readers_are_decoded(colors):
    assert np.array_equal(
        contact_sheet(colors.with_options(decode=False), [0, 1]), contact_sheet(colors, [0, 1])
    )


@pytest.mark.parametrize(
    "rows", [[], np.zeros(0, np.int64), range(0)], ids=["list", "array", "range"]
)
def test_no_rows(colors, rows):
    with pytest.raises(EmptySourceError, match="no samples to show"):
        contact_sheet(colors, rows)


@pytest.mark.parametrize("options", [{"columns": 0}, {"tile": 0}, {"tile": -5}], ids=str)
def test_bad_options(colors, options):
    with pytest.raises(OptionError, match="at least 1"):
        contact_sheet(colors, [0], **options)


def test_a_row_that_is_not_there(colors):
    with pytest.raises(IndexError):
        contact_sheet(colors, [5])


def test_channels_first(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3)).astype(np.uint8)
    (tmp_path / "last").mkdir()
    first = contact_sheet(
        pixels_of(tmp_path, np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))), [0]
    )
    assert np.array_equal(first, contact_sheet(pixels_of(tmp_path / "last", pixels), [0]))


def test_no_image_field(tmp_path, colors):
    labels = Reader(Samples.of(colors.index.select({"label": "label"})))
    with pytest.raises(SchemaError, match="no image field"):
        contact_sheet(labels, [0])


def test_a_saved_sheet_is_the_sheet(tmp_path, colors):
    sheet = contact_sheet(colors, range(5))
    save_sheet(sheet, tmp_path / "sheet.png")
    assert np.array_equal(fastpack.decode((tmp_path / "sheet.png").read_bytes()), sheet)


def test_an_unknown_ending_is_refused(tmp_path, colors):
    with pytest.raises(OptionError, match=r"sheet\.txt"):
        save_sheet(contact_sheet(colors, [0]), tmp_path / "sheet.txt")
    assert not (tmp_path / "sheet.txt").exists()


def test_an_existing_image_is_kept(tmp_path, colors):
    (tmp_path / "sheet.png").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        save_sheet(contact_sheet(colors, [0]), tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes() == b"mine"
    save_sheet(contact_sheet(colors, [0]), tmp_path / "sheet.png", overwrite=True)
    assert (tmp_path / "sheet.png").read_bytes() != b"mine"


# which samples


@pytest.fixture
def classes(tmp_path) -> fastpack.Reader:
    return dataset_of(tmp_path, [solid(8, 8, [0, 0, 0])] * 7, labels=[0, 1, 0, 0, 2, 1, 0])


@pytest.mark.parametrize(("count", "expected"), [(3, [0, 1, 2]), (100, [0, 1, 2, 3, 4, 5, 6])])
def test_the_first_samples(classes, count, expected):
    assert choose_samples(classes, count).tolist() == expected


def test_a_random_choice_is_the_seeds(classes):
    chosen = [choose_samples(classes, 4, seed=seed).tolist() for seed in range(5)]
    assert chosen[0] == choose_samples(classes, 4, seed=0).tolist()
    assert all(len(set(rows)) == 4 for rows in chosen)
    assert len({tuple(rows) for rows in chosen}) > 1


@pytest.mark.parametrize("seed", [None, 3])
def test_samples_of_each_class(classes, seed):
    chosen = choose_samples(classes, 2, seed=seed, per_class=True)
    assert classes.columns["label"][chosen].tolist() == [0, 0, 1, 1, 2]
    assert len(set(chosen.tolist())) == 5


def test_classes_need_labels(tmp_path):
    with pytest.raises(OptionError, match="label"):
        choose_samples(dataset_of(tmp_path, [solid(8, 8, [0, 0, 0])]), 1, per_class=True)
