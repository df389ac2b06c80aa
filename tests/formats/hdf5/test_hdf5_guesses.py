"""Foreign HDF5 files: a dataset for each image, any order of axes, lists, types numpy lacks."""

import json
import re

import h5py
import numpy as np
import pytest

import fastpack
from fastpack import Limits
from fastpack.errors import FastpackWarning, FormatError, LimitError, OptionError, SchemaError
from fastpack.formats.hdf5.container import HDF5
from tests.support.command_line import facts_of, run
from tests.support.hdf5_files import write
from tests.support.images import jpeg, photo, read_pillow, save

COLOR = np.stack([photo(20, 30, seed=seed) for seed in range(5)])
GRAY = np.ascontiguousarray(COLOR[..., 0])
FILES = [jpeg(20 + seed, 24, seed=seed) for seed in range(4)] + [save(photo(9, 7, seed=9), "PNG")]
RESIZED = fastpack.Resize((8, 12))


def explained(path):
    return "\n".join(HDF5.explain(path))


# A dataset for each image


SIDE_BY_SIDE = [f"img_{n}" for n in range(5)]
IN_CLASSES = ["cat/a", "cat/b", "dog/a", "dog/c", "dog/d"]
IN_GROUPS = [f"{n}/image" for n in range(5)]
IN_CLASSES_AND_GROUPS = ["cat/0/image", "cat/1/image", "dog/0/image", "dog/1/image", "owl/0/image"]


@pytest.mark.parametrize("names", [SIDE_BY_SIDE, IN_CLASSES, IN_GROUPS, IN_CLASSES_AND_GROUPS])
@pytest.mark.parametrize(
    "values",
    [COLOR, GRAY, COLOR.transpose(0, 3, 1, 2), GRAY[..., None]],
    ids=["HWC", "HW", "CHW", "HW1"],
)
@pytest.mark.parametrize("untrusted", [False, True])
def test_a_dataset_for_each_image(tmp_path, names, values, untrusted):
    if names is IN_CLASSES and values is not COLOR:
        pytest.skip("without a number in their names, these may be tables, or three gray images")
    path = write(tmp_path / "x.h5", dict(zip(names, values, strict=True)))
    reader = fastpack.open(path, untrusted=untrusted)
    assert list(reader.columns["key"]) == names
    assert (reader.read([4, 0, 3])["image"] == values[[4, 0, 3]]).all()
    classes = {"cat/a": ("cat", "dog"), "cat/0/image": ("cat", "dog", "owl")}.get(names[0], ())
    assert reader.class_names == classes
    if classes:
        assert [classes[label] for label in reader.columns["label"]] == [
            name.split("/")[0] for name in names
        ]
    assert "5 datasets of one image each" in explained(path)
    resized = reader.with_options(transform=RESIZED).read([1, 2])["image"]
    channels = values.shape[-1] if values.ndim == 4 and values.shape[1] != 3 else 1
    assert resized.shape == ((2, 3, 8, 12) if values.shape[1] == 3 else (2, 8, 12, channels))


@pytest.mark.parametrize("names", [SIDE_BY_SIDE, IN_CLASSES, IN_GROUPS, IN_CLASSES_AND_GROUPS])
@pytest.mark.parametrize("kind", ["bytes", "opaque"])
def test_a_dataset_for_each_image_file(tmp_path, names, kind):
    values = [np.frombuffer(data, np.uint8) if kind == "bytes" else np.void(data) for data in FILES]
    path = write(tmp_path / "x.h5", dict(zip(names, values, strict=True)))
    reader = fastpack.open(path)
    assert list(reader.columns["key"]) == names
    assert [reader.with_options(decode=False)[row]["image"] for row in range(5)] == FILES
    assert all((reader[row]["image"] == read_pillow(FILES[row])).all() for row in range(5))
    assert reader.columns["width"].tolist() == [24, 24, 24, 24, 7]


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"chunks": (5, 30, 3)}])
def test_compressed_images(tmp_path, options):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        for name, values in zip(IN_CLASSES, COLOR, strict=True):
            f.create_dataset(name, data=values, **options)
    for _ in range(2):  # with a new index, and with the saved one
        assert (fastpack.open(tmp_path / "x.h5").read([4, 0, 3])["image"] == COLOR[[4, 0, 3]]).all()
    with pytest.raises(FormatError, match="library"):
        fastpack.open(tmp_path / "x.h5", untrusted=True)


def test_numbers_and_texts_beside_each_image(tmp_path):
    members = dict(zip(IN_GROUPS, COLOR, strict=True))
    members |= (
        {f"{n}/label": 10 + n for n in range(5)}
        | {f"{n}/note": f"note {n}" for n in range(5)}
        | {"0/only": 1}
    )
    path = write(tmp_path / "x.h5", members)
    reader = fastpack.open(path)
    assert reader.columns["label"].tolist() == [10, 11, 12, 13, 14]
    assert list(reader.columns["note"]) == [f"note {n}" for n in range(5)]
    assert "0/only: left out" in explained(path)
    assert fastpack.open(path, fields=["image", "note"]).read([3])["note"][0] == "note 3"


def test_images_of_several_sizes_are_refused_by_name(tmp_path):
    members = {"cat/a": COLOR[0], "cat/b": COLOR[1][:10]}
    with pytest.raises(
        FormatError, match=r"cat/a is uint8 \(20, 30, 3\) and cat/b is uint8 \(10, 30, 3\).*x\.h5"
    ):
        fastpack.open(write(tmp_path / "x.h5", members))


def test_several_images_a_sample_are_chosen_by_name(tmp_path):
    members = {
        f"{n}/{name}": values
        for n in range(5)
        for name, values in (("left", COLOR[n]), ("right", COLOR[4 - n]))
    }
    path = write(tmp_path / "x.h5", members)
    with pytest.raises(SchemaError, match=r"left, right.*fields=\['left'\]"):
        fastpack.open(path)
    assert (fastpack.open(path, fields=["right"]).read([0])["right"][0] == COLOR[4]).all()


def test_one_image_is_one_sample(tmp_path):
    assert fastpack.open(write(tmp_path / "x.h5", {"photo": COLOR[0]})).read([0])[
        "image"
    ].shape == (1, 20, 30, 3)


def test_windows_of_three_channels_are_no_images(tmp_path):
    """(N, 128, 3), with a label for each."""
    path = write(tmp_path / "x.h5", {"X": np.zeros((7, 128, 3), np.uint8), "y": np.arange(7)})
    assert len(fastpack.open(path)) == 7


def test_thousands_of_datasets(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as f:
        for n in range(3000):
            f[f"class{n % 7}/{n:05d}"] = COLOR[n % 5]
    reader = fastpack.open(tmp_path / "x.h5")
    assert (len(reader), len(reader.class_names)) == (3000, 7)
    assert len(HDF5.explain(tmp_path / "x.h5")) == 1
    with pytest.raises(LimitError, match=r"max_datasets.*x\.h5"):
        fastpack.open(
            tmp_path / "x.h5", limits=Limits(max_datasets=2999), save_index=False, untrusted=True
        )


# Axes


LAYOUTS = {
    "NHWC": COLOR,
    "NCHW": COLOR.transpose(0, 3, 1, 2),
    "HWCN": COLOR.transpose(1, 2, 3, 0),
    "CHWN": COLOR.transpose(3, 1, 2, 0),
    "NWHC": COLOR.transpose(0, 2, 1, 3),
    "NHW": GRAY,
    "NWH": GRAY.transpose(0, 2, 1),
    "HWN": GRAY.transpose(1, 2, 0),
}


@pytest.mark.parametrize("axes", LAYOUTS)
@pytest.mark.parametrize("storage", [{}, {"compression": "gzip"}, {"chunks": True}])
def test_given_axes(tmp_path, axes, storage):
    stored = np.ascontiguousarray(LAYOUTS[axes])
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f.create_dataset("X", data=stored, **storage)
    reader = fastpack.open(tmp_path / "x.h5", axes={"X": axes})
    assert len(reader) == 5
    rows = [4, 0, 2]
    assert (reader.read(rows)["X"] == np.moveaxis(stored, axes.index("N"), 0)[rows]).all()
    images = fastpack.open(
        write(tmp_path / "plain.h5", {"X": COLOR if "C" in axes else GRAY[..., None]}),
        transform=RESIZED,
    ).read(rows)["X"]
    resized = reader.with_options(transform=RESIZED).read(rows)["X"]
    order = [axis for axis in axes if axis != "N"] + ["C"] * ("C" not in axes)
    assert (resized == images.transpose(0, *("HWC".index(axis) + 1 for axis in order))).all()
    out = np.zeros_like(resized)
    assert reader.with_options(transform=RESIZED).read(rows, out=out)["X"] is out
    assert (out == resized).all()


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_normalize_has_a_layout_of_its_own(tmp_path, layout):
    steps = [RESIZED, fastpack.Normalize((0, 0, 0), (1, 1, 1), layout=layout)]
    plain, first = (
        write(tmp_path / "plain.h5", {"X": COLOR}),
        write(tmp_path / "x.h5", {"X": LAYOUTS["NCHW"]}),
    )
    found = [fastpack.open(path, transform=steps).read([2, 1])["X"] for path in (plain, first)]
    assert (found[0] == found[1]).all()


def test_guessed_axes(tmp_path):
    labels = {"y": np.arange(5)}
    for axes in ("NHWC", "NCHW", "HWCN", "NHW"):
        path = write(tmp_path / f"{axes}.h5", {"X": LAYOUTS[axes], **labels})
        reader = fastpack.open(path, transform=RESIZED)
        assert len(reader) == 5
        assert reader.columns["y"].tolist() == [0, 1, 2, 3, 4]
        assert axes in ("NHWC", "NHW") or f"axes {axes}, 5 samples" in explained(path)
        assert fastpack.open(path).read([0])["X"].shape[1:] == reader.schema["X"].shape


def test_doubtful_axes_are_refused(tmp_path):
    path = write(tmp_path / "x.h5", {"X": np.zeros((5, 3, 9, 3), np.uint8)})
    assert fastpack.open(path).read([0])["X"].shape == (1, 3, 9, 3)
    assert "X: the shape (5, 3, 9, 3) does not show which axis has channels" in explained(path)
    with pytest.raises(SchemaError, match=r'axes=\{"X": "NHWC"\}, or "NCHW"'):
        fastpack.open(path, transform=RESIZED).read([0])
    assert fastpack.open(path, axes={"X": "NCHW"}, transform=RESIZED).read([0])["X"].shape == (
        1,
        3,
        8,
        12,
    )
    assert fastpack.open(path, axes={"X": "NHWC"}, transform=RESIZED).read([0])["X"].shape == (
        1,
        8,
        12,
        3,
    )


@pytest.mark.parametrize("axes", ["NCH", "NCHWT", "nchw", "", "NNHW", "NCCC", 5])
def test_axes_that_are_none(tmp_path, axes):
    path = write(tmp_path / "x.h5", {"X": COLOR})
    with pytest.raises(OptionError, match="NCHW"):
        fastpack.open(path, axes={"X": axes})
    with pytest.raises(OptionError, match="no such array"):
        fastpack.open(path, axes={"Y": "NCHW"})


def test_axes_are_of_hdf5(tmp_path, photos):
    with pytest.raises(OptionError, match="HDF5"):
        fastpack.open(photos, axes={"image": "NCHW"})


def test_axes_stay_with_a_packed_copy(tmp_path):
    for axes in ("NCHW", "HWCN"):
        source = fastpack.open(
            write(tmp_path / f"{axes}.h5", {"X": LAYOUTS[axes], "y": np.arange(5)})
        )
        fastpack.pack(source.with_options(decode=False), tmp_path / f"copy-{axes}.h5")
        copy = fastpack.open(tmp_path / f"copy-{axes}.h5")
        assert (copy.read([3])["X"] == source.read([3])["X"]).all()
        steps = {"transform": RESIZED}
        assert (
            copy.with_options(**steps).read([3])["X"] == source.with_options(**steps).read([3])["X"]
        ).all()


# Lists


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "?", ">f8"])
def test_labels_of_several_classes(tmp_path, dtype):
    labels = np.eye(5, 7).astype(dtype)
    path = write(tmp_path / "x.h5", {"images": COLOR, "labels": labels})
    for _ in range(2):
        reader = fastpack.open(path)
        assert reader.schema["label"].shape == (7,)
        found = reader.read([3, 0])["label"]
        assert isinstance(found, np.ndarray)
        assert (found == labels[[3, 0]]).all()
        assert reader[2]["label"].tolist() == labels[2].tolist()
    assert (fastpack.open(path, fields=["images", "labels"]).read([1])["labels"] == labels[1]).all()
    assert "labels: 7 numbers a sample" in explained(path)
    assert fastpack.open([path, path]).read([7])["label"].shape == (1, 7)


def test_lists_of_other_lengths_in_another_file(tmp_path):
    paths = [
        write(tmp_path / f"{n}.h5", {"images": COLOR, "labels": np.ones((5, n), int)})
        for n in (2, 3)
    ]
    found = fastpack.open(paths).read([0, 9])["label"]
    assert [values.tolist() for values in found] == [[1, 1], [1, 1, 1]]


def test_lists_are_packed(tmp_path):
    path = write(
        tmp_path / "x.h5",
        {
            "jpegs/bytes": np.frombuffer(b"".join(FILES), np.uint8),
            "labels": np.eye(5, 3, dtype=int),
        },
    )
    with h5py.File(path, "r+") as f:
        f["jpegs/offsets"] = np.cumsum([0, *map(len, FILES)])
    source = fastpack.open(path, fields={"image": "jpegs", "label": "labels"})
    fastpack.pack(source.with_options(decode=False), tmp_path / "x.tfrecord")
    found = fastpack.open(tmp_path / "x.tfrecord").read([0, 2])["label"]
    assert [values.tolist() for values in found] == [[1, 0, 0], [0, 0, 1]]


# Types


def times(f, name, shape=(5,)):
    h5py.h5d.create(f.id, name, h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple(shape))


@pytest.mark.parametrize("fields", [None, ["images"], ["images", "labels"]])
def test_a_type_that_numpy_lacks_keeps_nothing_else_from_opening(tmp_path, fields):
    path = write(tmp_path / "x.h5", {"images": COLOR, "labels": np.arange(5)})
    with h5py.File(path, "r+") as f:
        times(f, b"when")
        times(f, b"a")
        times(f, b"grid", (5, 4, 4, 3))
        short = h5py.h5t.STD_I32LE.copy()
        short.set_size(3)
        h5py.h5d.create(f.id, b"three bytes", short, h5py.h5s.create_simple((5,)))
    reader = fastpack.open(path, fields=fields)
    assert (reader.read([4])[reader.schema.image_field.name] == COLOR[4]).all()
    for name in ("when", "a", "grid", "three bytes"):
        assert f"{name}: left out; h5py cannot read its values" in explained(path)
    with pytest.raises(SchemaError, match="'when' cannot be a field"):
        fastpack.open(path, fields=["images", "when"])


@pytest.mark.parametrize("name", [b"\xffname", b"caf\xe9"])
def test_names_that_are_not_utf8_are_escaped(tmp_path, name):
    path = write(tmp_path / "x.h5", {"images": COLOR})
    with h5py.File(path, "r+") as f:
        f[name] = np.arange(5)
    for _ in range(2):
        reader = fastpack.open(path)
        assert reader.columns[name.decode("utf-8", "backslashreplace")].tolist() == [0, 1, 2, 3, 4]


# The command line


def test_axes_on_the_command_line(tmp_path):
    path = write(tmp_path / "x.h5", {"X": LAYOUTS["NWHC"]})
    facts = facts_of("info", path, "--axes", "X=NWHC")["images"]
    assert (facts["height"]["min"], facts["width"]["min"]) == (20, 30)
    first, *_ = run("ls", path, "--axes", "X=NWHC", "--json").stdout.splitlines()
    assert json.loads(first)["height"] == 20
    assert run("info", path, "--axes", "X").exit_code == 2
    assert run("info", path, "--axes", "X=NWH").exit_code == 2


@pytest.mark.parametrize("axes", ["NHWC", "NCHW", "HWCN", "NWHC"])
@pytest.mark.parametrize("output", ["sheet.png", "sheet.html"])
def test_previews_look_alike_whatever_the_axes(tmp_path, axes, output):
    plain = write(tmp_path / "plain.h5", {"X": COLOR, "y": np.arange(5)})
    path = write(tmp_path / "x.h5", {"X": LAYOUTS[axes], "y": np.arange(5)})
    assert run("preview", plain, "-o", tmp_path / f"plain-{output}").exit_code == 0
    assert run("preview", path, "-o", tmp_path / output, "--axes", f"X={axes}").exit_code == 0
    found = [(tmp_path / name).read_text("latin-1") for name in (f"plain-{output}", output)]
    images = [re.findall(r"base64,[^'\"]+|^.PNG.*", text, re.DOTALL) for text in found]
    assert images[0]
    assert images[0] == images[1]


def test_lists_of_labels_are_no_classes(tmp_path):
    path = write(tmp_path / "x.h5", {"images": COLOR, "labels": np.eye(5, 7, dtype=int)})
    assert facts_of("info", path)["classes"] == []


# Notes: `open` warns of what it guessed and of what it left out


def test_guesses_and_what_is_left_out_are_noted(tmp_path):
    path = write(
        tmp_path / "x.h5",
        {
            "X": LAYOUTS["NCHW"],
            "y": np.arange(5),
            "odd": np.zeros((5, 2), [("a", "i4")]),
            "z": np.arange(3),
        },
    )
    with pytest.warns(FastpackWarning) as warned:
        reader = fastpack.open(path)
    assert len(warned) == len(reader.notes) == 3
    assert re.search(r"^X: axes NCHW, 5 samples.*x\.h5$", reader.notes[0])
    assert re.search(r"^odd: left out.*x\.h5$", reader.notes[1])
    assert re.search(r"^1 dataset is left out: z \(3 samples\).*fields=.*x\.h5$", reader.notes[2])
    assert fastpack.open(path).notes == reader.notes  # of the saved index
    assert fastpack.open(path, axes={"X": "NCHW"}, fields=["X", "y"]).notes == ()
    assert fastpack.open(write(tmp_path / "plain.h5", {"X": COLOR, "y": np.arange(5)})).notes == ()


def test_images_are_noted(tmp_path):
    path = write(
        tmp_path / "x.h5", dict(zip(IN_CLASSES, COLOR, strict=True)) | {"other": np.arange(7)}
    )
    notes = fastpack.open(path).notes
    assert re.search(r"5 datasets of one image each, cat/a to dog/d.*x\.h5", notes[0])
    assert re.search(r"1 other datasets are left out, such as other", notes[1])
