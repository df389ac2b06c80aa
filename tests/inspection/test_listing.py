"""The listing of samples."""

import dataclasses

import h5py
import numpy as np
import pytest

import fastpack
from fastpack import pack
from fastpack.errors import OptionError
from fastpack.inspection.listing import list_samples
from fastpack.sources import ImageFiles
from tests.support.images import jpeg, with_orientation


@pytest.fixture
def dataset(tmp_path) -> fastpack.Reader:
    images = {
        "cat/a.jpg": jpeg(20, 30),
        "dog/b.jpg": with_orientation(jpeg(40, 50, seed=1), 8),
        "dog/c.jpg": jpeg(10, 10, seed=2),
    }
    paths = [tmp_path / name.replace("/", "-") for name in images]
    for path, image in zip(paths, images.values(), strict=True):
        path.write_bytes(image)
    pack(
        ImageFiles(paths, [0, 1, 1], keys=list(images), class_names=["cat", "dog"]),
        tmp_path / "all.tfrecord",
    )
    return fastpack.open(tmp_path / "all.tfrecord")


def numbers(dataset, **wanted) -> list[int]:
    return [sample.number for sample in list_samples(dataset, **wanted)]


def test_what_is_known_of_a_sample(dataset, tmp_path):
    sample = list(list_samples(dataset))[1]
    span = dataset.index.spans["image"][1]
    assert dataclasses.asdict(sample) == {
        "number": 1,
        "key": "dog/b.jpg",
        "labels": (1,),
        "class_names": ("dog",),
        "width": 40,
        "height": 50,
        "format": "jpeg",
        "num_bytes": int(span["length"]),
        "path": str(tmp_path / "all.tfrecord"),
        "record": 1,
        "offset": int(span["offset"]),
        "columns": {},
    }
    data = (tmp_path / "all.tfrecord").read_bytes()
    assert (
        data[sample.offset : sample.offset + sample.num_bytes]
        == (tmp_path / "dog-b.jpg").read_bytes()
    )


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [0, 1, 2]),
        ({"match": "dog/*"}, [1, 2]),
        ({"match": "*/[ab].jpg"}, [0, 1]),
        ({"match": "DOG/*"}, []),
        ({"class_name": "dog"}, [1, 2]),
        ({"class_name": "0"}, [0]),
        ({"class_name": "dog", "match": "*c*"}, [2]),
    ],
)
def test_which_samples(dataset, wanted, expected):
    assert numbers(dataset, **wanted) == expected


def test_what_cannot_be_distinguished(dataset, tmp_path):
    with pytest.raises(OptionError, match="'owl'"):
        numbers(dataset, class_name="owl")
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["images"] = np.zeros((2, 4, 6, 3), np.uint8)
    bare = fastpack.open(tmp_path / "bare.h5")
    with pytest.raises(OptionError, match="keys"):
        numbers(bare, match="*")
    with pytest.raises(OptionError, match="labels"):
        numbers(bare, class_name="0")
    sample = next(list_samples(bare))
    assert (sample.width, sample.height, sample.format, sample.key, sample.labels) == (
        6,
        4,
        "uint8 pixels",
        "",
        (),
    )


def test_compressed_samples_have_no_span_of_their_own(tmp_path):
    with h5py.File(tmp_path / "packed.h5", "w") as file:
        file.create_dataset("images", data=np.zeros((2, 4, 6, 3), np.uint8), compression="gzip")
    assert next(list_samples(fastpack.open(tmp_path / "packed.h5"))).offset is None


def test_samples_with_several_labels(tmp_path):
    from tests.support.wire import bytes_list, entry, example, frame, int_list

    records = [
        example(entry(b"image", bytes_list(jpeg())), entry(b"label", int_list(*labels)))
        for labels in ([1, 2], [], [2, 3, 2])
    ]
    (tmp_path / "x.tfrecord").write_bytes(b"".join(map(frame, records)))
    dataset = fastpack.open(tmp_path / "x.tfrecord")
    assert [sample.labels for sample in list_samples(dataset)] == [(1, 2), (), (2, 3, 2)]
    assert numbers(dataset, class_name="2") == [0, 2]


@pytest.fixture
def with_columns(dataset, tmp_path) -> fastpack.Reader:
    paths = sorted(tmp_path.glob("*.jpg"))
    columns = {"score": [0.5, 1.5, 2.5], "place": ["Rome", "Kyiv", "Oslo"]}
    columns["box"] = fastpack.core.Ragged(np.arange(1, 7), np.array([0, 2, 4, 6]))
    pack(ImageFiles(paths, [0, 1, 1], columns=columns), tmp_path / "table.h5")
    return fastpack.open(tmp_path / "table.h5")


def test_columns_are_listed(with_columns):
    assert [sample.columns for sample in list_samples(with_columns)] == [
        {"score": 0.5, "place": "Rome", "box": [1, 2]},
        {"score": 1.5, "place": "Kyiv", "box": [3, 4]},
        {"score": 2.5, "place": "Oslo", "box": [5, 6]},
    ]


def test_columns_can_be_chosen_also_facts_of_headers(with_columns):
    fields = ["place", "progressive", "label"]
    first = next(list_samples(with_columns, fields=fields))
    assert first.columns == {"place": "Rome", "progressive": 0}
    assert next(list_samples(with_columns, fields=[])).columns == {}


def test_a_column_that_is_not_there(with_columns):
    with pytest.raises(OptionError, match=r"no column 'area'; its columns are: .*score"):
        list_samples(with_columns, fields=["area"])
