"""Seek points in an index: made, kept, copied and used; the pixels stay the same."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import fastpack
from fastpack.cli import main
from fastpack.errors import CorruptRecordError, FormatError
from fastpack.files.companions import index_path
from fastpack.formats.index.index_file import load_index, save_index
from fastpack.formats.indexing import build_indexes
from fastpack.images.crops import CenterCrop, RandomResizedCrop
from fastpack.images.seek_points import SeekPoints
from fastpack.integrity.verify import verify
from tests.support.damage import in_place
from tests.support.extent import num_examples
from tests.support.images import jpeg, photo, save
from tests.support.saved_tables import SavedTables

NUM_IMAGES = 8


@pytest.fixture(scope="module")
def images():
    """JPEGs of several kinds, one that has no seek points, and a PNG."""
    kinds = [
        {"subsampling": number % 3, "quality": 95, "optimize": number % 2 == 0}
        for number in range(NUM_IMAGES - 2)
    ]
    files = {
        f"{number}.jpg": jpeg(120 + 9 * number, 150, seed=number, **kind)
        for number, kind in enumerate(kinds)
    }
    return files | {
        "6.jpg": jpeg(120, 150, progressive=True),
        "7.png": save(photo(120, 150), "PNG"),
    }


@pytest.fixture(params=["tfrecord", "h5"])
def packed(images, request, tmp_path):
    for name, data in images.items():
        (tmp_path / name).write_bytes(data)
    path = tmp_path / f"packed.{request.param}"
    fastpack.pack(
        fastpack.sources.ImageFiles([tmp_path / name for name in images], range(NUM_IMAGES)), path
    )
    return path


def marks_of(reader):
    return reader.index.seek_points.get("image")


def assert_same_pixels(reader):
    """As from the beginning, for whole images, for boxes of one size and for random ones."""
    plain, rows = reader.with_options(seek_points=False), [*range(len(reader)), 0]
    for transform in (None, CenterCrop(40), RandomResizedCrop(32)):
        ours, theirs = (
            each.with_options(transform=transform).read(rows, epoch=3)["image"]
            for each in (reader, plain)
        )
        assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))


def test_opening_makes_and_keeps_them(packed):
    assert marks_of(fastpack.open(packed)) is None
    made = marks_of(fastpack.open(packed, seek_points=True))
    kept = marks_of(fastpack.open(packed))
    assert made.num_with_seek_points == kept.num_with_seek_points == NUM_IMAGES - 2
    assert all(np.array_equal(made.table(row), kept.table(row)) for row in range(NUM_IMAGES))
    assert len(kept.table(6)) == len(kept.table(7)) == 0
    assert_same_pixels(fastpack.open(packed))


@pytest.mark.parametrize("on_error", ["skip", "mask"])
def test_a_damaged_image_has_none(packed, on_error):
    whole = fastpack.open(packed, seek_points=True, save_index=False)
    index_path(packed).unlink()
    in_place(packed, {int(whole.index.spans["image"]["offset"][2]) + 40: b"\xa5" * 9})
    with pytest.raises(CorruptRecordError, match="record 2"):
        fastpack.open(packed, seek_points=True)
    reader = fastpack.open(packed, seek_points=True, on_error=on_error)
    tables = [marks_of(reader).table(row).tolist() for row in range(NUM_IMAGES)]
    assert tables == [
        marks_of(whole).table(row).tolist() if row != 2 else [] for row in range(NUM_IMAGES)
    ]
    assert len(reader.read(range(NUM_IMAGES)).failures) == 1
    assert not index_path(packed).exists()  # a later open with on_error="raise" raises


def test_they_need_not_be_kept(packed):
    index_path(packed).unlink()
    dataset = fastpack.open(packed, seek_points=True, save_index=False)
    assert marks_of(dataset).num_with_seek_points == NUM_IMAGES - 2
    assert not index_path(packed).exists()
    assert_same_pixels(dataset)


def test_packing_makes_them(images, tmp_path):
    source = tmp_path / "images"
    (source / "class").mkdir(parents=True)
    for name, data in images.items():
        (source / "class" / name).write_bytes(data)
    fastpack.pack(
        source, tmp_path / "out.tfrecord", fastpack.PackOptions(seek_points=True, shards=2)
    )
    dataset = fastpack.open(tmp_path / "out-*.tfrecord")
    assert marks_of(dataset).num_with_seek_points == NUM_IMAGES - 2
    assert_same_pixels(dataset)


def test_indexing_makes_them(packed):
    built = build_indexes(packed, seek_points=True)
    assert (built.num_fresh, built.num_with_seek_points) == (0, NUM_IMAGES - 2)
    assert 0 < built.seek_point_bytes < built.num_bytes * 0.02
    again = build_indexes(packed)
    assert (again.num_fresh, again.seek_point_bytes) == (1, built.seek_point_bytes)


def test_the_command_line_makes_them(packed):
    result = CliRunner().invoke(main, ["index", "--seek-points", "--json", str(packed)])
    assert json.loads(result.stdout)["num_with_seek_points"] == NUM_IMAGES - 2
    result = CliRunner().invoke(main, ["index", str(packed)])
    assert f"{NUM_IMAGES - 2} images with seek points" in result.stdout
    out = packed.with_name("other.tfrecord")
    assert (
        CliRunner()
        .invoke(main, ["pack", "--seek-points", str(packed), "-o", str(out), "-q"])
        .exit_code
        == 0
    )
    assert marks_of(fastpack.open(out)).num_with_seek_points == NUM_IMAGES - 2


def test_they_go_with_their_samples(packed):
    dataset = fastpack.open(packed, seek_points=True)
    chosen = [5, 0, 0, 6, 3]
    parts = [
        dataset.take(chosen),
        dataset[::-2],
        dataset.filter(lambda columns: columns["height"] > 130),
        fastpack.concat([dataset.take(chosen), fastpack.open(packed, seek_points=True)[1:3]]),
        fastpack.open(packed, fields={"picture": "image", "image": "image"}),
    ]
    tables = {row: marks_of(dataset).table(row).tobytes() for row in range(NUM_IMAGES)}
    for part in parts:
        marks = marks_of(part)
        assert [marks.table(row).tobytes() for row in range(len(part))] == [
            tables[number] for number in part.index.record_numbers
        ]
        assert_same_pixels(part)


def test_some_of_several_files_may_have_them(packed):
    other = packed.with_name(f"z{packed.name}")
    other.write_bytes(packed.read_bytes())
    fastpack.open(other, seek_points=True)
    both = fastpack.open([packed, other])
    assert (marks_of(both).num_with_seek_points, len(marks_of(both))) == (
        NUM_IMAGES - 2,
        2 * NUM_IMAGES,
    )
    assert_same_pixels(both)


def test_a_part_is_saved_without_the_words_of_others(packed, tmp_path):
    part = fastpack.open(packed, seek_points=True)[2:4]
    save_index(part.index, tmp_path / "part")
    loaded = load_index(tmp_path / "part")
    assert np.array_equal(loaded.seek_points["image"].table(1), marks_of(part).table(1))
    assert len(loaded.seek_points["image"].words) * 8 == marks_of(part).num_bytes


def test_a_loader_uses_them(packed):
    dataset = fastpack.open(packed, seek_points=True, transform=RandomResizedCrop(32))
    loaders = [
        fastpack.Loader(each, batch_size=4, shuffle=True)
        for each in (dataset, dataset.with_options(seek_points=False))
    ]
    for ours, theirs in zip(*loaders, strict=True):
        assert (ours["image"] == theirs["image"]).all()


def test_a_crop_reads_a_part(packed):
    """Damage elsewhere in the image only matters if all of it is read, or without seek points."""
    dataset = fastpack.open(packed, seek_points=True, transform=CenterCrop(16))
    expected = dataset[0]["image"]
    span = dataset.index.spans["image"][0]
    in_place(packed, {int(span["offset"] + span["length"]) - 40: b"\0" * 30})
    assert (dataset[0]["image"] == expected).all()
    for reader in (dataset.with_options(seek_points=False), dataset.with_options(transform=None)):
        with pytest.raises(CorruptRecordError):
            reader.read([0])


SEEK_POINTS = "seek_points/image"


def with_words(packed, change):
    """Save the index with other words of its seek points, or other places of them."""
    saved = SavedTables(index_path(packed))
    words = saved.tables[f"{SEEK_POINTS}/values"]["value"]
    words, places = change(words, saved.tables[SEEK_POINTS])
    saved.tables[f"{SEEK_POINTS}/values"], saved.tables[SEEK_POINTS] = {"value": words}, places
    saved.save(index_path(packed))


def rolled(words, places):
    return np.roll(words, 5), places


def emptied(words, places):
    return words * 0, places


def exchanged(words, places):
    return words, {name: values[::-1] for name, values in places.items()}


@pytest.mark.parametrize("change", [rolled, emptied, exchanged])
def test_damaged_words_cost_no_pixels(packed, change):
    fastpack.open(packed, seek_points=True)
    with_words(packed, change)
    dataset = fastpack.open(packed)
    assert marks_of(dataset) is not None
    assert_same_pixels(dataset)
    assert not verify(packed).is_sound


def test_words_of_another_type_are_rebuilt(packed):
    fastpack.open(packed, seek_points=True)
    with_words(packed, lambda words, places: (words.astype(np.float64), places))
    assert marks_of(fastpack.open(packed)) is None


HOSTILE = {
    "too few words": lambda words, places: (words[:-1], places),
    "too long": lambda words, places: (words, {**places, "length": places["length"] + 1}),
    "too far": lambda words, places: (words, {**places, "start": places["start"] + 2**62}),
    "below zero": lambda words, places: (words, {**places, "start": places["start"] - 2**62}),
    "overflow": lambda words, places: (words, {**places, "length": places["length"] * 0 - 1}),
    "floats": lambda words, places: (words, {**places, "start": places["start"] + 0.5}),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_odd_places_of_words_are_errors_of_the_index(packed, change):
    fastpack.open(packed, seek_points=True)
    with_words(packed, change)
    try:
        dataset = fastpack.open(packed)
        dataset.read(range(len(dataset)))
    except FormatError as error:
        assert index_path(packed).name in str(error)  # noqa: PT017
    else:
        assert marks_of(dataset) is None


def test_verifying_compares_them(packed):
    fastpack.open(packed, seek_points=True)
    assert verify(packed).is_sound


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=4), min_size=1, max_size=6), st.data())
@settings(max_examples=num_examples(60))
def test_tables_are_taken_and_joined_as_lists_are(tables, draw):
    marks = SeekPoints.of_lengths(
        np.array(sum(tables, []), np.uint64), [len(table) for table in tables]
    )
    rows = np.array(draw.draw(st.lists(st.integers(0, len(tables) - 1))), np.int64)
    joined = SeekPoints.concatenate([marks.take(rows), SeekPoints.none(2), marks])
    expected = [*[tables[row] for row in rows], [], [], *tables]
    assert [joined.table(row).tolist() for row in range(len(joined))] == expected
    assert joined.num_with_seek_points == sum(1 for table in expected if table)
