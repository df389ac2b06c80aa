"""One suite for each protocol. A new container, source or codec is one more line here."""

import io
import json
import pickle
import tarfile
from contextlib import nullcontext

import numpy as np
import pytest

from fastpack import Batch, build_indexes, encode, from_folder, from_table, pack
from fastpack import open as open_dataset
from fastpack.core import Field, Ragged, Schema, Text
from fastpack.core.dtypes import NO_SPAN
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.errors import EmptySourceError, FastpackError
from fastpack.files.companions import index_path
from fastpack.formats import registry
from fastpack.formats.file_index import FileIndex
from fastpack.formats.index.index_file import load_index, save_index
from fastpack.formats.protocols import ShardPlan
from fastpack.images import headers
from fastpack.images.codec import PixelFormat
from fastpack.images.codecs import codec_of
from fastpack.sources import ImageFiles


def make_image(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    """Smooth colors, which lossy codecs change little."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = [np.sin((x * (seed % 3 + 1) + y * c) / 40 + seed) for c in range(3)]
    return (127 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


# Containers


def encoded_batch(num_samples: int, first: int = 0) -> Batch:
    blobs = Ragged.of_bytes(
        encode(make_image(first + i, 20 + i % 3, 30), "png" if i % 4 else "jpeg")
        for i in range(num_samples)
    )
    labels = np.arange(first, first + num_samples) % 3
    keys = Text.of(f"class{i % 3}/Löwe {first + i}.png" for i in range(num_samples))
    return Batch(
        {
            "image": blobs,
            "label": labels,
            "key": keys,
            "weight": np.linspace(0, 1, num_samples, dtype=np.float32),
        },
        num_samples,
    )


ENCODED = Schema(
    (
        Field("image", "image"),
        Field("label", "int", dtype="int64"),
        Field("key", "text"),
        Field("weight", "float", dtype="float32"),
    ),
    ("cat", "dog", "owl"),
)


CHECKSUMMED = {"tfrecord", "hdf5"}  # a tar has room for none


@pytest.mark.parametrize("name", registry.NAMES)
class TestContainer:
    def write(self, name, path, batches):
        blobs = [batch["image"] for batch in batches]
        plan = ShardPlan(ENCODED, sum(map(len, blobs)), sum(len(blob.values) for blob in blobs))
        writer = registry.named(name).writer(path, plan)
        for batch in batches:
            writer.write(batch)
        writer.close()
        return registry.named(name).index(path)

    def test_what_is_written_is_indexed(self, name, tmp_path):
        batches = [encoded_batch(5), encoded_batch(3, first=5)]
        index = self.write(name, tmp_path / "x", batches)
        assert len(index) == 8
        assert index.schema.class_names == ENCODED.class_names
        assert [(f.name, f.kind) for f in index.schema.fields] == [
            (f.name, f.kind) for f in ENCODED.fields
        ]
        assert index.columns["label"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
        assert list(index.columns["key"]) == [key for batch in batches for key in batch["key"]]
        assert index.columns["weight"].tolist() == [
            float(w) for batch in batches for w in batch["weight"]
        ]

    def test_spans_are_the_bytes_that_went_in(self, name, tmp_path):
        batch = encoded_batch(6)
        index = self.write(name, tmp_path / "x", [batch])
        data = (tmp_path / "x").read_bytes()
        spans = index.spans["image"]
        assert [data[s["offset"] : s["offset"] + s["length"]] for s in spans] == [
            batch["image"].bytes(i) for i in range(6)
        ]
        assert (spans["record_length"] > 0).all() == (name in CHECKSUMMED)
        assert index.infos["image"]["width"].tolist() == [30] * 6

    def test_recognizes_its_own_and_no_other(self, name, tmp_path):
        self.write(name, tmp_path / "x", [encoded_batch(2)])
        head = (tmp_path / "x").read_bytes()[:4096]
        assert [other for other in registry.NAMES if registry.named(other).recognizes(head)] == [
            name
        ]
        for noise in (b"", b"\x00" * 4096, bytes(range(256)) * 16, b"\xff\xd8\xff\xe0" * 100):
            assert not registry.named(name).recognizes(noise)

    def test_same_input_gives_the_same_bytes(self, name, tmp_path):
        for number, workers in enumerate((1, 2, 5)):
            batch = encoded_batch(9)
            plan = ShardPlan(ENCODED, 9, len(batch["image"].values))
            writer = registry.named(name).writer(tmp_path / str(number), plan, workers)
            writer.write(batch)
            writer.close()
        assert len({(tmp_path / str(number)).read_bytes() for number in range(3)}) == 1

    @pytest.mark.parametrize("byte", [0.2, 0.5, 0.8])
    def test_a_flipped_bit_in_an_image_is_noticed(self, name, tmp_path, byte):
        index = self.write(name, tmp_path / "x", [encoded_batch(4)])
        data = bytearray((tmp_path / "x").read_bytes())
        span = index.spans["image"][2]
        data[int(span["offset"] + int(span["length"]) * byte)] ^= 4
        (tmp_path / "x").write_bytes(data)
        with (
            pytest.raises(FastpackError, match=r"CRC32C.*x, record 2")
            if name in CHECKSUMMED
            else nullcontext()
        ):
            registry.named(name).index(tmp_path / "x")
        unchecked = registry.named(name).index(tmp_path / "x", check=False)
        assert len(unchecked) == 4

    def test_an_abandoned_file_cannot_be_mistaken_for_a_whole_one(self, name, tmp_path):
        batch = encoded_batch(4)
        writer = registry.named(name).writer(
            tmp_path / "x", ShardPlan(ENCODED, 8, 2 * len(batch["image"].values))
        )
        writer.write(batch)
        writer.abandon()
        try:
            num_samples = len(registry.named(name).index(tmp_path / "x"))
        except FastpackError:
            num_samples = 0
        assert num_samples < 8

    def test_an_empty_file_is_refused(self, name, tmp_path):
        (tmp_path / "x").write_bytes(b"")
        with pytest.raises((EmptySourceError, FastpackError), match="x"):
            registry.named(name).index(tmp_path / "x")

    def test_index_survives_saving(self, name, tmp_path):
        index = self.write(name, tmp_path / "x", [encoded_batch(5)])
        save_index(index, index_path(tmp_path / "x"))
        loaded = load_index(index_path(tmp_path / "x"))
        assert loaded.schema == index.schema
        assert loaded.shards == index.shards
        assert (loaded.spans["image"] == index.spans["image"]).all()
        assert loaded.columns["key"] == index.columns["key"]


# Datasets of the six images of make_files, three of each class


def written_by_pack(ending):
    def make(root):
        pack(folder_source(root / "files"), root / f"x.{ending}")
        return root / f"x.{ending}"

    return make


def tar_of_files(root):
    with tarfile.open(root / "x.tar", "w") as archive:
        for path in make_files(root / "files"):
            key = path.relative_to(root / "files").as_posix().removesuffix(".png")
            for ending, data in (
                ("png", path.read_bytes()),
                ("cls", path.parent.name[-1:].encode()),
            ):
                member = tarfile.TarInfo(f"{key}.{ending}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return root / "x.tar"


def folder_of_files(root):
    make_files(root / "files")
    return root / "files"


OPENED = {
    "tfrecord": written_by_pack("tfrecord"),
    "hdf5": written_by_pack("h5"),
    "tar": tar_of_files,
    "folder": folder_of_files,
}


@pytest.mark.parametrize("name", OPENED)
class TestOpened:
    def opened(self, name, root, **options):
        return open_dataset(OPENED[name](root), **options)

    def files(self, root):
        return [path.read_bytes() for path in sorted((root / "files").rglob("*.png"))]

    def test_holds_what_went_in(self, name, tmp_path):
        dataset = self.opened(name, tmp_path, decode=False)
        batch = dataset.read(np.arange(6))
        assert [shard.container for shard in dataset.index.shards] == [name]
        assert [(field.name, field.kind) for field in dataset.schema.fields] == [
            ("image", "image"),
            ("label", "int"),
            ("key", "text"),
        ]
        assert [batch["image"].bytes(i) for i in range(6)] == self.files(tmp_path)
        assert batch["label"].tolist() == [0, 0, 0, 1, 1, 1]
        assert [key.removesuffix(".png") for key in batch["key"]] == [
            f"class{i % 2}/{i}" for i in (0, 2, 4, 1, 3, 5)
        ]
        assert dataset.sizes.tolist() == [len(data) for data in self.files(tmp_path)]
        assert dataset.columns["width"].tolist() == [32] * 6

    def test_random_access_decoded(self, name, tmp_path):
        dataset = self.opened(name, tmp_path)
        rows = [5, 0, 5, 3]
        expected = [
            codec_of("png").decode(
                self.files(tmp_path)[row],
                headers.probe(self.files(tmp_path)[row]),
                PixelFormat(),
                DEFAULT_LIMITS,
            )
            for row in rows
        ]
        for reader in (dataset, pickle.loads(pickle.dumps(dataset))):
            assert np.array_equal(reader.read(rows)["image"], np.stack(expected))
        assert np.array_equal(dataset[2:][3]["image"], expected[0])

    def test_saved_index_gives_the_same(self, name, tmp_path):
        path = OPENED[name](tmp_path)
        built = open_dataset(path, save_index=False).index
        build_indexes(path)
        saved = FileIndex(path).saved()
        assert saved is not None
        assert (saved.schema, saved.shards) == (built.schema, built.shards)
        assert (saved.files is None) == (built.files is None)
        if saved.files is not None:
            assert saved.files.names == built.files.names
            assert saved.files.times.tolist() == built.files.times.tolist()
        assert all((saved.spans[each] == built.spans[each]).all() for each in built.spans)
        assert all((saved.infos[each] == built.infos[each]).all() for each in built.infos)
        assert saved.columns["key"] == built.columns["key"]

    def test_fields_chosen_and_renamed(self, name, tmp_path):
        dataset = self.opened(name, tmp_path, fields={"picture": "image"}, decode=False)
        assert list(dataset.read([4])) == ["picture"]
        assert dataset.read([4])["picture"].bytes(0) == self.files(tmp_path)[4]

    def test_two_are_one_dataset(self, name, tmp_path):
        paths = [OPENED[name](tmp_path / part) for part in "ab" if not (tmp_path / part).mkdir()]
        batch = open_dataset(paths, decode=False).read([7, 1])
        assert [batch["image"].bytes(i) for i in range(2)] == [self.files(tmp_path / "a")[1]] * 2

    def test_a_cut_file_is_an_error_that_names_it(self, name, tmp_path):
        path = OPENED[name](tmp_path)
        dataset = open_dataset(path, decode=False)
        victim = path / "class1" / "5.png" if path.is_dir() else path
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
        with pytest.raises(FastpackError, match=path.name):
            dataset.read([5])


# Sources


def make_files(root, count=6):
    paths = []
    for i in range(count):
        path = root / f"class{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(make_image(i), "png"))
        paths.append(path)
    return sorted(paths)


def folder_source(root):
    make_files(root)
    return from_folder(root)


def paths_source(root):
    return ImageFiles(make_files(root), [0, 0, 0, 1, 1, 1], keys=True)


def csv_source(root):
    rows = [f"{path.relative_to(root).as_posix()},{path.parent.name}" for path in make_files(root)]
    (root / "metadata.csv").write_text("file_name,label\n" + "\n".join(rows))
    return from_table(root / "metadata.csv")


def jsonl_source(root):
    rows = [
        {"file_name": path.relative_to(root).as_posix(), "label": int(path.parent.name[-1])}
        for path in make_files(root)
    ]
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return from_table(root / "metadata.jsonl")


def parquet_source(root):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    files = [path.relative_to(root).as_posix() for path in make_files(root)]
    parquet.write_table(
        pyarrow.table({"path": files, "label": [0, 0, 0, 1, 1, 1]}), root / "t.parquet"
    )
    return from_table(root / "t.parquet")


def dataset_source(container):
    def make(root):
        pack(folder_source(root / "files"), root / f"x.{container}")
        return open_dataset(root / f"x.{container}", decode=False)

    return make


SOURCES = {
    "folder": folder_source,
    "paths": paths_source,
    "csv": csv_source,
    "jsonl": jsonl_source,
    "parquet": parquet_source,
    "tfrecord": dataset_source("tfrecord"),
    "hdf5": dataset_source("h5"),
    "tar": lambda root: open_dataset(tar_of_files(root), decode=False),
    "opened folder": lambda root: open_dataset(folder_of_files(root), decode=False),
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES.keys())
class TestSource:
    def test_gives_files_as_they_are(self, make, tmp_path):
        source = make(tmp_path)
        batch = source.read(np.arange(len(source)))
        files = [path.read_bytes() for path in sorted(tmp_path.rglob("*.png"))]
        assert [batch["image"].bytes(i) for i in range(len(source))] == files
        assert batch["label"].tolist() == [0, 0, 0, 1, 1, 1]

    def test_sizes_are_kept(self, make, tmp_path):
        source = make(tmp_path)
        assert source.sizes.dtype == np.int64
        assert (
            source.sizes.tolist() == source.read(np.arange(len(source)))["image"].lengths.tolist()
        )

    def test_random_access(self, make, tmp_path):
        source = make(tmp_path)
        whole = source.read(np.arange(len(source)))
        some = source.read(np.array([4, 0, 4]))
        assert [some["image"].bytes(i) for i in range(3)] == [
            whole["image"].bytes(i) for i in (4, 0, 4)
        ]
        assert some["label"].tolist() == [1, 0, 1]

    def test_batches_have_the_fields_of_the_schema(self, make, tmp_path):
        source = make(tmp_path)
        assert list(source.read(np.arange(2))) == [field.name for field in source.schema.fields]
        assert source.schema["image"].kind == "image"

    def test_keys_are_unique(self, make, tmp_path):
        keys = list(make(tmp_path).read(np.arange(6))["key"])
        assert len(set(keys)) == 6

    def test_packs(self, make, tmp_path):
        source = make(tmp_path)
        pack(source, tmp_path / "out.tfrecord")
        assert open_dataset(tmp_path / "out.tfrecord").columns["label"].tolist() == [
            0,
            0,
            0,
            1,
            1,
            1,
        ]


# Codecs


@pytest.mark.parametrize(
    ("format", "tolerance"), [("jpeg", 12), ("png", 0), ("webp", 16), ("bmp", 0), ("tiff", 0)]
)
class TestCodec:
    def decode(self, data, format, color="RGB", limits=DEFAULT_LIMITS):
        return codec_of(format).decode(data, headers.probe(data), PixelFormat(color), limits)

    @pytest.mark.parametrize("size", [(24, 32), (1, 1), (1, 17), (33, 1), (64, 48)])
    def test_round_trip(self, format, tolerance, size):
        pixels = make_image(1, *size)
        decoded = self.decode(encode(pixels, format, quality=98), format)
        assert decoded.dtype == np.uint8
        assert decoded.shape == pixels.shape
        assert np.abs(decoded.astype(int) - pixels).max() <= tolerance

    def test_header_says_what_is_inside(self, format, tolerance):
        info = headers.probe(encode(make_image(2, 21, 37), format, quality=90))
        assert headers.FORMATS[info["format"]] == format
        assert (info["width"], info["height"], info["orientation"]) == (37, 21, 1)

    def test_colors(self, format, tolerance):
        data = encode(make_image(3), format, quality=98)
        rgb, bgr, gray = (self.decode(data, format, color) for color in ("RGB", "BGR", "GRAY"))
        assert (rgb[..., ::-1] == bgr).all()
        assert gray.shape == (24, 32, 1)
        luma = rgb @ np.array([0.299, 0.587, 0.114])
        assert np.abs(luma - gray[..., 0]).max() <= tolerance + 2

    def test_damage_is_an_error(self, format, tolerance):
        data = encode(make_image(4, 64, 64), format, quality=90)
        with pytest.raises(FastpackError):
            self.decode(data[: len(data) // 2], format)

    def test_limit_on_pixels(self, format, tolerance):
        data = encode(make_image(5), format, quality=90)
        with pytest.raises(FastpackError, match="max_pixels"):
            self.decode(data, format, limits=Limits(max_pixels=24 * 32 - 1))
        self.decode(data, format, limits=Limits(max_pixels=24 * 32))


def test_no_blob_of_fastpack_needs_fetching(tmp_path):
    source = folder_source(tmp_path)
    for output in ("a.tfrecord", "a.h5"):
        pack(source, tmp_path / output)
        index = open_dataset(tmp_path / output).index
        assert (index.spans["image"]["offset"] != NO_SPAN).all()
