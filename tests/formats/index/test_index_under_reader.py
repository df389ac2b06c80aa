"""Indexes that are damaged, replaced or lost under an open Reader: every batch is right.

A shard keeps its bytes here, so its index can always be built again. tests/reading has shards that
change.
"""

import contextlib
import os
import pickle
import shutil
import threading
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

import fastpack
from fastpack import PackOptions
from fastpack.errors import ChangedFileError, FastpackError, FormatError
from fastpack.files.companions import index_path, manifest_path
from fastpack.formats import shard_indexes
from fastpack.formats.index import index_file
from fastpack.formats.index.index_file import IndexFile
from fastpack.sources import ImageFiles
from tests.support.disk_damage import DAMAGERS
from tests.support.extent import num_examples
from tests.support.images import jpeg, photo
from tests.support.tars import write_tar

NUM_SAMPLES = 700
NUM_SHARDS = 5
NUM_TRIALS = 1000
FIRST_TRIALS = 120  # without --all: some of each kind
KINDS = ("one", "several", "spans", "chunks", "tar")


def make_one(folder, name="x.tfrecord", first=0, **options):
    """Encoded images with keys, in one TFRecord or several."""
    paths = []
    for number in range(7):
        paths.append(folder / f"{number}.jpg")
        paths[-1].write_bytes(jpeg(9 + number, 8, seed=number))
    source = ImageFiles(
        [paths[i % 7] for i in range(NUM_SAMPLES)],
        range(first, first + NUM_SAMPLES),
        keys=[f"key{i % 11 * 'x'}{i}" for i in range(NUM_SAMPLES)],
    )
    fastpack.pack(source, folder / name, PackOptions(**options))
    for path in paths:
        path.unlink()
    return folder / name


def make_several(folder):
    path = make_one(folder, shards=NUM_SHARDS)
    fastpack.open(path)
    assert manifest_path(path).exists()
    return path


def make_hdf5(folder, **layout):
    pixels = np.stack([photo(4, 6, seed=i) for i in range(50)])[np.arange(NUM_SAMPLES) % 50]
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("images", data=pixels, **layout)
        file["labels"] = np.arange(NUM_SAMPLES)
    return folder / "x.h5"


def make_tar(folder):
    members = [(f"{i:04}.jpg", jpeg(9 + i % 7, 8, seed=i % 7)) for i in range(NUM_SAMPLES)]
    return write_tar(folder / "x.tar", members)


MAKERS = {
    "one": make_one,
    "several": make_several,
    "spans": make_hdf5,
    "chunks": lambda folder: make_hdf5(folder, compression="gzip", chunks=(3, 4, 6, 3)),
    "tar": make_tar,
}


class Dataset:
    """A dataset with saved indexes, what its samples are, and a whole copy of its indexes.

    Args:
        folder: of the files.
        kind: of MAKERS.
        index_dir: of the indexes; None for those beside the shards.
    """

    def __init__(self, folder: Path, kind: str, index_dir: Path | None = None) -> None:
        folder.mkdir()
        self.path, self.index_dir = MAKERS[kind](folder), index_dir
        reader = self.open()
        self.samples = values(reader, np.arange(len(reader)))
        self.shards = [shard.path for shard in reader.shards]
        self.indexes = [index_path(shard, index_dir) for shard in self.shards]
        derived = [*self.indexes, manifest_path(self.path, index_dir)]
        self._derived = {path: path.read_bytes() for path in derived if path.exists()}

    def open(self, **options):
        return fastpack.open(self.path, decode=False, index_dir=self.index_dir, **options)

    def restore(self) -> None:
        """Replace all derived files by whole ones."""
        for path, data in self._derived.items():
            remove(path)
            path.write_bytes(data)

    def assert_read(self, reader, random) -> None:
        """Assert that a random batch is right."""
        size = int(random.integers(1, 30))
        rows = random.integers(len(self.samples), size=size)
        if random.integers(3) == 0:
            rows = np.arange(size) + random.integers(len(self.samples) - size)
        assert values(reader, rows) == [self.samples[row] for row in rows]


def values(reader, rows):
    """The fields of some samples as bytes and numbers."""
    batch = reader.read(rows)
    columns = [batch[field.name] for field in reader.schema.fields]
    return [tuple(plain(column[i]) for column in columns) for i in range(len(rows))]


def plain(value):
    return value.tobytes() if isinstance(value, np.ndarray | np.generic) else value


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# Damage. Each takes the path of an index, other indexes, and a random number generator.


def overwrite(path, data):
    """In place, as an editor or rsync --inplace does: the file keeps its inode."""
    with contextlib.suppress(IsADirectoryError), open(path, "r+b") as file:
        file.write(data)
        file.truncate()


def replace(path, data):
    remove(path)
    made = path.with_name("made")
    made.write_bytes(data)
    os.replace(made, path)


def truncate(path, others, random):
    os.truncate(path, int(random.integers(path.stat().st_size)))


def empty(path, others, random):
    os.truncate(path, 0)


def lengthen(path, others, random):
    with open(path, "ab") as file:
        file.write(random.bytes(int(random.integers(1, 9000))))


def flip_in_place(path, others, random):
    data = path.read_bytes()
    for _ in range(random.integers(1, 9)):
        data = DAMAGERS["flip"](data, random)
    overwrite(path, data)


def overwrite_page_in_place(path, others, random):
    overwrite(path, DAMAGERS["page"](path.read_bytes(), random))


def overwrite_by_noise(path, others, random):
    overwrite(path, random.bytes(path.stat().st_size))


def overwrite_by_another(path, others, random):
    overwrite(path, others[random.integers(len(others))])


def overwrite_pages_by_another(path, others, random):
    """The header stays; the pages are those of another index, each with a right checksum."""
    mine, other = path.read_bytes(), others[random.integers(len(others))]
    overwrite(path, mine[:4096] + other[4096:])


def replace_by_the_same(path, others, random):
    replace(path, path.read_bytes())


def replace_by_another(path, others, random):
    replace(path, others[random.integers(len(others))])


def replace_by_noise(path, others, random):
    replace(path, random.bytes(int(random.integers(9000))))


def replace_by_half(path, others, random):
    data = path.read_bytes()
    replace(path, DAMAGERS["cut"](data, random))


def replace_by_flipped(path, others, random):
    replace(path, DAMAGERS["flip"](path.read_bytes(), random))


def replace_by_folder(path, others, random):
    path.unlink()
    path.mkdir()


def replace_by_pipe(path, others, random):
    path.unlink()
    os.mkfifo(path)


def lose(path, others, random):
    path.unlink()


DAMAGES = (
    truncate,
    empty,
    lengthen,
    flip_in_place,
    overwrite_page_in_place,
    overwrite_by_noise,
    overwrite_by_another,
    overwrite_pages_by_another,
    replace_by_the_same,
    replace_by_another,
    replace_by_noise,
    replace_by_half,
    replace_by_flipped,
    replace_by_folder,
    replace_by_pipe,
    lose,
)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Two of each kind, beside the shards and in a folder of indexes."""
    folder = tmp_path_factory.mktemp("sets")
    found = [Dataset(folder / kind, kind) for kind in KINDS]
    return found + [Dataset(folder / f"dir-{kind}", kind, folder / "indexes") for kind in KINDS]


@pytest.fixture(scope="module")
def others(datasets, tmp_path_factory):
    """Whole indexes of other files, and of the same fields with other labels."""
    other = make_one(tmp_path_factory.mktemp("other"), first=5000)
    paths = [path for dataset in datasets for path in dataset.indexes]
    return [path.read_bytes() for path in (*paths, index_path(other))]


@pytest.mark.isolated
def test_damage_at_any_time_gives_the_right_batches(datasets, others, monkeypatch):
    count = NUM_TRIALS if num_examples(NUM_TRIALS) == NUM_TRIALS else FIRST_TRIALS
    done = Counter()
    for trial in range(count):
        random = np.random.default_rng([17, trial])
        dataset = datasets[trial % len(datasets)]
        damage = DAMAGES[trial // len(datasets) % len(DAMAGES)]
        dataset.restore()
        monkeypatch.setattr(shard_indexes, "_KEPT_BYTES", int(random.choice([0, 2**24])))
        reader = dataset.open(save_index=bool(random.integers(4)))
        for _ in range(random.integers(3)):
            dataset.assert_read(reader, random)
        for _ in range(random.integers(1, 3)):
            path = dataset.indexes[random.integers(len(dataset.indexes))]
            if path.is_file():
                damage(path, others, random)
            if random.integers(4) == 0:
                reader = pickle.loads(pickle.dumps(reader))
            for _ in range(2):
                dataset.assert_read(reader, random)
        dataset.assert_read(dataset.open(), random)  # the next program
        done[damage.__name__] += 1
    assert sum(done.values()) == count
    for dataset in datasets:
        dataset.restore()


@pytest.mark.isolated
@pytest.mark.parametrize("damage", [truncate, flip_in_place, overwrite_by_noise, lose])
def test_damaged_scratch_files(datasets, others, damage, monkeypatch, tmp_path):
    """Indexes that are not saved, too large for memory here."""
    monkeypatch.setattr(index_file, "HELD_BYTES", 0)
    for number, dataset in enumerate(datasets[: len(KINDS)]):
        random = np.random.default_rng([18, number])
        for path in (*dataset.indexes, manifest_path(dataset.path)):
            remove(path)
        reader = dataset.open(save_index=False)
        dataset.assert_read(reader, random)
        held = [file.held.path for file in reader._samples.table._indexes.held.values()]
        assert held
        for path in held:
            damage(path, others, random)
        for _ in range(3):
            dataset.assert_read(reader, random)
        dataset.restore()


def test_a_damaged_index_is_saved_again(datasets):
    for dataset in datasets:
        reader = dataset.open()
        for path in dataset.indexes:
            overwrite(path, path.read_bytes()[:4096] + bytes(5000))
        assert values(reader, np.arange(len(reader))) == dataset.samples
        saved = [
            IndexFile.open(*each) for each in zip(dataset.indexes, dataset.shards, strict=True)
        ]
        assert sum(len(file.load()) for file in saved) == NUM_SAMPLES
        dataset.restore()


@pytest.mark.isolated
def test_threads_read_while_indexes_are_damaged(datasets, others, monkeypatch):
    monkeypatch.setattr(shard_indexes, "_KEPT_BYTES", 0)
    dataset = datasets[KINDS.index("several")]
    reader, stop, wrong = dataset.open(), threading.Event(), []

    def read(seed):
        random = np.random.default_rng(seed)
        while not stop.is_set():
            try:
                dataset.assert_read(reader, random)
            except FormatError as error:  # it was damaged again before it was read
                if "delete it, and it is built again - at" not in str(error):
                    wrong.append(error)
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    random = np.random.default_rng(0)
    for number in range(num_examples(200)):
        path = dataset.indexes[number % NUM_SHARDS]
        if not path.is_file():
            remove(path)
            path.write_bytes(others[0])
        with contextlib.suppress(OSError, ValueError):  # a reader saves it again meanwhile
            DAMAGES[number % len(DAMAGES)](path, others, random)
        stop.wait(0.005)
    stop.set()
    for thread in threads:
        thread.join()
    dataset.restore()
    assert not wrong


# Shards that changed


def test_a_changed_shard_is_named_when_it_is_first_read(tmp_path):
    dataset = Dataset(tmp_path / "set", "several")
    reader = dataset.open()
    changed = dataset.shards[2]
    os.utime(changed, ns=(0, 0))
    first = reader._samples.table.manifest.firsts
    untouched = np.arange(first[2])
    assert values(reader, untouched) == dataset.samples[: first[2]]
    with pytest.raises(ChangedFileError, match=changed.name):
        reader.read([int(first[2])])


def test_a_lost_shard_is_named_when_it_is_first_read(tmp_path):
    dataset = Dataset(tmp_path / "set", "several")
    reader = dataset.open()
    dataset.shards[3].unlink()
    with pytest.raises(FastpackError, match=dataset.shards[3].name):
        reader.read(np.arange(len(reader)))


def test_a_changed_shard_and_its_damaged_index(tmp_path):
    dataset = Dataset(tmp_path / "set", "several")
    reader = dataset.open()
    reader.read([0])
    overwrite(dataset.indexes[0], b"")
    os.utime(dataset.shards[0], ns=(0, 0))
    with pytest.raises(ChangedFileError, match=dataset.shards[0].name):
        for row in range(NUM_SAMPLES):
            reader.read([row])
