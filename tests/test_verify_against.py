"""verify --against: a dataset held against the images that it was packed from."""

from pathlib import Path

import pytest
from damage import flip_in_image, flipped
from images import jpeg
from samples import two_classes

from fastpack import PackOptions, Paths, pack, verify
from fastpack.errors import OptionError

ENDINGS = ("tfrecord", "h5")


NUM_SAMPLES = 6


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return two_classes(tmp_path / "photos")


@pytest.fixture(params=ENDINGS)
def packed(request, files, tmp_path) -> Path:
    return pack_photos(tmp_path, f"all.{request.param}")


def pack_photos(tmp_path: Path, name: str, **options) -> Path:
    pack(tmp_path / "photos", tmp_path / name, PackOptions(sync=False, **options))
    return tmp_path / name


def test_against_the_folder_that_was_packed(packed, tmp_path):
    assert verify(packed, against=tmp_path / "photos").is_sound


def test_against_names_what_differs_is_missing_or_extra(packed, files, tmp_path):
    files[1].write_bytes(flipped(files[1].read_bytes(), 300))
    files[4].unlink()
    (files[0].parent / "new.jpg").write_bytes(jpeg(20, 20))
    missing, extra, differing = verify(packed, against=tmp_path / "photos").problems
    assert "new.jpg" in missing
    assert "no such image" in extra
    assert "key dog/1.jpg" in extra
    assert "differs from its source" in differing
    assert "key cat/1.jpg" in differing


def test_against_compares_classes_by_name(files, tmp_path):
    path = tmp_path / "all.tfrecord"
    keys = [str(file.relative_to(tmp_path / "photos")) for file in files]
    pack(Paths(files, [1, 1, 1, 0, 0, 1], keys=keys, class_names=["dog", "cat"]), path)
    (problem,) = verify(path, against=tmp_path / "photos").problems
    assert "the label is cat, and dog in its source" in problem
    assert problem.endswith("key dog/2.jpg")


def test_against_matches_a_key_that_comes_more_than_once(files, tmp_path):
    paths = [files[0], files[1], files[0]]
    source = Paths(paths, keys=["a", "b", "a"])
    pack(source, tmp_path / "all.tfrecord")
    assert verify(tmp_path / "all.tfrecord", against=source).is_sound
    assert len(verify(tmp_path / "all.tfrecord", against=Paths(paths[:2], keys=["a", "b"])).problems) == 1


def test_against_goes_by_number_where_there_are_no_keys(files, tmp_path):
    pack(Paths(files), tmp_path / "all.tfrecord")
    assert verify(tmp_path / "all.tfrecord", against=Paths(files)).is_sound
    swapped = [files[1], files[0], *files[2:]]
    assert len(verify(tmp_path / "all.tfrecord", against=Paths(swapped)).problems) == 2


def test_against_another_dataset(files, tmp_path):
    one, other = pack_photos(tmp_path, "all.tfrecord"), pack_photos(tmp_path, "all.h5")
    assert verify(one, against=other).is_sound
    assert verify(other, against=one).is_sound


def test_against_a_damaged_file_names_the_image_that_is_not_whole(packed, files, tmp_path):
    flip_in_image(packed, files[2].read_bytes())
    damaged, missing = verify(packed, against=tmp_path / "photos").problems
    assert "record 2" in damaged
    assert "no whole copy" in missing
    assert "cat/2.jpg" in missing


def test_against_refuses_pixels(files, tmp_path):
    with pytest.raises(OptionError, match="pixels"):
        verify(pack_photos(tmp_path, "all.h5", size=16), against=tmp_path / "photos")
