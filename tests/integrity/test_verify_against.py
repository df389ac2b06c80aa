"""verify --against: a dataset held against the images that it was packed from."""

from pathlib import Path

import numpy as np
import pytest

from fastpack import PackOptions, pack, verify
from fastpack.errors import OptionError
from fastpack.sources import ImageFiles
from tests.support.damage import flip_in_image, flipped
from tests.support.images import jpeg
from tests.support.samples import two_classes

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
    pack(ImageFiles(files, [1, 1, 1, 0, 0, 1], keys=keys, class_names=["dog", "cat"]), path)
    (problem,) = verify(path, against=tmp_path / "photos").problems
    assert "the label is cat, but dog in its source" in problem
    assert problem.endswith("key dog/2.jpg")


def test_against_matches_a_key_that_comes_more_than_once(files, tmp_path):
    paths = [files[0], files[1], files[0]]
    source = ImageFiles(paths, keys=["a", "b", "a"])
    pack(source, tmp_path / "all.tfrecord")
    assert verify(tmp_path / "all.tfrecord", against=source).is_sound
    assert (
        len(
            verify(
                tmp_path / "all.tfrecord", against=ImageFiles(paths[:2], keys=["a", "b"])
            ).problems
        )
        == 1
    )


def test_against_goes_by_number_where_there_are_no_keys(files, tmp_path):
    pack(ImageFiles(files), tmp_path / "all.tfrecord")
    assert verify(tmp_path / "all.tfrecord", against=ImageFiles(files)).is_sound
    swapped = [files[1], files[0], *files[2:]]
    assert len(verify(tmp_path / "all.tfrecord", against=ImageFiles(swapped)).problems) == 2


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


def hdf5(path: Path, images, **columns) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["images"] = images
        for name, values in columns.items():
            file[name] = values
    return path


IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            IMAGES[:, :1].repeat(8, 1),
            "uint8 (1, 8, 1), but pixels uint8 (8, 8, 1)",
        ),  # numpy would repeat the one row
        (IMAGES.repeat(3, 3), "uint8 (1, 8, 1), but pixels uint8 (8, 8, 3)"),
        (IMAGES[:, :1, :, 0], "uint8 (1, 8, 1), but pixels uint8 (1, 8)"),
        (IMAGES[:, :1].astype(np.uint16), "uint8 (1, 8, 1), but pixels uint16 (1, 8, 1)"),
    ],
)
def test_against_arrays_of_another_shape_or_type(tmp_path, other, said):
    one, other = hdf5(tmp_path / "a.h5", IMAGES[:, :1]), hdf5(tmp_path / "b.h5", other)
    assert said in verify(one, against=other).problems[0]
    assert verify(other, against=one).problems


def test_against_arrays_in_another_byte_order(tmp_path):
    one = hdf5(tmp_path / "a.h5", IMAGES.astype("<u2"))
    assert verify(one, against=hdf5(tmp_path / "b.h5", IMAGES.astype(">u2"))).is_sound


def test_against_numbers_of_another_kind(tmp_path):
    one = hdf5(tmp_path / "a.h5", IMAGES, label=[0, 1, 2], n=np.array([2**53 + 1] * 3))
    floats = hdf5(tmp_path / "b.h5", IMAGES, label=[0.0, 1.0, 2.0], n=np.array([2.0**53] * 3))
    (problem,) = verify(one, against=floats).problems
    assert problem.startswith(
        "n is int, but float in its source"
    )  # labels that were whole floats are compared
    assert (
        len(
            verify(
                one,
                against=hdf5(tmp_path / "c.h5", IMAGES, label=[0, 1, 2.5], n=np.array([2**53] * 3)),
            ).problems
        )
        == 4
    )


def test_against_lists_of_another_length(tmp_path):
    one = hdf5(tmp_path / "a.h5", IMAGES, x=np.eye(3))
    assert (
        len(verify(one, against=hdf5(tmp_path / "b.h5", IMAGES, x=np.eye(3)[:, :2])).problems) == 3
    )


def test_against_large_integer_labels_that_are_one_float(tmp_path):
    one = hdf5(tmp_path / "a.h5", IMAGES, label=np.array([2**53 + 1] * 3))
    assert (
        len(
            verify(
                one, against=hdf5(tmp_path / "b.h5", IMAGES, label=np.array([2.0**53] * 3))
            ).problems
        )
        == 3
    )


def classed(path: Path, labels: list[int], names: list[str]) -> Path:
    columns = {"class_names": [name.encode() for name in names]} if names else {}
    return hdf5(path, IMAGES, label=labels, **columns)


def test_against_two_classes_of_one_name(tmp_path):
    names = ["crane", "crane", "owl"]
    one, other = (
        classed(tmp_path / "a.h5", [0, 1, 2], names),
        classed(tmp_path / "b.h5", [1, 1, 2], names),
    )
    (problem,) = verify(one, against=other).problems
    assert "the label is crane (class 0), but crane (class 1) in its source" in problem
    reordered = classed(tmp_path / "c.h5", [1, 2, 0], ["owl", "crane", "crane"])
    assert verify(one, against=reordered).is_sound
    swapped = classed(tmp_path / "d.h5", [2, 1, 0], ["owl", "crane", "crane"])
    assert len(verify(one, against=swapped).problems) == 2


def test_against_classes_without_names(tmp_path):
    one, other = (
        classed(tmp_path / "a.h5", [0, 1, 1], ["cat", "dog"]),
        classed(tmp_path / "b.h5", [0, 1, 1], []),
    )
    assert "the source has no class names" in verify(one, against=other).problems[0]
    assert "the dataset has no class names" in verify(other, against=one).problems[0]


def test_against_a_list_of_files(files, tmp_path):
    pack(tmp_path / "photos", tmp_path / "all.tfrecord", PackOptions(sync=False))
    shards = pack(
        tmp_path / "photos", tmp_path / "s.tfrecord", PackOptions(sync=False, shards=2)
    ).paths
    assert verify(tmp_path / "all.tfrecord", against=list(shards)).is_sound
    assert verify(tmp_path / "all.tfrecord", against=shards[:1]).problems
