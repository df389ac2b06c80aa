"""convert between all formats, and extract, which gives the files back."""

import gzip
import os
import sys
import zlib

import numpy as np
import pytest

import fastpack
from fastpack import PackOptions
from fastpack.errors import (
    CorruptRecordError,
    FastpackError,
    FormatError,
    OptionError,
    OutputExistsError,
    SchemaError,
    TruncatedFileError,
    UnreadableFileError,
)
from fastpack.sources import ImageFiles
from tests.support.damage import in_place
from tests.support.images import jpeg, photo, save
from tests.support.tars import write_tar
from tests.support.wire import bytes_list, entry, example, frame, int_list

FILES = {
    "cat/1.jpg": jpeg(24, 20, seed=1),
    "cat/deep/2.JPEG": jpeg(30, 22, seed=2),
    "dog/1.png": save(photo(8, 9, seed=3), "PNG"),
    "owl/Löwe.webp": save(photo(10, 12, seed=4), "WEBP"),
}


@pytest.fixture
def root(tmp_path):
    return write_files(tmp_path / "images", FILES)


def write_files(root, files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def files_below(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def make_folder(root):
    return root


def make_tar(root):
    members = []
    for number, (name, data) in enumerate(sorted(FILES.items())):
        members += [(name, data), (name.rsplit(".", 1)[0] + ".cls", b"%d" % number)]
    return write_tar(root.parent / "a.tar", members)


def make_packed(name, **options):
    def make(root):
        fastpack.pack(root, root.parent / name, PackOptions(**options))
        return root.parent / "a*"

    return make


def make_gzip(root):
    fastpack.pack(root, root.parent / "b.tfrecord")
    (root.parent / "a.tfrecord.gz").write_bytes(
        gzip.compress((root.parent / "b.tfrecord").read_bytes())
    )
    return root.parent / "a.tfrecord.gz"


MAKERS = {
    "folder": make_folder,
    "tar": make_tar,
    "tfrecord": make_packed("a.tfrecord", shards=2),
    "hdf5": make_packed("a.h5"),
    "tfrecord.gz": make_gzip,
}


@pytest.mark.parametrize("output", ["out.tfrecord", "out.h5"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_all_to_all_and_back_to_files(root, tmp_path, make, output):
    source = make(root)
    assert fastpack.convert(source, tmp_path / output).num_samples == 4
    found = fastpack.open(tmp_path / output, decode=False)
    batch = found.read(np.arange(4))
    assert [batch["image"].bytes(i) for i in range(4)] == [FILES[name] for name in sorted(FILES)]
    assert batch["label"].tolist() == ([0, 1, 2, 3] if make is make_tar else [0, 0, 1, 2])
    extracted = fastpack.extract(found, tmp_path / "files")
    assert (extracted.num_files, extracted.num_bytes) == (4, sum(map(len, FILES.values())))
    if make is make_tar:  # its keys have no endings, so they get the formats'
        assert set(files_below(tmp_path / "files")) == {
            "cat/1.jpg",
            "cat/deep/2.jpg",
            "dog/1.png",
            "owl/Löwe.webp",
        }
    else:
        assert files_below(tmp_path / "files") == FILES
    left = {path.name for path in tmp_path.iterdir() if path.name.startswith(".")}
    assert not left


def test_options_and_progress(root, tmp_path):
    seen = []
    packed = fastpack.convert(
        root,
        tmp_path / "x.tfrecord",
        PackOptions(shards=2),
        progress=lambda *done: seen.append(done),
    )
    assert len(packed.paths) == 2
    assert seen[-1] == (4, 4, sum(map(len, FILES.values())))
    with pytest.raises(OutputExistsError):
        fastpack.convert(root, tmp_path / "x.tfrecord", PackOptions(shards=2))
    fastpack.convert(root, tmp_path / "x.tfrecord", PackOptions(shards=2), overwrite=True)


def test_output_folder_that_is_not_there(root, tmp_path):
    with pytest.raises(OptionError, match="make it first"):
        fastpack.convert(make_gzip(root), tmp_path / "no" / "x.tfrecord")


# Compressed files

RECORDS = b"".join(
    frame(example(entry(b"x", int_list(*range(i))), entry(b"zeros", bytes_list(b"\0\xff" * i))))
    for i in range(400)
)


def assert_unpacked(path, output):
    fastpack.convert(path, output)
    columns = fastpack.open(output, save_index=False).columns
    assert [row.tolist() for row in columns["x"]] == [list(range(i)) for i in range(400)]


COMPRESSED = {
    "gzip": gzip.compress(RECORDS),
    "zlib": zlib.compress(RECORDS),
    "zlib fast": zlib.compress(RECORDS, 1),
    "gzip stored": gzip.compress(RECORDS, 0),
    "gzip joined": gzip.compress(RECORDS[:3000])
    + gzip.compress(b"")
    + gzip.compress(RECORDS[3000:]),
    "gzip joined and padded": gzip.compress(RECORDS[:3000])
    + bytes(600)
    + gzip.compress(RECORDS[3000:])
    + bytes(512),
}


@pytest.mark.parametrize("piece_bytes", [2**20, 97])
@pytest.mark.parametrize("data", COMPRESSED.values(), ids=COMPRESSED)
def test_compressed_tfrecords(tmp_path, data, piece_bytes, monkeypatch):
    monkeypatch.setattr(sys.modules["fastpack.packing.convert"], "_PIECE_BYTES", piece_bytes)
    (tmp_path / "x.tfrecord.gz").write_bytes(data)
    assert_unpacked(tmp_path / "x.tfrecord.gz", tmp_path / "y.tfrecord")


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_what_tensorflow_compresses(tmp_path, compression):
    tf = pytest.importorskip("tensorflow")
    with tf.io.TFRecordWriter(str(tmp_path / "x.tfrecord"), compression) as writer:
        for i in range(400):
            feature = {"x": tf.train.Feature(int64_list=tf.train.Int64List(value=range(i)))}
            writer.write(
                tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
            )
    assert_unpacked(tmp_path / "x.tfrecord", tmp_path / "y.tfrecord")


def test_a_bomb_is_unpacked_in_pieces(tmp_path):
    """100 MB of zeros in 100 kB are no TFRecord; that is found out without holding them."""
    (tmp_path / "x.tfrecord.gz").write_bytes(gzip.compress(bytes(10**8), 9))
    with pytest.raises(FastpackError, match=r"x\.tfrecord\.gz"):
        fastpack.convert(tmp_path / "x.tfrecord.gz", tmp_path / "y.tfrecord")
    assert [path.name for path in tmp_path.iterdir()] == ["x.tfrecord.gz"]


@pytest.mark.parametrize("cut", [20, 1000, -9, -1])
def test_cut_gzip(tmp_path, cut):
    (tmp_path / "x.gz").write_bytes(gzip.compress(RECORDS)[:cut])
    with pytest.raises(TruncatedFileError, match=r"x\.gz"):
        fastpack.convert(tmp_path / "x.gz", tmp_path / "y.tfrecord")


@pytest.mark.parametrize("position", [30, 500, -6, -2])
def test_damaged_gzip(tmp_path, position):
    data = bytearray(gzip.compress(RECORDS))
    data[position] ^= 0x55
    (tmp_path / "x.gz").write_bytes(data)
    with pytest.raises(CorruptRecordError, match=r"x\.gz"):
        fastpack.convert(tmp_path / "x.gz", tmp_path / "y.tfrecord")


@pytest.mark.parametrize("length", [0x9C78 + (1 << 16), 0x0178, 0x5E78])
def test_a_tfrecord_that_begins_like_zlib_is_none(tmp_path, length):
    """Its first bytes are a record's length."""
    padding = length - len(example(entry(b"x", bytes_list(b"\xff" * (length - 100)))))
    payload = example(entry(b"x", bytes_list(b"\xff" * (length - 100 + padding))))
    assert len(payload) == length
    (tmp_path / "x").write_bytes(frame(payload))
    assert fastpack.convert(tmp_path / "x", tmp_path / "y.tfrecord").num_samples == 1


# extract


def write_keys(tmp_path, keys, images=None):
    images = images or [FILES["cat/1.jpg"]] * len(keys)
    records = [
        frame(
            example(entry(b"image", bytes_list(image)), entry(b"key", bytes_list(os.fsencode(key))))
        )
        for key, image in zip(keys, images, strict=True)
    ]
    (tmp_path / "x.tfrecord").write_bytes(b"".join(records))
    return fastpack.open(tmp_path / "x.tfrecord", save_index=False)


@pytest.mark.parametrize(
    "key",
    [
        "../out.jpg",
        "a/../../out.jpg",
        "/tmp/out.jpg",
        "a//b.jpg",
        "./a.jpg",
        "",
        "a/",
        "..",
        "a\0b.jpg",
        "a/./b.jpg",
    ],
)
def test_keys_that_lead_out_write_nothing(tmp_path, key):
    dataset = write_keys(tmp_path, ["good.jpg", key])
    before = files_below(tmp_path)
    with pytest.raises(FormatError, match=r"nothing was written.*x\.tfrecord, record 1"):
        fastpack.extract(dataset, tmp_path / "files")
    assert files_below(tmp_path) == before


def test_links_are_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").symlink_to(tmp_path / "outside")
    (tmp_path / "files" / "b.jpg").symlink_to(tmp_path / "outside" / "b.jpg")
    with pytest.raises(UnreadableFileError, match=r"files/a/1\.jpg"):
        fastpack.extract(write_keys(tmp_path, ["a/1.jpg"]), tmp_path / "files", overwrite=True)
    with pytest.raises(OutputExistsError):
        fastpack.extract(write_keys(tmp_path, ["b.jpg"]), tmp_path / "files")
    fastpack.extract(write_keys(tmp_path, ["b.jpg"]), tmp_path / "files", overwrite=True)
    assert not list((tmp_path / "outside").iterdir())
    assert (tmp_path / "files" / "b.jpg").read_bytes() == FILES["cat/1.jpg"]


def test_one_key_and_file_twice(tmp_path):
    assert (
        fastpack.extract(write_keys(tmp_path, ["a.jpg", "a.jpg"]), tmp_path / "files").num_files
        == 1
    )
    assert files_below(tmp_path / "files") == {"a.jpg": FILES["cat/1.jpg"]}


def test_a_key_that_is_a_folder_of_another(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"a\.jpg/b\.jpg"):
        fastpack.extract(write_keys(tmp_path, ["a.jpg", "a.jpg/b.jpg"]), tmp_path / "files")


def test_names_that_are_no_utf8(tmp_path):
    key = b"K\xf6ln.jpg".decode("utf-8", "surrogateescape")
    fastpack.extract(write_keys(tmp_path, [key]), tmp_path / "files")
    assert os.listdir(os.fsencode(tmp_path / "files")) == [b"K\xf6ln.jpg"]


def test_existing_files_are_kept_unless_asked(tmp_path):
    write_files(tmp_path / "files", {"cat/a.jpg": b"mine"})
    dataset = write_keys(tmp_path, ["cat/a.jpg"])
    with pytest.raises(OutputExistsError, match=r"- at .*/files/cat/a\.jpg$"):
        fastpack.extract(dataset, tmp_path / "files")
    assert files_below(tmp_path / "files") == {"cat/a.jpg": b"mine"}
    fastpack.extract(dataset, tmp_path / "files", overwrite=True)
    assert files_below(tmp_path / "files") == {"cat/a.jpg": FILES["cat/1.jpg"]}


def test_a_failure_leaves_whole_files_only(tmp_path, monkeypatch):
    dataset = write_keys(tmp_path, ["a.jpg", "b.jpg"])
    calls = []

    def failing_rename(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(*arguments, **options)

    real = os.rename
    monkeypatch.setattr(os, "rename", failing_rename)
    with pytest.raises(UnreadableFileError, match=r"No space left.*b\.jpg"):
        fastpack.extract(dataset, tmp_path / "files")
    assert files_below(tmp_path / "files") == {"a.jpg": FILES["cat/1.jpg"]}


def test_without_keys_files_are_numbered(tmp_path):
    images = [FILES["dog/1.png"], FILES["cat/1.jpg"], b"no image"]
    (tmp_path / "x.tfrecord").write_bytes(
        b"".join(frame(example(entry(b"image", bytes_list(image)))) for image in images)
    )
    fastpack.extract(fastpack.open(tmp_path / "x.tfrecord"), tmp_path / "files")
    assert files_below(tmp_path / "files") == dict(
        zip(["00000000.png", "00000001.jpg", "00000002.bin"], images, strict=True)
    )


def test_another_field(tmp_path):
    mask = save(photo(8, 9, 1), "PNG")
    path = write_tar(
        tmp_path / "x.tar",
        [("a.jpg", FILES["cat/1.jpg"]), ("a.mask.png", mask), ("a.npy", b"\x93NUMPY")],
    )
    dataset = fastpack.open(path)
    fastpack.extract(dataset, tmp_path / "masks", field="mask.png")
    fastpack.extract(dataset, tmp_path / "arrays", field="npy")
    assert files_below(tmp_path / "masks") == {"a.png": mask}
    assert files_below(tmp_path / "arrays") == {"a.bin": b"\x93NUMPY"}
    with pytest.raises(SchemaError, match="nothing"):
        fastpack.extract(dataset, tmp_path / "no", field="nothing")


def test_pixels_are_no_files(root, tmp_path):
    fastpack.pack(root, tmp_path / "x.h5", PackOptions(size=16))
    with pytest.raises(SchemaError, match="no files"):
        fastpack.extract(fastpack.open(tmp_path / "x.h5"), tmp_path / "files")


def test_damage_names_the_record(tmp_path):
    dataset = write_keys(tmp_path, ["a.jpg", "b.jpg"])
    data = (tmp_path / "x.tfrecord").read_bytes()
    in_place(tmp_path / "x.tfrecord", {len(data) - 50: bytes([data[-50] ^ 1])})
    with pytest.raises(
        CorruptRecordError, match=r"x\.tfrecord, record 1.*key b\.jpg|x\.tfrecord, record 1"
    ):
        fastpack.extract(dataset, tmp_path / "files")


@pytest.mark.parametrize("on_error", ["skip", "mask"])
@pytest.mark.parametrize("write", ["extract", "pack", "pack without duplicates"])
def test_a_reader_that_goes_on_past_bad_samples_makes_no_wrong_files(tmp_path, on_error, write):
    """Neither does one get another's bytes, nor none."""
    dataset = write_keys(tmp_path, ["a.jpg", "b.jpg", "c.jpg"]).with_options(
        decode=False, on_error=on_error
    )
    in_place(
        tmp_path / "x.tfrecord", {int(dataset.index.spans["image"]["offset"][1]) + 20: b"\0\1\2\3"}
    )
    with pytest.raises(CorruptRecordError, match="record 1"):
        if write == "extract":
            fastpack.extract(dataset, tmp_path / "files")
        else:
            duplicates = "drop" if write == "pack without duplicates" else "keep"
            fastpack.pack(dataset, tmp_path / "y.h5", PackOptions(duplicates=duplicates))
    written = files_below(tmp_path / "files") if (tmp_path / "files").exists() else {}
    assert all(data == FILES["cat/1.jpg"] for data in written.values())
    assert not (tmp_path / "y.h5").exists()


@pytest.mark.isolated
def test_many_batches_and_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["fastpack.packing.extract"], "_BATCH_FILES", 3)
    keys = [f"{i % 4}/{i}.jpg" for i in range(20)]
    paths = []
    for i in range(20):
        (tmp_path / f"{i}").write_bytes(jpeg(8, 8 + i, seed=i))
        paths.append(tmp_path / f"{i}")
    fastpack.pack(ImageFiles(paths, keys=keys), tmp_path / "x.h5")
    seen = []
    fastpack.extract(
        fastpack.open(tmp_path / "x.h5"),
        tmp_path / "files",
        progress=lambda *done: seen.append(done),
    )
    assert files_below(tmp_path / "files") == {
        key: path.read_bytes() for key, path in zip(keys, paths, strict=True)
    }
    assert [done[0] for done in seen] == [3, 6, 9, 12, 15, 18, 20]
    assert len(os.listdir("/proc/self/fd")) < 200


def test_a_killed_conversion_leaves_nothing_after_the_next_one(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(jpeg(8, 8))
    (tmp_path / "out").mkdir()
    fastpack.pack(
        fastpack.sources.ImageFiles([tmp_path / "a.jpg"] * 4, range(4)), tmp_path / "a.tfrecord"
    )
    with open(tmp_path / "a.tfrecord", "rb") as whole, gzip.open(tmp_path / "a.gz", "wb") as file:
        file.write(whole.read())
    output, options = tmp_path / "out" / "t.h5", fastpack.PackOptions(shards=2)

    class KilledError(BaseException):
        pass

    def kill(*_, **__):
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["fastpack.packing.convert"], "pack", kill)
        patched.setattr("fastpack.files.locked_folder.LockedFolder.remove", kill)
        with pytest.raises(KilledError):
            fastpack.convert(tmp_path / "a.gz", output, options)
    assert sorted(os.listdir(output.parent)) == [".t.h5.unpacked"]
    with monkeypatch.context() as patched:
        patched.setattr("fastpack.files.publication.Publication.begin", kill)
        with pytest.raises(KilledError):
            fastpack.convert(tmp_path / "a.gz", output, options)
    assert sorted(os.listdir(output.parent)) == [".t.h5.packing"]
    assert fastpack.convert(tmp_path / "a.gz", output, options, resume=True).num_samples == 4
    assert not [name for name in os.listdir(output.parent) if name.startswith(".")]


@pytest.mark.parametrize("digits", ["0.1", "1e-4000"])
def test_floats_of_more_than_64_bits_keep_their_digits_or_are_refused(tmp_path, digits):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        images = file.create_dataset("images", (2,), h5py.vlen_dtype(np.uint8))
        for row in range(2):
            images[row] = np.frombuffer(jpeg(8, 8, seed=row), np.uint8)
        file["x"] = np.array([digits] * 2, np.longdouble)
    fastpack.convert(tmp_path / "x.h5", tmp_path / "y.h5")
    assert fastpack.open(tmp_path / "y.h5").columns["x"][0] == np.longdouble(digits)
    assert fastpack.verify(tmp_path / "y.h5", against=tmp_path / "x.h5").is_sound
    for name in ("y.tfrecord", "y.tar"):
        with pytest.raises(SchemaError, match="choose HDF5"):
            fastpack.convert(tmp_path / "x.h5", tmp_path / name)


# Folders and tars, by their names


def test_an_output_without_an_ending_is_a_folder_of_files(root, tmp_path):
    fastpack.pack(root, tmp_path / "a.tfrecord")
    compressed = tmp_path / "b.tfrecord.gz"
    compressed.write_bytes(gzip.compress((tmp_path / "a.tfrecord").read_bytes()))
    for source, output in ((tmp_path / "a.tfrecord", "files"), (compressed, "unpacked")):
        converted = fastpack.convert(source, tmp_path / output)
        assert (converted.paths, converted.num_samples) == ((tmp_path / output,), len(FILES))
        assert {name: (tmp_path / output / name).read_bytes() for name in FILES} == FILES
    with pytest.raises(OutputExistsError):
        fastpack.convert(tmp_path / "a.tfrecord", tmp_path / "files")
    fastpack.convert(tmp_path / "a.tfrecord", tmp_path / "files", overwrite=True)


def test_a_folder_takes_no_options_of_files(root, tmp_path):
    fastpack.pack(root, tmp_path / "a.tfrecord")
    for options in ({"shards": 2}, {"num_workers": 1}, {"resume": True}):
        (name,) = options
        message = rf"{name}=\.\.\. is not for a folder of files; leave it out"
        with pytest.raises(OptionError, match=message):
            fastpack.convert(tmp_path / "a.tfrecord", tmp_path / "files", **options)
    assert not (tmp_path / "files").exists()


def test_a_tar_by_its_name(root, tmp_path):
    fastpack.pack(root, tmp_path / "a.tfrecord")
    converted = fastpack.convert(tmp_path / "a.tfrecord", tmp_path / "a.tar", shards=2)
    assert [path.name for path in converted.paths] == [
        "a-00000-of-00002.tar",
        "a-00001-of-00002.tar",
    ]
    assert len(fastpack.open(tmp_path / "a.tar")) == len(FILES)
