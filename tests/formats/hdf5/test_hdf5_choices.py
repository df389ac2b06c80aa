"""Which arrays of a foreign HDF5 file are images or columns; omissions and conversions."""

import h5py
import numpy as np
import pytest

import fastpack
from fastpack.errors import FormatError, SchemaError
from fastpack.formats.hdf5.container import HDF5
from tests.support.hdf5_files import write
from tests.support.images import jpeg, photo

COLOR = np.stack([photo(16, 24, seed=seed) for seed in range(6)])
GRAY = np.ascontiguousarray(COLOR[..., 0])
LABELS = np.arange(6)
RESIZED = fastpack.Resize((8, 12))


def in_groups(**columns):
    """A group for each sample, with an image and one value of each column."""
    members = {f"s{n}/image": COLOR[n] for n in range(4)}
    return members | {
        f"s{n}/{name}": value for name, values in columns.items() for n, value in enumerate(values)
    }


# Columns of single values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([b"cat", b"cat", 3, 3], r"s0/x is text and s2/x is int64"),
        ([3, 3, b"7", b"7"], r"s0/x is int64 and s2/x is text"),
        ([0.5, b"7", b"7", 1], r"s0/x is float64 and s1/x is text"),
        ([0.5, 2**53 + 1, 1, 1], r"s0/x is float64 and s1/x is int64"),
        ([np.uint64(1), np.uint64(2**63 + 5), 1, 1], "x has numbers above"),
    ],
)
def test_values_that_no_column_holds(tmp_path, values, message):
    path = write(tmp_path / "x.h5", in_groups(x=values, y=range(4)))
    with pytest.raises(FormatError, match=rf"{message}.*fields=.*x\.h5"):
        fastpack.open(path)
    assert fastpack.open(path, fields=["image", "y"]).columns["y"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([np.uint64(2**63 - 1), -1, np.int8(3), True], np.int64),
        ([np.float32(0.1), 0.1, np.float16(0.1), 0.5], np.float64),
        ([np.float32(0.1)] * 4, np.float32),
        ([1, 0.5, 2**53, np.float32(0.1)], np.float64),
    ],
)
def test_numbers_are_exact(tmp_path, values, dtype):
    column = fastpack.open(write(tmp_path / "x.h5", in_groups(x=values))).columns["x"]
    assert column.dtype == dtype
    assert column.tolist() == [
        int(value) if dtype is np.int64 else float(value) for value in values
    ]


# Omissions


@pytest.mark.parametrize(
    ("members", "named", "example"),
    [
        (
            {"images/data": COLOR, "labels/data": LABELS},
            ["labels/data (6 samples)"],
            ("images/data", "labels/data"),
        ),
        ({"images": COLOR, "labels": LABELS[:5]}, ["labels (5 samples)"], ("images", "labels")),
        (
            {"train/x": COLOR, "train/y": LABELS, "test/x": COLOR[:3], "test/y": LABELS[:3]},
            ["test/x (3 samples)", "test/y (3 samples)"],
            ("test/x", "test/y"),
        ),
        (
            {
                "train_images": COLOR,
                "train_labels": LABELS,
                "test_images": COLOR[:3],
                "test_labels": LABELS[:3],
            },
            ["test_images (3 samples)", "test_labels (3 samples)"],
            ("test_images", "test_labels"),
        ),
        (
            {"a/b": COLOR, "images": h5py.SoftLink("/a/b"), "labels": LABELS},
            ["images (a link"],
            ("a/b", "labels"),
        ),
    ],
)
def test_all_that_is_left_out_is_noted(tmp_path, members, named, example):
    (note,) = fastpack.open(write(tmp_path / "x.h5", members)).notes
    count = "2 datasets are" if len(members) - len(named) == 2 and len(named) == 2 else ""
    assert count in note
    assert all(each in note for each in named)
    assert f'fields={{"image": "{example[0]}", "label": "{example[1]}"}} - at {tmp_path}' in note
    if len(members[example[0]]) == len(members[example[1]]):
        chosen = fastpack.open(tmp_path / "x.h5", fields={"image": example[0], "label": example[1]})
        assert chosen.columns["label"].tolist() == members[example[1]].tolist()
        assert not chosen.notes


def test_only_the_first_names_of_what_is_left_out(tmp_path):
    (note,) = fastpack.open(
        write(
            tmp_path / "x.h5", {"images": COLOR} | {f"other{n}": np.arange(n + 7) for n in range(9)}
        )
    ).notes
    assert (
        "9 datasets are left out: other0 (7 samples), other1 (8 samples), other2 (9 samples), ...;"
        in note
    )


def test_own_files_have_no_such_notes(tmp_path):
    path = write(
        tmp_path / "x.h5",
        {"images": COLOR, "labels": LABELS, "boxes": np.zeros((6, 5, 4), np.uint16)},
    )
    fastpack.pack(fastpack.open(path), tmp_path / "copy.h5")
    assert not fastpack.open(tmp_path / "copy.h5").notes


@pytest.mark.parametrize("fields", [None, ["image", "label"], {"image": "image", "label": "label"}])
@pytest.mark.parametrize("group", ["", "set/"])
def test_rows_as_matlab_stores_vectors(tmp_path, fields, group):
    members = {
        f"{group}images": COLOR,
        f"{group}labels": LABELS[None],
        f"{group}names": np.array([[b"a", b"b", b"c"] * 2]),
    }
    reader = fastpack.open(write(tmp_path / "x.h5", members), fields=fields)
    assert (
        reader.columns["label" if "label" in reader.columns else "labels"].tolist()
        == LABELS.tolist()
    )
    assert (
        f"{group}labels: (1, 6) is read as one value for each of 6 samples - at {tmp_path}/x.h5"
        in reader.notes
    )
    if fields is None:
        assert list(reader.columns["names"]) == ["a", "b", "c"] * 2


def test_a_row_beside_one_sample_stays_a_list(tmp_path):
    reader = fastpack.open(write(tmp_path / "x.h5", {"images": COLOR[:1], "labels": LABELS[None]}))
    assert reader[0]["label"].tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    "names", [("x_train", "x_test"), ("trainX", "testX"), ("train_images", "val_images")]
)
def test_sets_of_equal_length_are_not_one(tmp_path, names):
    members = {names[0]: COLOR, names[1]: COLOR[::-1], "y_train": LABELS, "y_test": LABELS}
    path = write(tmp_path / "x.h5", members)
    with pytest.raises(
        SchemaError,
        match=rf"look like separate sets; .*fields=\['{names[0]}', 'y_train'\].*x\.h5",
    ):
        fastpack.open(path)
    assert (
        fastpack.open(path, fields=[names[0], "y_train"]).columns["y_train"].tolist()
        == LABELS.tolist()
    )


# The main image


@pytest.mark.parametrize(
    ("members", "main"),
    [
        ({"boxes": np.zeros((6, 5, 4), np.uint16), "photos": COLOR}, "photos"),
        ({"image_landmarks": np.zeros((6, 68, 2)), "snapshots": COLOR}, "snapshots"),
        ({"features": np.zeros((6, 16, 128)), "pictures": COLOR}, "pictures"),
        ({"a_flow": np.zeros((6, 2, 16, 24), np.uint8), "z": GRAY}, "z"),
        ({"X": COLOR.astype(np.float32), "a_masks": GRAY}, "X"),
        ({"attention": np.zeros((6, 16, 24), np.float32), "scans": GRAY}, "scans"),
    ],
)
def test_the_main_image(tmp_path, members, main):
    reader = fastpack.open(write(tmp_path / "x.h5", members | {"label": LABELS}))
    assert reader.schema.image_field.name == main
    fastpack.pack(reader.with_options(decode=False), tmp_path / "copy.h5")
    assert fastpack.open(tmp_path / "copy.h5").schema.image_field.name == main
    assert not fastpack.verify(tmp_path / "copy.h5", against=tmp_path / "x.h5").problems


@pytest.mark.parametrize("own", [False, True])
def test_transforms_leave_plain_arrays_as_they_are(tmp_path, own):
    members = {
        "boxes": np.arange(120, dtype=np.uint16).reshape(6, 5, 4),
        "photos": COLOR,
        "masks": GRAY,
        "half": COLOR[:, ::2, ::2],
    }
    path = write(tmp_path / "x.h5", members)
    assert [
        note
        for note in fastpack.open(path).notes
        if note.startswith("boxes: an array that is not an image")
    ]
    if own:
        fastpack.pack(fastpack.open(path), tmp_path / "copy.h5")
        path = tmp_path / "copy.h5"
    batch = fastpack.open(path, transform=RESIZED).read([4, 1])
    assert (batch["boxes"] == members["boxes"][[4, 1]]).all()
    assert [batch[name].shape for name in ("photos", "masks", "half")] == [
        (2, 8, 12, 3),
        (2, 8, 12, 1),
        (2, 8, 12, 3),
    ]
    assert (
        batch["photos"]
        == fastpack.open(path, fields=["photos"], transform=RESIZED).read([4, 1])["photos"]
    ).all()


def test_axes_make_an_array_an_image(tmp_path):
    path = write(tmp_path / "x.h5", {"tiles": np.zeros((6, 40, 50), np.uint8), "photos": COLOR})
    assert fastpack.open(path, transform=RESIZED).read([0])["tiles"].shape == (1, 40, 50)
    assert fastpack.open(path, axes={"tiles": "NHW"}, transform=RESIZED).read([0])[
        "tiles"
    ].shape == (1, 8, 12, 1)


@pytest.mark.parametrize(
    "shape", [(6, 2, 16, 24), (6, 5, 16, 24), (6, 16, 24, 2), (6, 16, 24, 7), (6, 4, 7)]
)
def test_shapes_that_do_not_tell(tmp_path, shape):
    path = write(tmp_path / "x.h5", {"X": np.zeros(shape, np.uint8)})
    assert fastpack.open(path).read([0])["X"].shape == (1, *shape[1:])
    with pytest.raises(SchemaError, match=r'X: the shape .*axes=\{"X": "NHW.*fields=.*x\.h5'):
        fastpack.open(path, transform=RESIZED).read([0])


def test_arrays_that_no_transform_takes_are_named(tmp_path):
    path = write(tmp_path / "x.h5", {"images": COLOR, "depth": GRAY.astype(np.float32)})
    with pytest.raises(
        fastpack.FastpackError, match=r"depth: a transform needs uint8 .*float32 .*fields=.*x\.h5"
    ):
        fastpack.open(path, transform=RESIZED).read([0])
    assert fastpack.open(path, fields=["image"], transform=RESIZED).read([0])["image"].shape == (
        1,
        8,
        12,
        3,
    )


# Rows of bytes


def write_rows(path, **rows):
    with h5py.File(path, "w") as f:
        for name, values in rows.items():
            dataset = f.create_dataset(name, (len(values),), h5py.vlen_dtype(np.uint8))
            for number, value in enumerate(values):
                dataset[number] = np.frombuffer(value, np.uint8)
    return path


FILES = [jpeg(16, 24, seed=seed) for seed in range(4)]


@pytest.mark.parametrize(
    ("num_images", "kind"), [(4, "image"), (3, "image"), (2, "bytes"), (0, "bytes")]
)
@pytest.mark.parametrize("untrusted", [False, True])
def test_rows_are_images_if_most_begin_so(tmp_path, num_images, kind, untrusted):
    values = FILES[:num_images] + [b"tokens"] * (4 - num_images)
    path = write_rows(tmp_path / "x.h5", images=FILES, second=values)
    for _ in range(2):  # with a new index, and with the saved one
        reader = fastpack.open(path, untrusted=untrusted)
        assert (reader.schema["image"].kind, reader.schema["second"].kind) == ("image", kind)
        assert len([note for note in reader.notes if note.startswith("second: read as bytes")]) == (
            kind == "bytes"
        )
    assert [sample["second"] for sample in reader.with_options(decode=False)] == values
    assert fastpack.open(path, kinds={"second": "image"}).schema["second"].kind == "image"
    assert not fastpack.open(path, kinds={"second": "bytes"}, untrusted=True).notes


def test_tokens_beside_pixels(tmp_path):
    path = write_rows(tmp_path / "x.h5", tokens=[bytes([1, 2, n]) for n in range(6)])
    with h5py.File(path, "r+") as f:
        f["images"] = COLOR
    assert fastpack.open(path, transform=RESIZED)[5]["tokens"] == bytes([1, 2, 5])


@pytest.mark.parametrize("is_opaque", [False, True])
def test_image_files_of_one_length(tmp_path, is_opaque):
    length = max(map(len, FILES))
    padded = [data.ljust(length, b"\0") for data in FILES]
    values = (
        np.array([np.void(data) for data in padded])
        if is_opaque
        else np.stack([np.frombuffer(data, np.uint8) for data in padded])
    )
    path = write(tmp_path / "x.h5", {"pics": values, "labels": np.arange(4)})
    with pytest.raises(
        FormatError,
        match=rf"pics.*\(4.*{'opaque' if is_opaque else 'padded to one length'}.*vlen_dtype.*x\.h5",
    ):
        fastpack.open(path)


# Images


def test_images_are_in_the_order_of_their_numbers(tmp_path):
    names = [f"im{n}" for n in range(12)]
    path = write(tmp_path / "x.h5", {name: COLOR[n % 6] for n, name in enumerate(names)})
    reader = fastpack.open(path)
    assert list(reader.columns["key"]) == names
    assert (reader.read([11, 2])["image"] == COLOR[[5, 2]]).all()
    assert "im0 to im11, sorted by the numbers in their names" in reader.notes[0]


@pytest.mark.parametrize("of_group", [False, True])
def test_attributes_of_images_are_noted(tmp_path, of_group):
    path = write(tmp_path / "x.h5", in_groups())
    with h5py.File(path, "r+") as f:
        f["s0" if of_group else "s0/image"].attrs["label"] = 3
        f["s0/image"].attrs["CLASS"] = "IMAGE"
    notes = [note for note in fastpack.open(path).notes if "attributes of the images" in note]
    assert len(notes) == 1
    assert "such as label;" in notes[0]


def test_links_are_reported(tmp_path):
    path = write(tmp_path / "x.h5", {"images": h5py.SoftLink("/elsewhere"), "labels": LABELS})
    with pytest.raises(FormatError, match=r"images: a link, which is not followed.*x\.h5"):
        fastpack.open(path)
    assert "images: left out; a link, which is not followed" in HDF5.explain(path)
