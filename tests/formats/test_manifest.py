"""Manifests: what is saved comes back, and wrong or hostile ones lead nowhere.

Opening does not use a manifest that is not right. A lie that only reading can find raises an error
that names the shard, and the next opening is right.
"""

import contextlib
import json
import os
import shutil
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastpack
from fastpack import PackOptions
from fastpack._native.crc32c import crc32c
from fastpack.errors import ChangedFileError, FastpackError, FormatError, MixedSetError
from fastpack.files.companions import index_path, manifest_path
from fastpack.files.publication import Publication
from fastpack.files.shard import Shard
from fastpack.files.table_file import TableFile, save_tables
from fastpack.files.table_layout import leaves_of
from fastpack.formats import saved_manifest
from fastpack.formats.discovery import find_shards
from fastpack.formats.index.index_file import IndexFile
from fastpack.formats.index_options import IndexOptions
from fastpack.formats.manifest import Manifest
from fastpack.formats.manifest_builder import ManifestBuilder
from fastpack.formats.saved_manifest import find_manifest
from fastpack.sources import ImageFiles
from tests.support.extent import every, num_examples
from tests.support.images import jpeg
from tests.support.samples import numbered_shard

NUM_SHARDS, NUM_SAMPLES = 5, 23
IMAGES = [jpeg(9 + i, 8, seed=i) for i in range(NUM_SAMPLES)]


def pack_set(folder, first=0, **options):
    """A set of shards. The label of a sample is its number, from `first` on."""
    images = folder / "images"
    images.mkdir(exist_ok=True)
    for number, data in enumerate(IMAGES):
        (images / f"{number:02}").write_bytes(data)
    paths = sorted(images.iterdir())
    source = ImageFiles(paths, range(first, first + len(paths)))
    options = {"shards": NUM_SHARDS, **options}
    path = folder / "data" / "x.tfrecord"
    path.parent.mkdir(exist_ok=True)
    fastpack.pack(source, path, PackOptions(**options), overwrite=True)
    shutil.rmtree(images)
    return path


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = pack_set(tmp_path_factory.mktemp("original"))
    fastpack.open(path)
    assert manifest_path(path).exists()
    return path


@pytest.fixture
def dataset(original, tmp_path):
    """The name of a set with a manifest, in a folder of its own."""
    shutil.copytree(original.parent, tmp_path / "data")
    path = tmp_path / "data" / original.name
    assert found(path) is not None
    return path


def found(path):
    return find_manifest(path, None, IndexOptions())


def labels_of(path, **options):
    reader = fastpack.open(path, decode=False, **options)
    return reader.read(np.arange(len(reader)))["label"].tolist()


def shards_of(path):
    return sorted(path.parent.glob("*-of-*.tfrecord"))


def is_right(path, first=0):
    return labels_of(path) == list(range(first, first + NUM_SAMPLES))


class Parts:
    """The parts of a manifest, to be forged."""

    def __init__(self, path):
        file = TableFile.open(path)
        self.path, self.about, self.own = path, dict(file.layout.about), json.loads(file.own)
        self.tables = {name: file.read(name) for name in file.layout.tables}

    @property
    def names(self):
        letters, places = self.tables["names/values"]["value"].tobytes(), self.tables["names"]
        pairs = zip(places["start"].tolist(), places["length"].tolist(), strict=True)
        return [letters[start : start + length].decode() for start, length in pairs]

    def name(self, names):
        """Set the names of the shards."""
        data = [os.fsencode(name) for name in names]
        lengths = np.array([len(each) for each in data], np.int64)
        self.tables["names"] = {"start": np.cumsum(lengths) - lengths, "length": lengths}
        self.tables["names/values"] = {"value": np.frombuffer(b"".join(data), np.uint8)}

    def rename(self, number, name):
        names = self.names
        names[number] = name
        self.name(names)

    def set(self, column, number, value):
        self.tables["shards"][column][number] = value

    def write(self):
        own = self.own if isinstance(self.own, str) else json.dumps(self.own)
        save_tables(self.path, self.tables, about=self.about, own=own)


def forge(path, change):
    parts = Parts(manifest_path(path))
    change(parts)
    parts.write()


def cut_table(parts, name, count):
    parts.tables[name] = {key: values[:count] for key, values in parts.tables[name].items()}


def double_table(parts, name):
    table = parts.tables[name]
    parts.tables[name] = {key: np.concatenate([values] * 2) for key, values in table.items()}


def drop(name):
    return lambda parts: parts.own.pop(name)


def own(**values):
    return lambda parts: parts.own.update(values)


def of_column(column, value, number=2):
    return lambda parts: parts.set(column, number, value)


def of_name(name):
    return lambda parts: parts.rename(2, name)


def widened(parts):
    shards = parts.tables["shards"]
    shards["num_samples"] = shards["num_samples"].astype(np.float64)


SEEN_AT_ONCE = {
    "above": of_name("../x"),
    "absolute": of_name("/etc/passwd"),
    "nul": of_name("x\0y"),
    "empty name": of_name(""),
    "dot": of_name("."),
    "dots": of_name(".."),
    "inner": of_name("inner/x-00002-of-00005.tfrecord"),
    "lost": of_name("x-00007-of-00005.tfrecord"),
    "index": of_name("x-00002-of-00005.tfrecord.fpindex"),
    "twice": of_name("x-00001-of-00005.tfrecord"),
    "longest": of_name("x" * 5000),
    "name past the end": lambda parts: parts.tables["names"]["length"].__setitem__(4, 2**40),
    "name before the start": lambda parts: parts.tables["names"]["start"].__setitem__(0, -9),
    "name that overflows": lambda parts: parts.tables["names"].update(
        start=np.full(NUM_SHARDS, 2**62), length=np.full(NUM_SHARDS, 2**62)
    ),
    "2**60 samples": of_column("num_samples", 2**60),
    "2**63 - 1 samples": of_column("num_samples", 2**63 - 1),
    "overflow": lambda parts: parts.tables["shards"]["num_samples"].fill(2**61),
    "negative samples": of_column("num_samples", -1),
    "negative size": of_column("size", -1),
    "negative index": of_column("index_bytes", -1),
    "another size": of_column("size", 7),
    "another time": of_column("mtime_ns", 7),
    "schema": of_column("schema", 1),
    "container": of_column("container", 200),
    "float counts": widened,
    "containers": own(containers=["evil"]),
    "no containers": own(containers=[]),
    "schemas": own(schemas=[]),
    "no schema": own(schemas=[{}]),
    "schema of text": own(schemas=["x"]),
    "notes": own(notes=7),
    "summary": own(summary={}),
    "summary of others": own(summary={"blobs": {}, "ranges": {}, "empty_texts": []}),
    "summary of text": own(summary="x"),
    "digest": own(names="00000000"),
    **{f"without {name}": drop(name) for name in ("schemas", "containers", "summary", "names")},
    "no object": lambda parts: setattr(parts, "own", []),
    "no json": lambda parts: setattr(parts, "own", "{"),
    "deep": lambda parts: setattr(parts, "own", "[" * 100_000),
    "large number": lambda parts: setattr(parts, "own", '{"containers": ' + "9" * 10_000 + "}"),
    "version": lambda parts: parts.about.update(manifest=99),
    "about": lambda parts: setattr(parts, "about", None),
    "fewer rows": lambda parts: cut_table(parts, "shards", 4),
    "no rows": lambda parts: cut_table(parts, "shards", 0),
    "fewer names": lambda parts: cut_table(parts, "names", 4),
    "more rows": lambda parts: double_table(parts, "shards"),
    "no table": lambda parts: parts.tables.pop("shards"),
    "no names": lambda parts: parts.tables.pop("names"),
    "no letters": lambda parts: parts.tables.pop("names/values"),
    "fewer shards": lambda parts: (
        cut_table(parts, "shards", 4),
        parts.name(parts.names[:4]),
    ),
    "more shards": lambda parts: (double_table(parts, "shards"), parts.name(parts.names * 2)),
}


@pytest.mark.parametrize("change", SEEN_AT_ONCE)
def test_a_forged_manifest_is_not_used(dataset, change):
    forge(dataset, SEEN_AT_ONCE[change])
    assert found(dataset) is None
    assert is_right(dataset)
    assert found(dataset) is not None  # opening made it again
    assert is_right(dataset)


@pytest.mark.parametrize("table", ["shards", "names", "names/values"])
def test_claimed_rows_without_bytes_take_no_memory(dataset, table):
    forge(dataset, lambda parts: [values.fill(0) for values in parts.tables[table].values()])
    path = manifest_path(dataset)
    layout = TableFile.open(path).layout
    before = [
        2 + 4 * len(leaves_of(columns.values()))
        for columns in list(layout.tables.values())[: layout.numbers[table]]
    ]
    data = bytearray(path.read_bytes())
    num_bytes, num_words = struct.unpack_from("<I", data, 12)[0], struct.unpack_from("<I", data, 32)
    struct.pack_into("<Q", data, num_bytes - 8 * (num_words[0] - sum(before)), 2**40)
    struct.pack_into("<I", data, 8, crc32c(bytes(data[12:num_bytes])))
    path.write_bytes(data)
    assert found(dataset) is None
    assert is_right(dataset)


def another_schema(parts):
    schema = json.loads(parts.own["schemas"][0])
    parts.own["schemas"][0] = json.dumps({**schema, "class_names": ["a", "b"]})


SEEN_LATER = {
    "more samples": of_column("num_samples", 900),
    "fewer samples": of_column("num_samples", 1),
    "no samples": of_column("num_samples", 0),
    "2**40 samples": of_column("num_samples", 2**40),
    "fingerprint": of_column("fingerprint", 7),
    "files": of_column("num_files", 2),
    "no files": of_column("num_files", 0),
    "format": lambda parts: (
        parts.own["containers"].append("hdf5"),
        parts.set("container", 2, 1),
    ),
    "fields": another_schema,
    "swapped": lambda parts: parts.name([parts.names[number] for number in (0, 2, 1, 3, 4)]),
}


@pytest.mark.parametrize("change", SEEN_LATER)
def test_a_lie_about_a_shard_is_an_error_that_names_it(dataset, change):
    forge(dataset, SEEN_LATER[change])
    if found(dataset) is None:  # sizes show it
        assert is_right(dataset)
        return
    reader = fastpack.open(dataset, decode=False)
    if change == "no samples":  # so no sample of the shard is asked for
        assert set(labels_of(dataset)) < set(range(NUM_SAMPLES))
        manifest_path(dataset).unlink()
    else:
        with pytest.raises(FastpackError, match="-of-00005.tfrecord"):
            for first in range(0, 1000, 3):
                reader.read(np.arange(first, min(first + 3, len(reader))))
        assert found(dataset) is None
    assert is_right(dataset)


def test_nothing_is_removed_without_save_index(dataset):
    forge(dataset, SEEN_LATER["more samples"])
    with pytest.raises(ChangedFileError, match="manifest"):
        labels_of(dataset, save_index=False)
    assert manifest_path(dataset).exists()


@pytest.mark.parametrize("kind", ["text", "empty", "pipe", "folder", "link", "dangling link"])
def test_the_name_is_taken_by_something_else(dataset, tmp_path, kind):
    path, other = manifest_path(dataset), tmp_path / "other"
    path.unlink()
    if kind in ("text", "empty"):
        path.write_text("another program's" if kind == "text" else "")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(other)
    if kind == "link":
        other.write_text("another program's")
    before = os.lstat(path)
    assert is_right(dataset)
    assert os.lstat(path).st_ino == before.st_ino
    if kind == "text":
        assert path.read_text() == "another program's"
    assert not other.exists() or other.read_text() == "another program's"


def test_a_pack_leaves_files_of_other_programs(dataset, tmp_path):
    path = manifest_path(dataset)
    path.write_text("another program's")
    pack_set(tmp_path, 100)
    assert path.read_text() == "another program's"
    assert is_right(dataset, 100)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.999])
def test_truncated(dataset, share):
    path = manifest_path(dataset)
    os.truncate(path, int(path.stat().st_size * share))
    assert found(dataset) is None
    assert is_right(dataset)


def test_flips_are_noticed_or_harmless(dataset):
    path = manifest_path(dataset)
    whole, wanted = path.read_bytes(), facts_of(found(dataset))
    for number in every(9, range(0, 8 * len(whole), 11)):
        data = bytearray(whole)
        data[number // 8] ^= 1 << number % 8
        path.write_bytes(data)
        manifest = found(dataset)
        assert manifest is None or facts_of(manifest) == wanted
    assert is_right(dataset)


def facts_of(manifest):
    """All that a manifest says."""
    entries = [manifest.entries[number] for number in range(len(manifest))]
    facts = manifest.schemas, manifest.summary, manifest.notes, manifest.digest
    return entries, manifest.firsts.tolist(), *facts


# Shards that come, go and change


def pack_shard(folder, count, first):
    folder.mkdir()
    paths = [folder / f"{number}" for number in range(count)]
    for path, data in zip(paths, IMAGES, strict=False):
        path.write_bytes(data)
    source = ImageFiles(paths, range(first, first + count))
    return fastpack.pack(source, folder / "y.tfrecord").paths[0]


def append(dataset, tmp_path):
    more = pack_shard(tmp_path / "more", 2, 700)
    os.replace(more, dataset.with_name("x-00005-of-00006.tfrecord"))
    return [*range(NUM_SAMPLES), 700, 701]


def remove_last(dataset, tmp_path):
    last = shards_of(dataset)[-1]
    num_left = len(fastpack.open(shards_of(dataset)[:-1]))
    last.unlink()
    index_path(last).unlink()
    return list(range(num_left))


def swap(dataset, tmp_path):
    first, second = shards_of(dataset)[:2]
    counts = [len(fastpack.open(path)) for path in (first, second)]
    os.rename(first, tmp_path / "kept")
    os.rename(second, first)
    os.rename(tmp_path / "kept", second)
    numbers = list(range(NUM_SAMPLES))
    end = sum(counts)
    return numbers[counts[0] : end] + numbers[: counts[0]] + numbers[end:]


def replace_one(dataset, tmp_path):
    path = shards_of(dataset)[2]
    before = len(fastpack.open(shards_of(dataset)[:2]))
    count = len(fastpack.open(path))
    os.replace(pack_shard(tmp_path / "other", count, 500), path)
    numbers = list(range(NUM_SAMPLES))
    numbers[before : before + count] = range(500, 500 + count)
    return numbers


CHANGES = [append, remove_last, swap, replace_one]


@pytest.mark.parametrize("change", CHANGES)
def test_a_stale_manifest_is_not_used(dataset, tmp_path, change):
    if change is remove_last:
        with pytest.raises(FastpackError, match="missing|of 5"):
            change(dataset, tmp_path)
            labels_of(dataset)
        return
    wanted = change(dataset, tmp_path)
    assert labels_of(dataset.parent) == wanted


def test_a_changed_shard_among_many_is_named_once(dataset, tmp_path, monkeypatch):
    """Of many shards opening compares some; reading compares each."""
    monkeypatch.setattr(saved_manifest, "_COMPARED_SHARDS", 2)
    wanted = replace_one(dataset, tmp_path)
    assert found(dataset) is not None
    with pytest.raises(ChangedFileError, match="x-00002-of-00005.tfrecord"):
        labels_of(dataset)
    assert labels_of(dataset) == wanted


# Packs


class Killed(Exception):
    pass


def calls_until(monkeypatch, count):
    """Let the calls that change names fail from number `count` on, as after a kill."""
    left = [count]

    def counted(function):
        def call(*args, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return function(*args, **options)

        return call

    monkeypatch.setattr(os, "replace", counted(os.replace))
    monkeypatch.setattr(Path, "unlink", counted(Path.unlink))


@pytest.mark.parametrize("append", [False, True])
def test_a_pack_killed_at_any_point_leaves_no_manifest_of_other_shards(
    dataset, tmp_path, monkeypatch, append
):
    """As the steps of a publication are repeated, each ends before any other shard appears."""
    pristine = tmp_path / "pristine"
    shutil.copytree(dataset.parent, pristine)
    manifest = manifest_path(dataset)
    old = manifest.read_bytes()
    names = sorted(path.name for path in shards_of(dataset))
    complete = Publication.complete
    num_left = 0
    for count in range(60):
        shutil.rmtree(dataset.parent)
        shutil.copytree(pristine, dataset.parent)

        def interrupted(publication, *, sync, count=count):
            with monkeypatch.context() as patch:
                calls_until(patch, count)
                complete(publication, sync=sync)

        with monkeypatch.context() as patch:
            patch.setattr(Publication, "complete", interrupted)
            try:
                pack_more(tmp_path, append)
                was_killed = False
            except Killed:
                was_killed = True
        is_old = manifest.exists() and manifest.read_bytes() == old
        now = sorted(path.name for path in shards_of(dataset))
        if is_old:
            num_left += 1
            assert now == names
            assert all(
                path.read_bytes() == (pristine / path.name).read_bytes()
                for path in shards_of(dataset)
            )
        if not was_killed:
            break
        with contextlib.suppress(MixedSetError):
            assert is_right(dataset)  # an append, and no new shard is there yet
            assert append
        assert not manifest.exists() or is_old
    assert not was_killed
    assert num_left == 1  # killed before the first step
    wanted = [*range(NUM_SAMPLES), *range(100, 100 + NUM_SAMPLES)] if append else None
    assert labels_of(dataset) == (wanted or [*range(100, 100 + NUM_SAMPLES)])


def pack_more(folder, append):
    if append:
        images = folder / "images"
        images.mkdir(exist_ok=True)
        for number, data in enumerate(IMAGES):
            (images / f"{number:02}").write_bytes(data)
        source = ImageFiles(sorted(images.iterdir()), range(100, 100 + NUM_SAMPLES))
        path = folder / "data" / "x.tfrecord"
        fastpack.pack(source, path, PackOptions(shards=2), append=True)
    else:
        pack_set(folder, 100)


# Other files


@pytest.mark.isolated
@pytest.mark.parametrize("name", ["../trap.tfrecord", "link.tfrecord", "/TRAP"])
def test_no_other_file_is_opened(dataset, tmp_path, name):
    """Neither a manifest nor an index that came with a dataset leads out of its folder."""
    trap = tmp_path / "trap.tfrecord"
    numbered_shard(trap, IMAGES, 7000)
    fastpack.open(trap)
    name = str(trap) if name == "/TRAP" else name
    if name.startswith("link"):
        (dataset.parent / name).symlink_to(trap)
    foreign = Shard.of(trap, "tfrecord")
    path = index_path(shards_of(dataset)[1])
    parts = Parts(path)
    first = parts.own["shards"][0]
    parts.own["shards"] = [first, [name, *foreign.to_json(trap.parent)[1:]]]
    samples = parts.tables["samples"]
    samples["shard_numbers"] = np.ones_like(samples["shard_numbers"])
    parts.write()
    index = TableFile.open(path)
    forge(
        dataset,
        lambda parts: (
            parts.set("num_files", 1, 2),
            parts.set("index_checksum", 1, index.checksum),
            parts.set("index_bytes", 1, index.num_bytes),
        ),
    )
    assert found(dataset) is not None
    before, opened = trap.stat(), []
    sys.addaudithook(
        lambda event, args: opened.append(args[0]) if event in ("open", "os.open") else None
    )
    with pytest.raises(ChangedFileError, match="x-00001-of-00005.tfrecord"):
        labels_of(dataset)
    assert is_right(dataset)
    inside = [os.fsdecode(each) for each in opened if isinstance(each, str | bytes | os.PathLike)]
    assert not [each for each in inside if os.path.basename(each) in (trap.name, name)]
    assert not [link for link in open_files() if link.startswith(str(trap))]
    assert trap.stat() == before


def open_files():
    found = []
    for number in os.listdir("/proc/self/fd"):
        if os.path.exists(f"/proc/self/fd/{number}"):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return found


# Save and load

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40
).filter(lambda name: name not in (".", ".."))
SIZES = st.integers(0, 2**62)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Indexes with different fields and numbers of samples."""
    folder = tmp_path_factory.mktemp("pool")
    paths = [numbered_shard(folder / f"{count}.tfrecord", IMAGES[:count]) for count in (1, 2, 9)]
    packed = shards_of(pack_set(folder))
    return [fastpack.open(path, save_index=False).index for path in [*paths, packed[0]]]


@given(st.data())
@settings(max_examples=num_examples(200))
def test_what_is_saved_is_loaded(pool, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "saved"
    folder.mkdir(exist_ok=True)
    names = data.draw(st.lists(NAMES, min_size=1, max_size=12, unique=True))
    files = []
    for name in names:
        index = data.draw(st.sampled_from(pool))
        container = data.draw(st.sampled_from(["tfrecord", "hdf5", "tar"]))
        identity = data.draw(
            st.tuples(SIZES, st.integers(-(2**62), 2**62), st.integers(0, 2**32 - 1))
        )
        notes = tuple(data.draw(st.lists(st.text(max_size=9), max_size=2)))
        shard = Shard(folder / name, container, *identity)
        files.append(IndexFile.of(replace(index, shards=(shard,), notes=notes)))
    builder = ManifestBuilder([file.shards[0].path for file in files])
    for number, file in enumerate(files):
        builder.add(number, file)
    manifest = builder.manifest()
    path = folder / "x.manifest"
    manifest.save(path, "01234567")
    loaded, digest = Manifest.load(path, folder, len(names))
    assert digest == "01234567"
    assert loaded.entries.names() == names
    assert facts_of(loaded) == facts_of(manifest)
    assert loaded.containers == manifest.containers
    assert (loaded.num_bytes, loaded.index_bytes) == (manifest.num_bytes, manifest.index_bytes)
    with pytest.raises(FormatError, match="more or fewer shards"):
        Manifest.load(path, folder, len(names) + 1)


def test_a_list_is_a_set_if_it_has_all_files_in_order(tmp_path):
    path = pack_set(tmp_path)
    files = find_shards(path)
    options = IndexOptions()
    assert find_manifest([path], None, options) is not None
    assert find_manifest([str(path)], None, options) is not None
    assert find_manifest(files, None, options) is not None
    for other in (files[::-1], files[:-1], [*files, files[0]], [path, path], []):
        assert find_manifest(other, None, options) is None
    backwards = fastpack.open(files[::-1])
    assert backwards.columns["label"][0] == fastpack.open(files[-1]).columns["label"][0]


@pytest.mark.parametrize("folder", ["missing", "a-file", "nul\0"])
def test_lists_of_shards_in_folders_that_cannot_be_listed(tmp_path, folder):
    (tmp_path / "a-file").write_bytes(b"")
    shards = [str(tmp_path / folder / f"x-0000{number}-of-00002.tfrecord") for number in range(2)]
    with pytest.raises(FastpackError):
        fastpack.open(shards)


def test_opening_one_shard_lists_no_folder(tmp_path, monkeypatch):
    path = pack_set(tmp_path)
    shard = find_shards(path)[0]
    monkeypatch.setattr(saved_manifest, "_listed", lambda folder: pytest.fail(str(folder)))
    assert len(fastpack.open(shard)) == NUM_SAMPLES // NUM_SHARDS
