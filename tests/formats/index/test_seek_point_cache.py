"""Seek points that are added while images are decoded equal those made beforehand."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastpack
from fastpack.errors import CorruptRecordError, OptionError
from fastpack.files.companions import index_path
from fastpack.images.crops import RandomResizedCrop
from tests.support.damage import in_place
from tests.support.images import jpeg, photo, save

NUM_IMAGES = 12
NUM_MARKED = NUM_IMAGES - 2


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """JPEGs, one of them with no table, and a PNG."""
    folder = tmp_path_factory.mktemp("images")
    files = [
        jpeg(120 + 9 * number, 150, seed=number, subsampling=number % 3, quality=95)
        for number in range(NUM_MARKED)
    ]
    files += [jpeg(120, 150, progressive=True), save(photo(120, 150), "PNG")]
    for number, data in enumerate(files):
        (folder / f"{number:02d}").write_bytes(data)
    return sorted(folder.iterdir())


@pytest.fixture(params=["tfrecord", "h5"])
def packed(images, request, tmp_path):
    fastpack.pack(
        fastpack.sources.ImageFiles(images, range(NUM_IMAGES)),
        tmp_path / f"x.{request.param}",
        fastpack.PackOptions(shards=2),
    )
    return str(tmp_path / f"x-*.{request.param}")


def tables_of(path, **options):
    tables = fastpack.open(path, **options).index.seek_points["image"]
    return [tables.table(row).tolist() for row in range(NUM_IMAGES)]


def made_beforehand(path):
    return tables_of(path, seek_points=True, save_index=False)


def learning(path, **options):
    return fastpack.open(path, seek_points="lazy", transform=RandomResizedCrop(32), **options)


def known_of(dataset):
    return [
        table.tolist()
        for table in map(
            dataset._samples.seek_point_cache.tables("image", np.arange(NUM_IMAGES)).table,
            range(NUM_IMAGES),
        )
    ]


def test_pixels_are_those_without(packed):
    ours = learning(packed)
    plain = ours.with_options(seek_points=False)
    rows = np.arange(NUM_IMAGES)
    for epoch in range(3):
        assert (
            ours.read(rows, epoch=epoch)["image"] == plain.read(rows, epoch=epoch)["image"]
        ).all()


def test_what_is_decoded_is_learned(packed):
    dataset = learning(packed)
    dataset.with_options(decode=False).read([0])  # decodes nothing
    assert not any(known_of(dataset))
    dataset.read([3, 1, 3])
    dataset.take([7, 10, 11]).read([0, 1, 2])  # a part shares what it learns
    dataset.with_options(transform=None).read([5])
    expected = made_beforehand(packed)
    assert known_of(dataset) == [
        expected[row] if row in (1, 3, 5, 7) else [] for row in range(NUM_IMAGES)
    ]


@pytest.mark.parametrize("fields", [None, {"picture": "image"}])
def test_saved_ones_are_those_made_beforehand(packed, fields):
    expected = made_beforehand(packed)
    dataset = learning(packed, fields=fields)
    with fastpack.Loader(dataset, batch_size=5, shuffle=True) as loader:
        assert sum(batch.num_samples for batch in loader) == NUM_IMAGES
    assert dataset.save_seek_points() == NUM_MARKED
    assert tables_of(packed) == expected
    again = learning(packed)
    again.read([0])
    assert again.save_seek_points() == NUM_MARKED


def test_saving_makes_what_is_missing(packed):
    expected = made_beforehand(packed)
    part = learning(packed).take([8, 2])
    part.read([0])
    assert part.save_seek_points() == NUM_MARKED
    assert tables_of(packed) == expected


def test_saving_goes_to_a_folder(packed, tmp_path):
    (tmp_path / "indexes").mkdir()
    dataset = learning(packed, index_dir=tmp_path / "indexes")
    dataset.save_seek_points(tmp_path / "indexes")
    assert "image" not in fastpack.open(packed).index.seek_points
    assert "image" in fastpack.open(packed, index_dir=tmp_path / "indexes").index.seek_points


def test_a_damaged_image_hides_no_other(packed):
    expected = made_beforehand(packed)
    dataset = learning(packed, on_error="skip")
    span = dataset.index.spans["image"][2]
    in_place(dataset.index.shards[0].path, {int(span["offset"]) + 40: b"\xa5" * 9})
    for _ in range(2):
        assert len(dataset.read(np.arange(6)).failures) == 1
    dataset.read([0, 1, 3, 4, 5])
    assert known_of(dataset)[:6] == [*expected[:2], [], *expected[3:6]]
    assert (
        dataset.read([0])["image"] == dataset.with_options(seek_points=False).read([0])["image"]
    ).all()
    with pytest.raises(CorruptRecordError):
        dataset.save_seek_points()


def test_threads_learn_together(packed):
    dataset = learning(packed, num_workers=1)
    random = np.random.default_rng(0)
    with ThreadPoolExecutor(4) as threads:
        list(
            threads.map(
                lambda rows: dataset.read(rows).num_samples,
                [random.permutation(NUM_IMAGES)[:5] for _ in range(40)],
            )
        )
    assert known_of(dataset) == made_beforehand(packed)


def test_another_process_learns_for_itself(packed):
    dataset = learning(packed)
    dataset.read([0])
    other = pickle.loads(pickle.dumps(dataset))
    assert not any(known_of(other))
    other.read(np.arange(NUM_IMAGES))
    assert known_of(other) == made_beforehand(packed)


def test_only_what_learns_can_save(packed):
    with pytest.raises(OptionError, match="lazy"):
        fastpack.open(packed).save_seek_points()
    with pytest.raises(OptionError, match="seek_points"):
        fastpack.open(packed, seek_points="always")


def test_indexes_that_have_them_are_left(packed):
    tables_of(packed, seek_points=True)
    before = [
        index_path(shard.path).stat().st_mtime_ns for shard in fastpack.open(packed).index.shards
    ]
    dataset = learning(packed)
    dataset.read([0, 1])
    assert dataset.save_seek_points() == NUM_MARKED
    assert before == [index_path(shard.path).stat().st_mtime_ns for shard in dataset.index.shards]
