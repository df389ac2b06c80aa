"""Fields, names and classes that could be lost silently are refused, kept or noted."""

import json

import numpy as np
import pytest

import fastpack
from fastpack import PackOptions
from fastpack.core import Ragged
from fastpack.errors import FastpackError, FormatError, OptionError, SchemaError, SourceError
from fastpack.files.classes import ClassMap, classes_of
from fastpack.reading.class_lists import class_list
from fastpack.sources import ImageFiles
from tests.support.images import jpeg, photo, save
from tests.support.tars import IMAGES, opened, write_tar

PNG = save(photo(8, 8), "PNG")


@pytest.fixture
def files(tmp_path):
    """Four image files and a function that writes a table of them."""
    (tmp_path / "i").mkdir()
    for number, data in enumerate(IMAGES):
        (tmp_path / "i" / f"{number}.jpg").write_bytes(data)
    return [tmp_path / "i" / f"{number}.jpg" for number in range(4)]


def csv_of(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


# Classes


@pytest.mark.parametrize(
    "labels",
    [np.array([0.5, 1.5]), Ragged(np.array([0.5, 1.5]), np.array([0, 1, 2]))],
    ids=["floats", "lists"],
)
def test_class_lists_are_for_integers(tmp_path, files, labels):
    with pytest.raises(
        OptionError, match="classes need integer labels, but these are of kind 'float'"
    ):
        fastpack.pack(
            ImageFiles(files[:2], columns={"label": labels}),
            tmp_path / "x.h5",
            PackOptions(classes=["a", "b"]),
        )


def test_a_name_of_two_labels_is_refused_where_labels_move(tmp_path, files):
    twice = r"the class 'cat' is the name of label 0 and of label 2"
    with pytest.raises(SourceError, match=twice):
        ClassMap.between(["cat", "dog", "cat"], ("cat", "dog"))
    fastpack.pack(
        ImageFiles(files[:2], [0, 2], class_names=["cat", "dog", "cat"]), tmp_path / "x.h5"
    )
    with pytest.raises(SchemaError, match=twice):
        fastpack.pack(
            ImageFiles(files[2:], [0, 1], class_names=["cat", "owl"]),
            tmp_path / "x.h5",
            append=True,
        )
    fastpack.pack(
        ImageFiles(files[2:], [0, 1], class_names=["cat", "dog", "cat"]),
        tmp_path / "x.h5",
        append=True,
    )
    assert fastpack.open(tmp_path / "x.h5").columns["label"].tolist() == [0, 2, 0, 1]


@pytest.mark.parametrize(
    "labels",
    [[-1, 0, 1, 1], [-1, -1, -1, -1], Ragged(np.array([0, 1, 1, 0]), np.array([0, 2, 2, 3, 4]))],
    ids=str,
)
def test_tfrecord_keeps_class_names(tmp_path, files, labels):
    labels = labels if isinstance(labels, Ragged) else np.array(labels)
    fastpack.pack(
        ImageFiles(files, columns={"label": labels}, class_names=["cat", "dog"]),
        tmp_path / "x.tfrecord",
        PackOptions(shards=2),
    )
    dataset = fastpack.open(tmp_path / "x.tfrecord")
    found = [dataset.columns["label"][row] for row in range(4)]
    assert [np.atleast_1d(each).tolist() for each in found] == [
        np.atleast_1d(labels[row]).tolist() for row in range(4)
    ]
    assert dataset.class_names == (
        ("cat", "dog") if isinstance(labels, Ragged) or labels.max() >= 0 else ()
    )
    assert "class_name" not in dataset.schema
    assert fastpack.verify(tmp_path / "x.tfrecord").is_sound


@pytest.mark.parametrize(
    ("folders", "is_refused"),
    [
        (["train/1", "val/2", "extra/3"], True),
        (["training_set/1", "test_set/2"], True),
        (["train2017/1", "val2017/2"], True),
        (["train/cat/1", "val/cat/2", "readme/3"], True),
        (["train/1", "ship/2"], False),
        (["trainer/1", "valley/2", "tests1/3"], False),
    ],
)
def test_splits_beside_other_folders(folders, is_refused):
    if is_refused:
        with pytest.raises(SourceError, match="have the names of splits"):
            classes_of([f"{file}.jpg" for file in folders])
    else:
        assert len(classes_of([f"{file}.jpg" for file in folders]).names) == len(folders)


def test_a_blank_line_among_class_names(tmp_path):
    with pytest.raises(SourceError, match="line 2 is blank"):
        class_list(csv_of(tmp_path / "c.txt", "cat", "", "dog"))
    assert class_list(csv_of(tmp_path / "c.txt", "cat", "dog", "")) == ("cat", "dog")


# Names


@pytest.mark.parametrize("ending", ["tfrecord", "h5", "tar"])
@pytest.mark.parametrize(
    "names",
    [
        {"key": "class_name"},
        {"label": "key"},
        {"image": "label", "label": "image"},
        {"more": "label"},
        {"label": "x", "key": "x"},
    ],
    ids=str,
)
def test_names_that_are_taken(tmp_path, files, ending, names):
    source = ImageFiles(
        files,
        [0, 1, 0, 1],
        class_names=["cat", "dog"],
        keys=list("abcd"),
        columns={"more": np.arange(4)},
    )
    with pytest.raises(OptionError, match="names would call"):
        fastpack.pack(source, tmp_path / f"x.{ending}", PackOptions(names=names))
    assert not (tmp_path / f"x.{ending}").exists()


def test_names_that_a_tfrecord_reads_as_others(tmp_path, files):
    source = ImageFiles(files, [0, 1, 0, 1], keys=list("abcd"), columns={"more": np.arange(4)})
    for names in ({"more": "image/class/label", "label": "y"}, {"key": "image_raw", "image": "z"}):
        with pytest.raises(SchemaError, match="is read as"):
            fastpack.pack(source, tmp_path / "x.tfrecord", PackOptions(names=names))
    fastpack.pack(
        source,
        tmp_path / "x.tfrecord",
        PackOptions(names={"image": "image/encoded", "label": "image/class/label"}),
    )
    assert fastpack.open(tmp_path / "x.tfrecord").columns["label"].tolist() == [0, 1, 0, 1]


# Archives


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (
            ["cat/1.jpg", "cat/3.jpg", "cat/3.edited.jpg", "dog/1.jpg"],
            ["cat/1", "cat/3", "cat/3.edited", "dog/1"],
        ),
        (["cat/1.jpg", "cat/1.png", "dog/1.jpg"], ["cat/1.jpg", "cat/1.png", "dog/1"]),
        (["cat/a_jpg.rf.1a.jpg", "dog/a_jpg.rf.2b.jpg"], ["cat/a_jpg.rf.1a", "dog/a_jpg.rf.2b"]),
        (["Shot 10.01.11.jpg", "Shot 10.01.12.jpg"], ["Shot 10.01.11", "Shot 10.01.12"]),
        (["1.jpg", "2.big.jpg", "3.jpg", "README.md"], ["1", "2.big", "3", "README"]),
    ],
)
def test_photographs_whose_names_have_dots_stay_apart(tmp_path, names, keys):
    dataset = opened(
        write_tar(tmp_path / "x.tar", [(name, IMAGES[row % 4]) for row, name in enumerate(names)])
    )
    assert list(dataset.columns["key"]) == keys
    assert "named by its whole name" in dataset.notes[0]
    images = [bytes(sample["image"]) for sample in dataset]
    assert images[: len(names) - ("README" in keys)] == [
        IMAGES[row % 4] for row, name in enumerate(names) if name != "README.md"
    ]
    assert ("label" in dataset.schema) == ("/" in names[0])


@pytest.mark.parametrize(
    "endings",
    [("jpg", "seg.png", "cls"), ("jpg", "seg.png"), ("jpg", "png"), ("left.jpg", "right.jpg")],
    ids=str,
)
def test_samples_of_several_images_stay_together(tmp_path, endings):
    contents = {"jpg": IMAGES[0], "png": PNG, "cls": b"1"}
    members = [
        (f"{row}.{ending}", contents[ending.rpartition(".")[2]])
        for row in range(3)
        for ending in endings
    ]
    dataset = opened(write_tar(tmp_path / "x.tar", members))
    assert (list(dataset.columns["key"]), dataset.notes) == (["0", "1", "2"], ())


def test_two_photographs_of_one_name(tmp_path):
    with pytest.raises(FormatError, match=r"two files of the archive are named 'cat/1\.b\.jpg'"):
        opened(
            write_tar(
                tmp_path / "x.tar",
                [(f"cat/{name}", IMAGES[0]) for name in ("1.b.jpg", "2.jpg", "1.b.jpg")],
            )
        )


def test_members_called_like_fields(tmp_path):
    parts = (("jpg", IMAGES[0]), ("cls", b"1"), ("key", b"x"), ("label", b"7"))
    dataset = opened(
        write_tar(
            tmp_path / "x.tar",
            [(f"{row}.{ending}", data) for row in range(2) for ending, data in parts],
        )
    )
    assert (list(dataset.columns["key"]), dataset.columns["label"].tolist()) == (["0", "1"], [1, 1])
    assert {"key_column", "label_column"} <= {field.name for field in dataset.schema.fields}
    assert [
        f"{name!r} names another field" in note
        for name, note in zip(("key", "label"), dataset.notes, strict=True)
    ] == [True] * 2


def test_samples_without_an_image_are_noted(tmp_path):
    dataset = opened(
        write_tar(tmp_path / "x.tar", [("1.jpg", IMAGES[0]), ("1.cls", b"1"), ("2.cls", b"2")])
    )
    assert dataset.notes == ("1 sample without an image, where others have one: 2",)


# Tables


def test_an_image_column_with_an_empty_cell_is_noted(tmp_path, files):
    path = csv_of(tmp_path / "x.csv", "path,label,mask", "i/0.jpg,1,i/1.jpg", "i/2.jpg,1,")
    found = fastpack.from_table(path)
    assert (
        "column 'mask' is kept as text: it names images, but row 1 holds nothing; "
        "name it in image_columns" in found.notes[0]
    )
    assert found.schema["mask"].kind == "text"
    path = csv_of(tmp_path / "x.csv", "path,label,mask", "i/0.jpg,1,gone.jpg", "i/2.jpg,1,")
    assert not fastpack.from_table(path).notes[1:]


def test_columns_with_roles_in_any_case(tmp_path, files):
    found = fastpack.from_table(
        csv_of(
            tmp_path / "x.csv", "path,label,KEY,Class Name", "i/0.jpg,0,x,cat", "i/1.jpg,1,y,dog"
        )
    )
    assert (list(found.columns["key"]), found.schema.class_names) == (["x", "y"], ("cat", "dog"))
    assert {"column 'KEY' holds the keys", "column 'Class Name' holds the names of classes"} <= set(
        found.notes
    )


def test_empty_objects_are_noted(tmp_path, files):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"path": "i/0.jpg", "label": 1, "a": {}, "b": {"c": {}}}))
    assert [note for note in fastpack.from_table(path).notes if "empty objects" in note] == [
        f"column {name!r} holds only empty objects and is left out" for name in ("a", "b.c")
    ]


def test_long_cells(tmp_path, files):
    text = "y" * 200_000
    assert (
        fastpack.from_table(
            csv_of(tmp_path / "x.csv", "path,label,text", f"i/0.jpg,1,{text}")
        ).columns["text"][0]
        == text
    )


def test_parts_of_a_table_in_folders_are_refused(tmp_path, files):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "t.parquet" / "split=val").mkdir(parents=True)
    for name in ("0.parquet", "split=val/0.parquet"):
        parquet.write_table(
            pyarrow.table({"path": ["i/0.jpg"], "label": [1]}), tmp_path / "t.parquet" / name
        )
    with pytest.raises(SourceError, match=r"must be in its folder itself.*split=val/0\.parquet"):
        fastpack.from_table(tmp_path / "t.parquet", root=tmp_path)


# Keys and files


def test_keys_that_extract_refuses_are_noted(tmp_path, files):
    source = ImageFiles(files, keys=["/a", "b/../c", "d..e", "f"])
    note = "2 keys are not paths below a folder, so `extract` can only write a .tar: /a, b/../c"
    assert fastpack.pack(source, tmp_path / "x.h5").notes == (note,)
    note = "1 key is in the set already; `extract` accepts that only for equal images: f"
    assert fastpack.pack(
        ImageFiles(files[:2], keys=["f", "g"]), tmp_path / "x.h5", append=True
    ).notes == (note,)


def test_rows_of_one_file_are_no_duplicates(tmp_path, files):
    (tmp_path / "i" / "copy.jpg").write_bytes(IMAGES[0])
    path = csv_of(tmp_path / "x.csv", "path,caption", "i/0.jpg,a", "i/0.jpg,b", "i/copy.jpg,c")
    packed = fastpack.pack(path, tmp_path / "x.h5", PackOptions(duplicates="drop"))
    assert list(fastpack.open(tmp_path / "x.h5").columns["caption"]) == ["a", "b"]
    assert [reject.sample for reject in packed.rejects] == [2]


def test_a_dead_link_as_a_caption_is_a_bad_sample(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(8, 8))
    (tmp_path / "0.txt").write_text("a")
    (tmp_path / "1.txt").symlink_to("nowhere")
    found = fastpack.from_folder(tmp_path)
    assert list(found.faults) == [1]
    with pytest.raises(FastpackError, match=r"1\.txt"):
        found.read(np.array([1]))


def test_rows_of_one_key_are_compared_in_any_order(tmp_path, files):
    path = csv_of(
        tmp_path / "x.csv",
        "path,caption",
        *(f"i/{row}.jpg,{row} {caption}" for row in range(2) for caption in "abc"),
    )
    fastpack.pack(path, tmp_path / "x.h5", PackOptions(shuffle_seed=1))
    assert fastpack.verify(tmp_path / "x.h5", against=path).is_sound
    csv_of(path, *path.read_text().replace("0 b", "0 x").splitlines())
    (problem,) = fastpack.verify(tmp_path / "x.h5", against=path).problems
    assert "caption differs from its source" in problem
