"""A folder of images, opened where it is."""

import os
import pickle

import numpy as np
import pytest

import fastpack
from fastpack.errors import EmptySourceError, FastpackError, FormatError, OptionError, SourceError
from fastpack.files.companions import index_path
from fastpack.formats import registry
from fastpack.formats.file_index import FileIndex
from fastpack.formats.index.index_file import load_index
from fastpack.formats.index.stored_rows import to_tables
from fastpack.sources import from_folder as folder_source
from tests.support.command_line import run
from tests.support.images import jpeg, photo, read_pillow, save
from tests.support.saved_tables import SavedTables

FILES = {
    "cat/1.jpg": jpeg(24, 20, seed=1),
    "cat/deep/2.JPEG": jpeg(30, 22, seed=2),
    "dog/1.png": save(photo(8, 9, seed=3), "PNG"),
    "owl/Löwe.webp": save(photo(10, 12, seed=4), "WEBP"),
}


@pytest.fixture
def root(tmp_path):
    for name, data in FILES.items():
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(data)
    return tmp_path / "images"


def test_equals_the_source(root):
    dataset = fastpack.open(root, decode=False)
    source = folder_source(root)
    mine, theirs = dataset.read(np.arange(4)), source.read(np.arange(4))
    assert list(mine["key"]) == list(theirs["key"]) == sorted(FILES)
    assert mine["label"].tolist() == theirs["label"].tolist() == [0, 0, 1, 2]
    assert dataset.class_names == source.schema.class_names == ("cat", "dog", "owl")
    assert [mine["image"].bytes(i) for i in range(4)] == [FILES[key] for key in mine["key"]]


def test_decodes_in_any_order(root):
    dataset = fastpack.open(root)
    rows = [3, 1, 1, 0]
    images = dataset.read(rows)["image"]
    for row, image in zip(rows[1:], images[1:], strict=True):
        assert np.array_equal(image, read_pillow(FILES[sorted(FILES)[row]]))
    assert images[0].shape == (10, 12, 3)
    assert dataset.columns["width"].tolist() == [20, 22, 9, 12]


def test_files_are_found_without_their_keys(root):
    """And by a reader that was cut, pickled and renamed."""
    dataset = fastpack.open(root, fields={"picture": "image"}, decode=False)[2:]
    for reader in (dataset, pickle.loads(pickle.dumps(dataset)), dataset.take([0, 1])):
        assert reader.read([1])["picture"].bytes(0) == FILES["owl/Löwe.webp"]


def test_two_folders_are_one_dataset(root, tmp_path):
    (tmp_path / "more" / "cat").mkdir(parents=True)
    (tmp_path / "more" / "cat" / "9.jpg").write_bytes(jpeg(9, 9, seed=9))
    dataset = fastpack.open([tmp_path / "more", root], decode=False)
    assert list(dataset.columns["key"]) == ["cat/9.jpg", *sorted(FILES)]
    blobs = dataset.read([4, 0, 1])["image"]
    assert [blobs.bytes(i) for i in range(3)] == [
        FILES["owl/Löwe.webp"],
        jpeg(9, 9, seed=9),
        FILES["cat/1.jpg"],
    ]


def test_a_flat_folder_has_no_labels(tmp_path):
    (tmp_path / "b.jpg").write_bytes(FILES["cat/1.jpg"])
    (tmp_path / ".hidden.jpg").write_bytes(b"x")
    (tmp_path / "notes.txt").write_bytes(b"x")
    dataset = fastpack.open(tmp_path, save_index=False)
    assert [field.name for field in dataset.schema.fields] == ["image", "key"]
    assert len(dataset) == 1


def test_shards_come_before_images(root):
    fastpack.pack(root, root / "all.tfrecord")
    assert [shard.container for shard in fastpack.open(root).index.shards] == ["tfrecord"]


@pytest.mark.isolated
def test_descriptors_are_not_kept(root):
    dataset = fastpack.open(root)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        dataset.read([0, 1, 2, 3])
    assert len(os.listdir("/proc/self/fd")) == before


# The saved index


def test_nothing_is_put_beside_a_folder_that_is_looked_at(root, tmp_path):
    (tmp_path / "kept").mkdir()
    dataset = fastpack.open(root)
    assert run("ls", root).exit_code == run("info", root).exit_code == 0
    assert sorted(os.listdir(tmp_path)) == ["images", "kept"]
    assert (
        fastpack.open(root, index_dir=tmp_path / "kept").columns["label"].tolist()
        == dataset.columns["label"].tolist()
    )
    assert len(os.listdir(tmp_path / "kept")) == 1


def test_saved_beside_the_folder_on_request_and_used(root, monkeypatch):
    fastpack.build_indexes(root)
    assert index_path(root) == root.parent / "images.fpindex"
    monkeypatch.setattr("fastpack.formats.folder.ProbeFiles", None)
    assert fastpack.open(root, decode=False).read([1])["image"].bytes(0) == FILES["cat/deep/2.JPEG"]


CHANGES = {
    "a file more": lambda root: (root / "cat" / "0.jpg").write_bytes(FILES["dog/1.png"]),
    "a file less": lambda root: (root / "cat" / "1.jpg").unlink(),
    "another name": lambda root: (root / "cat" / "1.jpg").rename(root / "cat" / "7.jpg"),
    "another size": lambda root: (root / "cat" / "1.jpg").write_bytes(FILES["dog/1.png"]),
    "another time": lambda root: os.utime(root / "cat" / "1.jpg", ns=(5, 5)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_noticed(root, change):
    fastpack.build_indexes(root)
    assert FileIndex(root).saved() is not None
    change(root)
    assert FileIndex(root).saved() is None
    dataset = fastpack.open(root, decode=False)
    assert dataset.index.shards == (registry.named("folder").shard(root),)
    batch = dataset.read(np.arange(len(dataset)))
    assert [batch["image"].bytes(i) for i in range(len(dataset))] == [
        (root / key).read_bytes() for key in batch["key"]
    ]


def test_a_change_under_an_open_reader(root):
    dataset = fastpack.open(root, decode=False)
    (root / "cat" / "1.jpg").write_bytes(FILES["dog/1.png"])
    dataset.read([1, 2, 3])
    with pytest.raises(FormatError, match=r"changed since.*images, record 0, key cat/1\.jpg"):
        dataset.read([0, 1])


def test_a_vanished_file(root):
    dataset = fastpack.open(root, decode=False)
    (root / "cat" / "1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"cat/1\.jpg"):
        dataset.read([0, 1])


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "cat/../../secret.jpg"])
def test_an_index_that_names_files_elsewhere(root, name):
    (root.parent / "secret.jpg").write_bytes(FILES["cat/1.jpg"])
    fastpack.build_indexes(root)
    saved = SavedTables(index_path(root))
    keys = fastpack.core.Text.of([name, *sorted(FILES)[1:]])
    saved.tables |= to_tables("column/key", keys)
    saved.save(index_path(root))
    with pytest.raises(FastpackError, match="outside the folder"):
        fastpack.open(root, decode=False).read([0])


def test_an_index_without_the_files_names(root):
    fastpack.build_indexes(root)
    saved = SavedTables(index_path(root))
    del saved.tables["samples"]["file_times"]
    saved.save(index_path(root))
    with pytest.raises(FormatError, match="does not name the files"):
        fastpack.open(root).read([0])


def test_an_index_whose_names_are_gone(root):
    fastpack.build_indexes(root)
    saved = SavedTables(index_path(root))
    saved.tables = {
        name.replace("column/key", "column/no"): saved.tables[name] for name in saved.tables
    }
    saved.about["schema"] = saved.about["schema"].replace('{"name":"key"', '{"name":"no"')
    saved.save(index_path(root))
    with pytest.raises(FormatError):
        load_index(index_path(root))
    assert list(fastpack.open(root).columns["key"]) == sorted(FILES)


# Errors


def test_no_images(tmp_path):
    with pytest.raises(EmptySourceError, match="no images"):
        registry.named("folder").index(tmp_path)


def test_a_pipe_among_the_files_is_not_waited_for(root):
    os.mkfifo(root / "cat" / "pipe.jpg")
    with pytest.raises(FastpackError, match=r"pipe\.jpg"):
        fastpack.open(root)


def test_a_file_that_may_not_be_read(root):
    (root / "cat" / "1.jpg").unlink()
    (root / "cat" / "1.jpg").symlink_to(root / "nowhere")
    with pytest.raises(OSError, match=r"cat/1\.jpg"):
        fastpack.open(root)


def test_a_link_that_leads_back(root):
    (root / "cat" / "up").symlink_to("..")
    with pytest.raises(FastpackError, match=r"^a link leads back.*images/cat/up$"):
        registry.named("folder").index(root)


def test_a_link_to_another_folder_is_followed_on_request(root, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "9.jpg").write_bytes(FILES["cat/1.jpg"])
    (root / "zebra").symlink_to(tmp_path / "more")
    with pytest.raises(SourceError, match=r"^this leads out of .*images/zebra/?$"):
        fastpack.open(root)
    assert list(fastpack.open(root, allow_external=True).columns["key"]) == [
        *sorted(FILES),
        "zebra/9.jpg",
    ]


def test_a_folder_is_not_written_as_a_file(root):
    with pytest.raises(OptionError, match="fastpack extract"):
        registry.named("folder").writer(root, None)


# Index files


@pytest.mark.parametrize(
    "command", ["info {}", "ls {}", "preview {} --output {}/../x.png", "doctor {}", "bench {}"]
)
def test_reading_commands_leave_a_folder_as_it_was(root, command):
    before = sorted(root.parent.rglob("*"))
    seconds = ["--seconds", "0.1"] if command.startswith("bench") else []
    result = run(*command.format(root, root).split(), *seconds)
    assert result.exit_code == 0, result.output
    (root.parent / "x.png").unlink(missing_ok=True)
    assert sorted(root.parent.rglob("*")) == before


def test_a_folder_that_is_opened_with_masks_gets_no_index(root, tmp_path):
    """Its images are masks because those of the other file are."""
    masks = tmp_path / "masks.tfrecord"
    fastpack.pack(folder_source(root), masks)
    fastpack.build_indexes(masks, kinds={"image": "mask"}, rebuild=True)
    dataset = fastpack.open([root, masks])
    assert dataset.schema["image"].kind == "mask"
    assert not index_path(root).exists()


def test_an_index_that_is_asked_for_is_used(root):
    assert run("index", root).exit_code == 0
    assert index_path(root).exists()
    assert fastpack.build_indexes(root).num_fresh == 1
