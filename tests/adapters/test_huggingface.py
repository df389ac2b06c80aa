"""Hugging Face datasets, both ways."""

import numpy as np
import pytest

import fastpack
from fastpack.errors import (
    EmptySourceError,
    MissingFileError,
    SchemaError,
    SourceError,
    UnsupportedImageError,
)
from tests.support.images import jpeg, photo, save

datasets = pytest.importorskip("datasets")

import fastpack.huggingface as hf  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:datasets.*")


@pytest.fixture(autouse=True)
def quiet():
    datasets.disable_progress_bars()


IMAGES = [
    jpeg(20 + i, 30 - i, seed=i) if i % 2 else save(photo(9, 8 + i, seed=i), "PNG")
    for i in range(7)
]


def images_of(dataset):
    return [
        row["image"]["bytes"] for row in dataset.cast_column("image", datasets.Image(decode=False))
    ]


@pytest.fixture
def folder(tmp_path):
    """Class folders, which imagefolder reads."""
    for i, image in enumerate(IMAGES):
        path = (
            tmp_path / "pictures" / ("cat" if i < 3 else "dog") / f"{i}.{'jpg' if i % 2 else 'png'}"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    return tmp_path / "pictures"


@pytest.fixture
def embedded():
    """A dataset that holds its images, and a column of each type that a field can have."""
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "caption": datasets.Value("string"),
            "score": datasets.Value("float64"),
            "year": datasets.Value("int16"),
            "good": datasets.Value("bool"),
        }
    )
    columns = {
        "image": [{"bytes": image, "path": f"{i}.img"} for i, image in enumerate(IMAGES)],
        "label": [i // 4 for i in range(7)],
        "caption": ["Löwe", "", None, "d", "e", "f", "g"],
        "score": [0.5, None, 2.0, 3.0, 4.0, 5.0, 6.0],
        "year": list(range(1990, 1997)),
        "good": [i % 3 == 0 for i in range(7)],
    }
    return datasets.Dataset.from_dict(columns, features=features)


# To datasets


def test_to_datasets(folder, tmp_path):
    fastpack.pack(folder, tmp_path / "x.tfrecord")
    reader = fastpack.open(tmp_path / "x.tfrecord")
    dataset = hf.to_datasets(reader, cache_dir=tmp_path / "cache")
    assert dataset.features["image"] == datasets.Image()
    assert dataset.features["label"].names == ["cat", "dog"]
    assert images_of(dataset) == IMAGES
    assert dataset["label"][:] == [0, 0, 0, 1, 1, 1, 1]
    assert dataset["key"][:] == list(reader.columns["key"])
    assert (np.asarray(dataset[3]["image"]) == reader[3]["image"]).all()


def test_every_kind_of_field(reader, tmp_path):
    dataset = hf.to_datasets(reader, cache_dir=tmp_path / "cache")
    encoded = reader.with_options(decode=False)
    assert images_of(dataset) == [sample["image"] for sample in encoded]
    assert dataset["raw"][:] == [sample["raw"] for sample in encoded]
    assert dataset["weight"][:] == [sample["weight"] for sample in encoded]
    assert dataset["tags"][:] == [list(sample["tags"]) for sample in encoded]
    assert dataset["boxes"][:] == [sample["boxes"].tolist() for sample in encoded]


def test_pixels(folder, tmp_path):
    fastpack.pack(folder, tmp_path / "x.h5", fastpack.PackOptions(size=(6, 5)))
    reader = fastpack.open(tmp_path / "x.h5")
    dataset = hf.to_datasets(reader, cache_dir=tmp_path / "cache").with_format("numpy")
    assert (dataset["image"][:] == reader.read(range(7))["image"]).all()


def test_a_dataset_that_changed_is_not_taken_from_the_cache(folder, tmp_path):
    for size in (7, 3):
        fastpack.pack(
            hf.Source(
                datasets.Dataset.from_list(
                    [{"image": {"bytes": image, "path": None}} for image in IMAGES[:size]]
                ).cast_column("image", datasets.Image())
            ),
            tmp_path / "x.tfrecord",
            overwrite=True,
        )
        assert (
            images_of(
                hf.to_datasets(fastpack.open(tmp_path / "x.tfrecord"), cache_dir=tmp_path / "cache")
            )
            == IMAGES[:size]
        )


def test_pixels_of_no_shape_that_arrow_has():
    field = fastpack.core.Field("x", "pixels", (4,), "|u1")
    with pytest.raises(SchemaError, match="'x'"):
        hf._feature_of(field, fastpack.core.Schema((field,)))


# From datasets


def test_images_go_through_untouched(embedded, tmp_path):
    fastpack.pack(hf.Source(embedded), tmp_path / "x.tfrecord")
    reader = fastpack.open(tmp_path / "x.tfrecord", decode=False)
    assert [sample["image"] for sample in reader] == IMAGES
    assert reader.class_names == ("cat", "dog")
    assert reader.columns["label"].tolist() == embedded["label"][:]
    assert list(reader.columns["caption"]) == ["Löwe", "", "", "d", "e", "f", "g"]
    assert np.array_equal(reader.columns["score"], [0.5, np.nan, 2, 3, 4, 5, 6], equal_nan=True)
    assert reader.columns["year"].tolist() == list(range(1990, 1997))
    assert reader.columns["good"].tolist() == [1, 0, 0, 1, 0, 0, 1]
    assert list(reader.columns["key"]) == [f"{i}.img" for i in range(7)]


def test_rows_that_were_chosen(embedded, tmp_path):
    chosen = embedded.shuffle(seed=1).select([4, 0, 2])
    fastpack.pack(hf.Source(chosen), tmp_path / "x.h5")
    assert [
        sample["image"] for sample in fastpack.open(tmp_path / "x.h5", decode=False)
    ] == images_of(chosen)


@pytest.mark.parametrize("decode", [True, False])
def test_whether_the_column_decodes_does_not_matter(embedded, decode):
    source = hf.Source(embedded.cast_column("image", datasets.Image(decode=decode)))
    batch = source.read(np.array([6, 1]))
    assert [batch["image"].bytes(i) for i in range(2)] == [IMAGES[6], IMAGES[1]]
    assert source.read(np.array([3]))["image"].bytes(0) == IMAGES[3]
    assert source.sizes.tolist() == list(map(len, IMAGES))


@pytest.mark.parametrize("kind", ["binary", "large_binary"])
def test_a_part_of_an_arrow_array(kind):
    pa = pytest.importorskip("pyarrow")
    values = pa.array([b"abc", b"", b"d", b"ef"], getattr(pa, kind)())
    assert hf._ragged(values[1:]) == fastpack.core.Ragged.of_bytes([b"", b"d", b"ef"])
    assert hf._ragged(values[:0]) == fastpack.core.Ragged.of_bytes([])


def test_imagefolder_packs_as_the_folder_itself(folder, tmp_path):
    dataset = datasets.load_dataset(
        "imagefolder", data_dir=str(folder), split="train", cache_dir=str(tmp_path / "cache")
    )
    fastpack.pack(hf.Source(dataset, root=folder), tmp_path / "x.tfrecord")
    fastpack.pack(folder, tmp_path / "y.tfrecord")
    assert (tmp_path / "x.tfrecord").read_bytes() == (tmp_path / "y.tfrecord").read_bytes()


def test_there_and_back(folder, tmp_path):
    fastpack.pack(folder, tmp_path / "x.tfrecord")
    dataset = hf.to_datasets(fastpack.open(tmp_path / "x.tfrecord"), cache_dir=tmp_path / "cache")
    fastpack.pack(hf.Source(dataset), tmp_path / "y.tfrecord")
    assert (tmp_path / "x.tfrecord").read_bytes() == (tmp_path / "y.tfrecord").read_bytes()


def test_renamed_columns(embedded):
    source = hf.Source(
        embedded.rename_column("image", "img"), fields={"image": "img", "label": "year"}
    )
    assert [field.name for field in source.schema.fields] == ["image", "label", "key"]
    assert source.schema.class_names == ()
    assert source.read(np.array([0]))["label"].tolist() == [1990]


def test_a_root_below_a_link(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    dataset = named_images(tmp_path / "link" / "cat" / "0.png")
    assert list(hf.Source(dataset, root=tmp_path / "link").read(np.array([0]))["key"]) == [
        "cat/0.png"
    ]


def test_paths_that_are_alike_are_no_keys(embedded):
    rows = [{"image": {"bytes": image, "path": "same.png"}} for image in IMAGES]
    source = hf.Source(datasets.Dataset.from_list(rows).cast_column("image", datasets.Image()))
    assert "key" not in source.schema


# Errors


def named_images(*paths):
    return datasets.Dataset.from_list(
        [{"image": {"bytes": None, "path": str(path)}} for path in paths]
    ).cast_column("image", datasets.Image())


def test_files_are_read_below_the_root_only(folder, tmp_path):
    outside = tmp_path / "secret.png"
    outside.write_bytes(IMAGES[0])
    (folder / "link.png").symlink_to(outside)
    for path, root in [
        (folder / "cat/0.png", None),
        (outside, folder),
        (folder / "../secret.png", folder),
        (folder / "link.png", folder),
    ]:
        with pytest.raises(SourceError, match="root|below"):
            hf.Source(named_images(path), root=root)


def test_a_file_that_is_not_there(folder):
    with pytest.raises(MissingFileError, match=r"nothing\.png"):
        hf.Source(named_images(folder / "nothing.png"), root=folder)


def test_an_image_that_is_none(embedded):
    rows = [
        {"image": {"bytes": b"GIF, perhaps", "path": "x.gif"}},
        {"image": {"bytes": None, "path": None}},
    ]
    bad, missing = (
        datasets.Dataset.from_list([row]).cast_column("image", datasets.Image()) for row in rows
    )
    with pytest.raises(UnsupportedImageError, match=r"record 0.*x\.gif"):
        hf.Source(bad).read(np.array([0]))
    with pytest.raises(SourceError, match=r"missing.*record 0"):
        hf.Source(missing)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: d.remove_columns("image"), "cast"),
        (lambda d: d.add_column("when", [[1, 2]] * 7), "'when'"),
        (lambda d: d.cast_column("year", datasets.Value("uint64")), "'year'"),
        (lambda d: d.to_iterable_dataset(), "random access"),
        (lambda d: datasets.DatasetDict(train=d), "one split"),
    ],
    ids=["no image", "a list", "beyond int64", "a stream", "several splits"],
)
def test_datasets_that_cannot_be_packed(embedded, change, match):
    with pytest.raises(SourceError, match=match):
        hf.Source(change(embedded))


def test_other_faults(embedded):
    with pytest.raises(EmptySourceError):
        hf.Source(embedded.select([]))
    with pytest.raises(SourceError, match="'labels'.*label, caption"):
        hf.Source(embedded, fields=["image", "labels"])
    rows = [
        {"image": {"bytes": image, "path": None}, "year": year}
        for image, year in zip(IMAGES, [1, None], strict=False)
    ]
    gap = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    with pytest.raises(SourceError, match=r"'year' has no value.*record 1"):
        hf.Source(gap).read(np.array([0, 1]))
