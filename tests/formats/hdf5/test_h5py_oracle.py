"""HDF5 both ways between plain h5py and fastpack."""

import h5py
import numpy as np
import pytest

import fastpack
from fastpack import PackOptions
from fastpack._native.crc32c import crc32c
from fastpack.core import Text
from fastpack.core.dtypes import NO_SPAN
from fastpack.errors import SchemaError
from fastpack.sources import ImageFiles
from tests.support.images import jpeg, photo, read_pillow, read_upright, resized, save

FILES = [
    "cat/a.jpg",
    "cat/b.jpeg",
    "cat/c.png",
    "cat/d.webp",
    "dog/a.jpg",
    "dog/b.jpg",
    "dog/c.jpg",
    "dog/d.png",
]
FILES += ["owl/a.JPG", "owl/b.bmp", "owl/c.tiff", "owl/d.jpg"]
LABELS = [0] * 4 + [1] * 4 + [2] * 4


# Files of fastpack, read by h5py


def test_h5py_reads_the_encoded_layout(photo_folder, tmp_path):
    fastpack.pack(photo_folder, tmp_path / "x.h5")
    contents = [(photo_folder / name).read_bytes() for name in FILES]
    with h5py.File(tmp_path / "x.h5") as f:
        data, offsets = f["images/bytes"], f["images/offsets"]
        assert [data[offsets[i] : offsets[i + 1]].tobytes() for i in range(12)] == contents
        assert (data.dtype, offsets.dtype) == (np.uint8, np.uint64)
        assert f["images/crc32c"][:].tolist() == [crc32c(content) for content in contents]
        assert f["labels"][:].tolist() == LABELS
        assert f["labels"].dtype == np.int64
        assert f["keys"].asstr()[:].tolist() == FILES
        assert f["class_names"].asstr()[:].tolist() == ["cat", "dog", "owl"]


def test_h5py_reads_the_pixels_layout(photo_folder, tmp_path):
    fastpack.pack(photo_folder, tmp_path / "x.h5", PackOptions(layout="pixels", size=(40, 30)))
    with h5py.File(tmp_path / "x.h5") as f:
        images, labels = f["images"][:], f["labels"][:]
        assert (images.shape, images.dtype) == ((12, 40, 30, 3), np.uint8)
        assert labels.tolist() == LABELS
        assert f["keys"].asstr()[:].tolist() == FILES
    for name, image in zip(FILES, images, strict=True):
        upright = read_upright((photo_folder / name).read_bytes())
        assert np.abs(image.astype(int) - resized(upright, 40, 30)).max() <= 2, (
            name
        )  # a level for each of two libraries


def test_images_of_one_size_need_no_other(tmp_path):
    pixels = np.stack([photo(21, 33, seed=seed) for seed in range(5)])
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, image in zip(paths, pixels, strict=True):
        path.write_bytes(save(image, "PNG"))
    fastpack.pack(ImageFiles(paths), tmp_path / "x.h5", PackOptions(layout="pixels"))
    with h5py.File(tmp_path / "x.h5") as f:
        assert (f["images"][:] == pixels).all()


@pytest.mark.parametrize("num_samples", [1, 6, 7, 13])
def test_several_chunks_and_a_partial_last_one(tmp_path, num_samples):
    # 300 x 500 x 3 bytes: two or three to a chunk of a megabyte
    pixels = np.stack([photo(300, 500, seed=seed) for seed in range(num_samples)])
    paths = [tmp_path / f"{i}.bmp" for i in range(num_samples)]
    for path, image in zip(paths, pixels, strict=True):
        path.write_bytes(save(image, "BMP"))
    fastpack.pack(
        ImageFiles(paths, range(num_samples)), tmp_path / "x.h5", PackOptions(layout="pixels")
    )
    with h5py.File(tmp_path / "x.h5") as f:
        assert (f["images"][:] == pixels).all()
        assert num_samples == 1 or 1 < f["images"].chunks[0] < num_samples
    reader = fastpack.open(tmp_path / "x.h5")
    assert (reader.index.spans["image"]["offset"] != NO_SPAN).all()
    rows = np.random.default_rng(0).permutation(num_samples)
    assert (reader.read(rows)["image"] == pixels[rows]).all()


def test_further_columns_are_datasets(photo_folder, tmp_path):
    columns = {
        "weight": np.linspace(-1, 1, 12, dtype=np.float32),
        "caption": Text.of(f"Löwe {i}" for i in range(12)),
    }
    fastpack.pack(
        ImageFiles([photo_folder / name for name in FILES], columns=columns), tmp_path / "x.h5"
    )
    with h5py.File(tmp_path / "x.h5") as f:
        assert f["weight"][:].tolist() == columns["weight"].tolist()
        assert f["caption"].asstr()[:].tolist() == list(columns["caption"])


# Files of h5py, read by fastpack


IMAGES = np.stack([photo(24, 18, seed=seed) for seed in range(7)])
DTYPES = ["u1", "<u2", ">u2", "<i4", "<f4", ">f4", "<f8", "<f2"]
LAYOUTS = {
    "contiguous": {},
    "chunk of one": {"chunks": (1, 24, 18, 3)},
    "chunks of three": {"chunks": (3, 24, 18, 3)},
    "one large chunk": {"chunks": (7, 24, 18, 3)},
    "chunks of parts": {"chunks": (2, 12, 18, 3)},
    "gzip": {"chunks": (2, 24, 18, 3), "compression": "gzip"},
    "lzf": {"compression": "lzf"},
    "shuffle": {"chunks": (1, 24, 18, 3), "shuffle": True, "compression": "gzip"},
    "checksum": {"chunks": (1, 24, 18, 3), "fletcher32": True},
    "extensible": {"maxshape": (None, 24, 18, 3), "chunks": (4, 24, 18, 3)},
}
WITH_SPANS = {"contiguous", "chunk of one", "chunks of three", "one large chunk", "extensible"}


def write_with_h5py(path, images, labels=None, *, libver="earliest", userblock_size=0, **layout):
    with h5py.File(path, "w", libver=libver, userblock_size=userblock_size) as f:
        f.create_dataset("images", data=images, **layout)
        if labels is not None:
            f.create_dataset("labels", data=labels)
    return path


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout, libver):
    path = write_with_h5py(
        tmp_path / "x.h5", IMAGES, np.arange(7), libver=libver, **LAYOUTS[layout]
    )
    reader = fastpack.open(path)
    assert (reader.read(range(7))["image"] == IMAGES).all()
    assert (reader.read([6, 0, 3, 3])["image"] == IMAGES[[6, 0, 3, 3]]).all()
    assert reader.columns["label"].tolist() == list(range(7))
    assert (reader.index.spans["image"]["offset"] != NO_SPAN).all() == (layout in WITH_SPANS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["contiguous", "chunks of three", "gzip"])
def test_kinds_of_numbers(tmp_path, dtype, layout):
    values = (IMAGES.astype("f8") * 0.37 - 20 if "f" in dtype else IMAGES).astype(dtype)
    images = fastpack.open(write_with_h5py(tmp_path / "x.h5", values, **LAYOUTS[layout])).read(
        [5, 2]
    )["image"]
    assert images.dtype == np.dtype(dtype).newbyteorder("=")
    assert (images == values[[5, 2]]).all()


@pytest.mark.parametrize("layout", [{}, {"chunks": (2, 24, 18)}, {"compression": "gzip"}])
def test_gray_images_without_a_channel(tmp_path, layout):
    reader = fastpack.open(write_with_h5py(tmp_path / "x.h5", IMAGES[..., 0], **layout))
    assert (reader.read([4, 1])["image"] == IMAGES[[4, 1], ..., 0]).all()


@pytest.mark.parametrize("layout", ["contiguous", "chunks of three", "gzip"])
def test_a_user_block_before_the_data(tmp_path, layout):
    path = write_with_h5py(
        tmp_path / "x.h5", IMAGES, np.arange(7), userblock_size=512, **LAYOUTS[layout]
    )
    assert (fastpack.open(path).read(range(7))["image"] == IMAGES).all()


@pytest.mark.parametrize("layout", [{}, {"chunks": (2, 24, 18, 3)}])
def test_samples_that_were_never_written(tmp_path, layout):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f.create_dataset("images", (7, 24, 18, 3), np.uint8, fillvalue=9, **layout)
        if layout:
            f["images"][2:4] = IMAGES[2:4]
        expected = f["images"][:]
    assert (fastpack.open(tmp_path / "x.h5").read(range(7))["image"] == expected).all()


def test_a_file_that_was_changed_and_grown(tmp_path):
    path = write_with_h5py(
        tmp_path / "x.h5", IMAGES[:4], maxshape=(None, 24, 18, 3), chunks=(3, 24, 18, 3)
    )
    assert (fastpack.open(path).read(range(4))["image"] == IMAGES[:4]).all()
    with h5py.File(path, "r+") as f:
        f["images"].resize(7, axis=0)
        f["images"][:] = IMAGES[::-1]
    assert (fastpack.open(path).read(range(7))["image"] == IMAGES[::-1]).all()


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.arange(7, dtype=np.uint8), list(range(7))),
        (np.arange(7, dtype=">i2") - 3, list(range(-3, 4))),
        (np.arange(7) % 2 == 0, [1, 0, 1, 0, 1, 0, 1]),
        (np.arange(7, dtype=">f8") / 4, [i / 4 for i in range(7)]),
        (
            np.array([f"Löwe {i}" for i in range(7)], h5py.string_dtype()),
            [f"Löwe {i}" for i in range(7)],
        ),
        (np.array([b"%d" % i for i in range(7)], "S3"), [str(i) for i in range(7)]),
    ],
)
def test_columns(tmp_path, stored, expected):
    path = write_with_h5py(tmp_path / "x.h5", IMAGES, stored)
    column = fastpack.open(path).columns["label"][:]
    assert (list(column) if isinstance(column, Text) else column.tolist()) == expected
    assert [fastpack.open(path)[i]["label"] for i in range(7)] == expected  # from the saved index


def test_two_names_for_the_same_thing(tmp_path):
    path = write_with_h5py(tmp_path / "x.h5", IMAGES, np.arange(7))
    with h5py.File(path, "r+") as f:
        f["label"] = np.arange(7) * 2
    columns = fastpack.open(path).columns
    assert sorted(
        column.tolist()[1] for name, column in columns.items() if name.startswith("label")
    ) == [1, 2]


def test_what_is_no_column_is_passed_over(tmp_path):
    path = write_with_h5py(tmp_path / "x.h5", IMAGES, np.arange(7))
    with h5py.File(path, "r+") as f:
        f["mean"] = 0.5
        f["table"] = np.zeros(7, [("a", "i4"), ("b", "f4")])
        f["other"] = np.arange(5)
        f["nothing"] = h5py.Empty("f4")
        f["type"] = np.dtype("f4")
        f.create_group("model/weights")
    assert list(fastpack.open(path).read([0])) == ["image", "label"]


def test_variable_length_jpegs(tmp_path):
    files = [jpeg(20 + i, 30, seed=i) for i in range(5)]
    with h5py.File(tmp_path / "x.h5", "w") as f:
        dataset = f.create_dataset("images", (5,), h5py.vlen_dtype(np.uint8))
        for i, file in enumerate(files):
            dataset[i] = np.frombuffer(file, np.uint8)
        f["labels"] = np.arange(5)
    reader = fastpack.open(tmp_path / "x.h5")
    assert (reader.columns["height"] == np.arange(20, 25)).all()
    images = reader.read([4, 0, 2])["image"]
    assert all(
        (image == read_pillow(files[row])).all()
        for image, row in zip(images, [4, 0, 2], strict=True)
    )
    blobs = reader.with_options(decode=False).read([3, 1])["image"]
    assert [blobs.bytes(i) for i in range(2)] == [files[3], files[1]]


def test_offsets_and_bytes_that_others_wrote(tmp_path):
    files = [jpeg(20 + i, 30, seed=i) for i in range(5)]
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f["images/bytes"] = np.frombuffer(b"".join(files), np.uint8)
        f["images/offsets"] = np.cumsum([0, *map(len, files)]).astype(">i4")
    images = fastpack.open(tmp_path / "x.h5").read(range(5))["image"]
    assert all(
        (image == read_pillow(file)).all() for image, file in zip(images, files, strict=True)
    )


# The classic functions


def test_the_snippets_reader_reads_what_create_hdf5_writes(tmp_path):
    paths = [tmp_path / f"{i}.jpg" for i in range(6)]
    for seed, path in enumerate(paths):
        path.write_bytes(jpeg(50 + seed, 70, seed=seed))
    fastpack.packing.snippets.create_hdf5(
        paths, [5, 4, 3, 2, 1, 0], tmp_path / "x.h5", size=(32, 48)
    )
    with h5py.File(tmp_path / "x.h5", "r") as f:
        images, labels = f["images"][:], f["labels"][:]
    assert labels.tolist() == [5, 4, 3, 2, 1, 0]
    assert all(
        np.abs(i.astype(int) - resized(read_pillow(p.read_bytes()), 32, 48)).max() <= 1
        for i, p in zip(images, paths, strict=True)
    )
    read_images, read_labels = fastpack.packing.snippets.read_hdf5(tmp_path / "x.h5")
    assert (read_images == images).all()
    assert (read_labels == labels).all()


def test_read_hdf5_reads_the_snippets_file(tmp_path):
    images, labels = fastpack.packing.snippets.read_hdf5(
        write_with_h5py(tmp_path / "x.h5", IMAGES, np.arange(7))
    )
    assert (images == IMAGES).all()
    assert labels.tolist() == list(range(7))


def test_read_hdf5_says_what_is_missing(tmp_path):
    with pytest.raises(SchemaError, match=r"labels.*x\.h5"):
        fastpack.packing.snippets.read_hdf5(write_with_h5py(tmp_path / "x.h5", IMAGES))
