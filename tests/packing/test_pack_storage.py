"""Storage of a pack: filters and chunks of pixels, vlen rows, columns, appended shards."""

import contextlib
import errno
import os
import resource
import weakref
from dataclasses import replace

import h5py
import hdf5plugin  # noqa: F401 - makes its filters known to h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastpack
from fastpack import PackOptions, errors, pack
from fastpack._native.write_rows import write_rows
from fastpack.formats import registry
from fastpack.formats.hdf5 import file_object as hdf5_disk
from fastpack.formats.hdf5 import write_encoded as hdf5_encoded
from fastpack.formats.hdf5 import write_pixels as hdf5_pixels
from fastpack.formats.hdf5.vectors import Vector
from fastpack.formats.protocols import ShardPlan
from fastpack.formats.storage import COMPRESSIONS, Storage
from fastpack.sources import ImageFiles
from tests.support.extent import every
from tests.support.images import write_striped

NUM_IMAGES = 23


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_striped(tmp_path_factory.mktemp("photos"), NUM_IMAGES)


def source(photos):
    return ImageFiles(
        photos[0],
        np.arange(NUM_IMAGES) % 5,
        keys=[path.name for path in photos[0]],
        class_names=list("abcde"),
    )


STORAGES = [
    {},
    {"compression": "gzip"},
    {"compression": "gzip", "level": 9, "byte_shuffle": True},
    {"compression": "lz4", "fletcher32": True},
    {"compression": "zstd", "level": 19},
    {"compression": "blosc2"},
    {"compression": "blosc2", "level": 9, "byte_shuffle": True, "fletcher32": False},
    {"compression": "zstd", "byte_shuffle": True, "fletcher32": True},
    {"fletcher32": True},
]


@pytest.mark.parametrize("chunk", [None, 1, 4, 100])
@pytest.mark.parametrize("storage", STORAGES, ids=str)
class TestPixels:
    def test_h5py_reads_what_was_decoded(self, photos, tmp_path, storage, chunk):
        pack(
            source(photos), tmp_path / "x.h5", PackOptions(layout="pixels", chunk=chunk, **storage)
        )
        with h5py.File(tmp_path / "x.h5") as file:
            images = file["images"]
            assert (images[...] == photos[1]).all()
            assert images.chunks == (NUM_IMAGES if chunk in (None, 100) else chunk, 10, 12, 3)
            assert images.compression == (
                storage.get("compression") if storage.get("compression") == "gzip" else None
            )
            shuffles_inside = storage.get("compression") == "blosc2"
            assert images.shuffle == (storage.get("byte_shuffle", False) and not shuffles_inside)
            assert images.fletcher32 == storage.get("fletcher32", "compression" in storage)
            assert file["labels"][...].tolist() == [i % 5 for i in range(NUM_IMAGES)]

    def test_we_read_the_same(self, photos, tmp_path, storage, chunk):
        pack(
            source(photos), tmp_path / "x.h5", PackOptions(layout="pixels", chunk=chunk, **storage)
        )
        rows = [7, 0, 22, 7]
        batch = fastpack.open(tmp_path / "x.h5").read(rows)
        assert (batch["image"] == photos[1][rows]).all()
        assert list(batch["key"]) == [photos[0][row].name for row in rows]


LAYOUTS = [
    {"layout": "encoded"},
    {"layout": "vlen"},
    *({"layout": "pixels", "chunk": 2, **storage} for storage in STORAGES),
]


@pytest.mark.parametrize("options", LAYOUTS, ids=str)
def test_threads_memory_and_runs_change_no_byte(photos, tmp_path, options):
    for number, (num_workers, memory) in enumerate(
        [(1, None), (3, None), (2, 1), (5, "2kB"), (3, "1GB")]
    ):
        pack(
            source(photos),
            tmp_path / f"{number}.h5",
            PackOptions(num_workers=num_workers, memory=memory, **options),
        )
    assert len({(tmp_path / f"{number}.h5").read_bytes() for number in range(5)}) == 1


def test_tfrecord_does_not_depend_on_threads_or_memory(photos, tmp_path):
    for number, (num_workers, memory) in enumerate([(1, None), (3, 1), (5, "2kB")]):
        pack(
            source(photos),
            tmp_path / f"{number}.tfrecord",
            PackOptions(num_workers=num_workers, memory=memory),
        )
    assert len({(tmp_path / f"{number}.tfrecord").read_bytes() for number in range(3)}) == 1


@pytest.mark.parametrize("options", LAYOUTS, ids=str)
def test_a_flipped_bit_in_any_image_byte_is_found(photos, tmp_path, options):
    """In each chunk or file, also the first and last byte. Padding of the last chunk may change."""
    path = tmp_path / "x.h5"
    pack(source(photos), path, PackOptions(**options))
    assert fastpack.verify(path) == fastpack.integrity.VerifyResult(1, NUM_IMAGES, 0, ())
    images = stored_images(path)
    chance, data = np.random.default_rng(1), path.read_bytes()
    offsets = [
        first + at_byte
        for first, num_bytes in image_pieces(path, photos)
        for at_byte in (0, num_bytes - 1, *map(int, chance.integers(num_bytes, size=2)))
    ]
    for offset in every(5, offsets):  # 5: all four kinds of offsets, in turn
        damaged = bytearray(data)
        damaged[offset] ^= 1 << int(chance.integers(8))
        path.write_bytes(damaged)
        assert not fastpack.verify(path).is_sound or stored_images(path) == images, offset


def stored_images(path):
    images = fastpack.open(path, decode=False, save_index=False).read(range(NUM_IMAGES))["image"]
    return [np.asarray(image).tobytes() for image in images]


def image_pieces(path, photos):
    """Finds (offset, bytes) of the images' chunks or files with h5py or in the bytes."""
    with h5py.File(path) as file:
        if isinstance(file["images"], h5py.Dataset) and file["images"].chunks:
            chunks = map(
                file["images"].id.get_chunk_info, range(file["images"].id.get_num_chunks())
            )
            return [(chunk.byte_offset, chunk.size) for chunk in chunks]
    data, files = path.read_bytes(), [photo.read_bytes() for photo in photos[0]]
    return [(data.index(file), len(file)) for file in files]


def test_checksums_are_no_field(photos, tmp_path):
    pack(source(photos), tmp_path / "x.h5", PackOptions(layout="pixels"))
    assert [field.name for field in fastpack.open(tmp_path / "x.h5").schema.fields] == [
        "image",
        "label",
        "key",
    ]


@given(st.integers(1, 10**7), st.integers(1, 10**5), st.sampled_from(COMPRESSIONS))
def test_chunks_hold_whole_samples_and_waste_little(sample_bytes, num_samples, compression):
    chunk = Storage(compression).chunk_for(sample_bytes, num_samples)
    target = 2**20 if compression == "none" else 2**15
    assert 1 <= chunk <= num_samples
    assert chunk == 1 or chunk * sample_bytes <= target
    num_chunks = -(-num_samples // chunk)
    assert num_chunks * chunk - num_samples < num_chunks  # less than one empty place a chunk


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "rar"},
        {"compression": "gzip", "level": 10},
        {"compression": "lz4", "level": 1},
        {"level": 3},
        {"chunk": 0},
        {"chunk": 4},
    ],
    ids=str,
)
def test_storage_that_makes_no_sense(options, photos, tmp_path):
    with pytest.raises(errors.OptionError):
        pack(source(photos), tmp_path / "x.h5", PackOptions(**options))
    assert list(tmp_path.iterdir()) == []


class TestVlen:
    def test_h5py_reads_the_files(self, photos, tmp_path):
        pack(source(photos), tmp_path / "x.h5", PackOptions(layout="vlen"))
        with h5py.File(tmp_path / "x.h5") as file:
            assert [row.tobytes() for row in file["images"]] == [
                path.read_bytes() for path in photos[0]
            ]
            assert [name.decode() for name in file["class_names"]] == list("abcde")

    def test_we_read_the_files(self, photos, tmp_path):
        pack(source(photos), tmp_path / "x.h5", PackOptions(layout="vlen"))
        dataset = fastpack.open(tmp_path / "x.h5", decode=False)
        assert [sample["image"] for sample in dataset] == [path.read_bytes() for path in photos[0]]

    def test_it_is_for_files_as_they_are(self):
        with pytest.raises(errors.OptionError, match="vlen"):
            PackOptions(layout="vlen", size=5)


class TestColumns:
    def test_h5py_finds_them_beside_the_images(self, photos, tmp_path):
        pack(source(photos), tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5") as file:
            assert file["images/width"][...].tolist() == [12] * NUM_IMAGES
            assert file["images/height"][...].tolist() == [10] * NUM_IMAGES
            assert file["images/orientation"][...].tolist() == [1] * NUM_IMAGES

    def test_a_file_without_them_has_the_same_index(self, photos, tmp_path):
        pack(source(photos), tmp_path / "x.h5")
        with_facts = registry.named("hdf5").index(tmp_path / "x.h5").infos["image"]
        with h5py.File(tmp_path / "x.h5", "r+") as file:
            del file["images/width"]
        assert (
            registry.named("hdf5").index(tmp_path / "x.h5", check=False).infos["image"]
            == with_facts
        ).all()


class TestReadingBack:
    """A bad disk changes written bytes; here the writers' own calls do so, and verify finds it."""

    def refuses(self, photos, path, options):
        with pytest.raises(errors.CorruptRecordError, match=path.name):
            pack(source(photos), path, options)
        assert list(path.parent.iterdir()) == []

    def test_encoded(self, photos, tmp_path, monkeypatch):
        def write_flipped(descriptor, offset, values, offsets, crcs):
            return write_rows(
                descriptor, offset, np.append(values[:-1], values[-1] ^ 16), offsets, crcs
            )

        monkeypatch.setattr(hdf5_encoded, "write_rows", write_flipped)
        self.refuses(photos, tmp_path / "x.h5", PackOptions())

    @pytest.mark.parametrize("compression", ["none", "zstd"])
    def test_pixels(self, photos, tmp_path, monkeypatch, compression):
        monkeypatch.setattr(hdf5_pixels, "crc32c", lambda chunk: 1)
        self.refuses(
            photos,
            tmp_path / "x.h5",
            PackOptions(layout="pixels", compression=compression, chunk=5),
        )

    def test_tfrecord(self, photos, tmp_path):
        writer = registry.named("tfrecord").writer(
            tmp_path / "x", ShardPlan(source(photos).schema, NUM_IMAGES, 0)
        )
        writer.write(source(photos).read(np.arange(10)))
        batch = source(photos).read(np.arange(10, NUM_IMAGES))
        piece = writer.encode(batch)
        batch["image"].values[-1] ^= 1  # once its checksum is known
        with pytest.raises(errors.CorruptRecordError, match=f"record {NUM_IMAGES - 1}"):
            writer.append(piece)
        writer.abandon()

    def test_bytes_that_another_program_appends(self, photos, tmp_path):
        writer = registry.named("tfrecord").writer(
            tmp_path / "x", ShardPlan(source(photos).schema, NUM_IMAGES, 0)
        )
        writer.write(source(photos).read(np.arange(NUM_IMAGES)))
        with open(tmp_path / "x", "ab") as file:
            file.write(b"?")
        with pytest.raises(errors.CorruptRecordError, match="another program"):
            writer.close()
        writer.abandon()

    @pytest.mark.parametrize("name", ["offsets", "crc32c", "width", "labels"])
    def test_tables_that_say_something_else(self, photos, tmp_path, monkeypatch, name):
        write = Vector.write

        def write_other(vector, group):
            write(
                replace(vector, pieces=lambda: (piece + 1 for piece in vector.pieces()))
                if vector.name == name
                else vector,
                group,
            )

        monkeypatch.setattr(Vector, "write", write_other)
        self.refuses(photos, tmp_path / "x.h5", PackOptions())


@pytest.mark.parametrize("shard", [0, 1])
def test_a_full_disk_is_reported_with_the_shard_that_it_met(photos, tmp_path, monkeypatch, shard):
    files = []

    def open_file(path, *rest):
        files.append(path)
        return os.open(path, *rest)

    def fill(descriptor, *rows):
        with open("/dev/full", "r+b") as full:
            return write_rows(full.fileno() if len(files) > shard else descriptor, *rows)

    monkeypatch.setattr(
        hdf5_encoded, "os", type("Disk", (), {**vars(os), "open": staticmethod(open_file)})
    )
    monkeypatch.setattr(hdf5_encoded, "write_rows", fill)
    with pytest.raises(
        errors.UnreadableFileError, match=f"No space left.*x-0000{shard}-of-00002.h5"
    ) as caught:
        pack(source(photos), tmp_path / "x.h5", PackOptions(shards=2, num_workers=1))
    assert caught.value.errno == errno.ENOSPC
    # The shard before it is finished, and kept for a pack that resumes.
    assert [path.name for path in tmp_path.iterdir()] == [".x.h5.packing"] * shard


@contextlib.contextmanager
def largest_file(num_bytes):
    """Limits the size of files; the OS makes the first write beyond it a short one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.isolated
def test_a_write_that_is_refused_is_reported_and_leaves_nothing(photos, tmp_path):
    whole = pack(source(photos), tmp_path / "whole.tfrecord").output_bytes
    for part in [0.0, 0.1, 0.5, 0.99]:
        with (
            largest_file(int(whole * part)),
            pytest.raises(
                errors.UnreadableFileError, match=r"File too large.*x\.tfrecord"
            ) as caught,
        ):
            pack(source(photos), tmp_path / "x.tfrecord")
        assert caught.value.errno == errno.EFBIG
        assert [path.name for path in tmp_path.iterdir() if "x.tf" in path.name] == []


@pytest.mark.parametrize("layout", ["encoded", "vlen", "pixels"])
@pytest.mark.parametrize("call", range(6))
def test_the_hdf5_library_never_meets_a_full_disk(photos, tmp_path, monkeypatch, layout, call):
    """It would stay with a file half closed, and may forget the failure or crash."""
    left = iter(range(call))

    def fill(descriptor, data, offset):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.pwrite(descriptor, data, offset)

    monkeypatch.setattr(
        hdf5_disk, "os", type("Disk", (), {**vars(os), "pwrite": staticmethod(fill)})
    )
    with pytest.raises(errors.UnreadableFileError, match=r"No space left.*x\.h5") as caught:
        pack(source(photos), tmp_path / "x.h5", PackOptions(layout=layout))
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


class Watched:
    """A source that notes how many samples, and bytes of them, are asked for at once."""

    def __init__(self, source):
        self._source, self.schema, self.sizes, self.place = (
            source,
            source.schema,
            source.sizes,
            source.location,
        )
        self.counts, self.num_bytes = [], []

    def __len__(self):
        return len(self._source)

    def read(self, rows):
        self.counts.append(len(rows))
        self.num_bytes.append(int(self.sizes[rows].sum()))
        return self._source.read(rows)


@pytest.mark.parametrize("output", ["x.tfrecord", "x.h5"])
@pytest.mark.parametrize("num_workers", [1, 4])
def test_batches_fit_in_the_memory_that_is_given(photos, tmp_path, output, num_workers):
    watched = Watched(source(photos))
    most = 4 * int(watched.sizes.max())
    pack(watched, tmp_path / output, PackOptions(memory=3 * most, num_workers=num_workers))
    assert sum(watched.counts) == NUM_IMAGES
    assert max(watched.num_bytes) <= most
    assert max(watched.counts) > 1


def test_batches_of_pixels_are_whole_chunks(photos, tmp_path):
    watched = Watched(source(photos))
    sample_bytes = 10 * 12 * 3 + int(watched.sizes.max())
    pack(
        watched,
        tmp_path / "x.h5",
        PackOptions(layout="pixels", chunk=3, memory=3 * 7 * sample_bytes),
    )
    assert sorted(watched.counts[1:]) == [5, 6, 6, 6]  # the first was to know the size


@pytest.mark.parametrize("layout", ["encoded", "vlen"])
def test_columns_of_lists_are_kept(photos, tmp_path, layout):
    class WithLists(Watched):
        def __init__(self, source):
            super().__init__(source)
            self.schema = fastpack.core.Schema(
                (*source.schema.fields, fastpack.core.Field("boxes", "int", (None,), "int64"))
            )

        def read(self, rows):
            batch = super().read(rows)
            lists = fastpack.core.Ragged(np.arange(2 * len(rows)), np.arange(len(rows) + 1) * 2)
            return fastpack.Batch({**batch, "boxes": lists}, len(rows))

    pack(WithLists(source(photos)), tmp_path / "x.h5", PackOptions(layout=layout))
    boxes = fastpack.open(tmp_path / "x.h5", save_index=False).columns["boxes"]
    assert [len(row) for row in boxes] == [2] * len(photos[0])


@pytest.mark.parametrize(
    "name", ["a//b", "/x", "./x", "x/", "..", "labels", "class_names", "images/x", "a\0b", "\udcff"]
)
def test_names_that_hdf5_would_not_give_back_are_refused(photos, tmp_path, name):
    paths, _ = photos
    source = ImageFiles(paths, [0] * len(paths), columns={name: np.arange(len(paths))})
    with pytest.raises(errors.SchemaError, match="names"):
        pack(source, tmp_path / "x.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.tfrecord", "x.h5"])
def test_what_is_known_of_a_finished_shard_is_let_go_of(photos, tmp_path, monkeypatch, name):
    container = registry.of_suffix(tmp_path / name)
    writer_of, writers, alive = type(container).writer, [], []

    def noted_writer(*arguments):
        writer = writer_of(*arguments)
        writers.append(weakref.ref(writer))
        return writer

    def count(done, total, num_bytes):
        alive.append(sum(writer() is not None for writer in writers))

    monkeypatch.setattr(type(container), "writer", noted_writer)
    pack(source(photos), tmp_path / name, PackOptions(shards=8, num_workers=1), progress=count)
    assert len(writers) == 8
    assert max(alive) <= 3
