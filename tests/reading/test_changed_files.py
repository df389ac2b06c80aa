"""Files that change under an open dataset: other pixels never come with the labels of before."""

import os
import pickle
import shutil
import tarfile
import threading

import h5py
import numpy as np
import pytest

import fastpack
from fastpack import Loader, PackOptions
from fastpack.errors import ChangedFileError, FastpackError
from fastpack.files.shard import OpenShards

NUM_SAMPLES = 40


def make_image(shade):
    return np.full((16, 16, 3), shade, np.uint8)


def write_images(folder, first_shade):
    """PNGs of one size in bytes, whatever the shade."""
    folder.mkdir(exist_ok=True)
    for number in range(NUM_SAMPLES):
        (folder / f"{number:02}.bmp").write_bytes(
            fastpack.encode(make_image(first_shade + number), "bmp")
        )
    return folder


def pack(output, folder, **options):
    fastpack.pack(fastpack.from_folder(folder), output, PackOptions(**options), overwrite=True)


def write_tar(output, folder):
    with tarfile.open(output, "w") as archive:
        for path in sorted(folder.iterdir()):
            member = archive.gettarinfo(path, path.name)
            member.mtime = 0
            with open(path, "rb") as file:
                archive.addfile(member, file)


def write_compact(output, folder):
    """Rows that only HDF5's library reads, and other images beside them."""
    shade = int(fastpack.decode(sorted(folder.iterdir())[0].read_bytes())[0, 0, 0])
    values = (
        np.arange(shade, shade + NUM_SAMPLES, dtype=np.uint8)
        .repeat(48)
        .reshape(NUM_SAMPLES, 4, 4, 3)
    )
    with h5py.File(output, "w") as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.COMPACT)
        made = h5py.h5d.create(
            file.id, b"images", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple(values.shape), layout
        )
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, values)


WRITERS = {
    "tfrecord": ("x.tfrecord", pack, {}),
    "encoded": ("x.h5", pack, {}),
    "vlen": ("x.h5", pack, {"layout": "vlen"}),
    "pixels": ("x.h5", pack, {"size": 16}),
    "compressed": ("x.h5", pack, {"size": 16, "compression": "lz4"}),
    "tar": ("x.tar", write_tar, {}),
    "compact": ("x.h5", write_compact, {}),
}


@pytest.fixture(params=WRITERS)
def versions(request, tmp_path):
    """The path of a dataset, and of one of the same size whose images are 100 levels brighter."""
    name, write, options = WRITERS[request.param]
    paths = []
    for version, shade in enumerate((0, 100)):
        folder = tmp_path / f"version {version}"
        folder.mkdir()
        paths.append(folder / name)
        write(paths[-1], write_images(tmp_path / f"pictures {version}", shade), **options)
    size = max(path.stat().st_size for path in paths)
    for path in paths:
        os.truncate(path, size)  # HDF5 files end with a text of numbers, whose digits may be fewer
    return paths


def shades(batch):
    return [int(image[0, 0, 0]) for image in batch["image"]]


def by_renaming(new, old):
    shutil.copyfile(new, old.with_name("new"))
    os.replace(old.with_name("new"), old)


def by_writing_into_it(new, old):
    shutil.copyfile(new, old)


def with_the_time_of_before(new, old):
    times = old.stat()
    by_renaming(new, old)
    os.utime(old, ns=(times.st_atime_ns, times.st_mtime_ns))


REPLACEMENTS = [by_renaming, by_writing_into_it, with_the_time_of_before]
each_replacement = pytest.mark.parametrize("replace", REPLACEMENTS, ids=lambda each: each.__name__)


@each_replacement
def test_replaced_before_the_first_read(versions, replace):
    old, new = versions
    reader = fastpack.open(old)
    part, elsewhere = reader[5:9], pickle.dumps(reader)
    if replace is with_the_time_of_before and old.suffix == ".tar":
        pytest.skip("both ends of these archives are the same")
    replace(new, old)
    for changed in (reader, part, pickle.loads(elsewhere)):
        with pytest.raises(ChangedFileError, match=rf"open the dataset again - at .*{old.name}"):
            changed.read([0, 1])
    assert shades(fastpack.open(old).read([0, 3])) == [100, 103]


def test_replaced_while_it_is_open(versions):
    """An open descriptor keeps the old file, so pixels and labels match; the library reopens it."""
    old, new = versions
    reader = fastpack.open(old)
    reader.read([0])
    by_renaming(new, old)
    if not reader._samples.files._kept:
        with pytest.raises(ChangedFileError):
            reader.read([3])
        return
    assert shades(reader.read([3, 0])) == [3, 0]
    reader._samples.files._kept.clear()  # as when other files push it out
    with pytest.raises(ChangedFileError):
        reader.read([3])


def test_written_to_while_it_is_open(versions):
    old, new = versions
    reader = fastpack.open(old)
    batches = iter(Loader(reader, batch_size=8, prefetch=0))
    assert shades(next(batches)) == list(range(8))
    by_writing_into_it(new, old)
    with pytest.raises(ChangedFileError, match=f"{old.name}"):
        next(batches)


@pytest.mark.parametrize("keep_time", [True, False])
def test_a_copy_elsewhere_is_the_same_dataset(versions, tmp_path, keep_time):
    old, _ = versions
    reader = fastpack.open(old)
    copies = tmp_path / "copies"
    copies.mkdir()
    for path in old.parent.iterdir():
        (shutil.copy2 if keep_time else shutil.copyfile)(path, copies / path.name)
    assert shades(fastpack.open(copies / old.name).read([3])) == [3]
    os.replace(old.parent, tmp_path / "moved")
    assert shades(
        fastpack.open(tmp_path / "moved" / old.name, index_dir=tmp_path / "indexes").read([3])
    ) == [3]
    if keep_time:  # another inode, the same bytes
        shutil.copytree(copies, old.parent, copy_function=shutil.copy2)
        assert shades(reader.read([3])) == [3]
        assert shades(pickle.loads(pickle.dumps(reader)).read([3])) == [3]


def test_files_of_a_folder(tmp_path):
    folder = write_images(tmp_path / "pictures", 0)
    reader = fastpack.open(folder)
    os.replace(folder / "03.bmp", folder / "aside")
    os.replace(
        folder / "04.bmp", folder / "03.bmp"
    )  # another image of the same size, and its time is an old one
    os.utime(folder / "03.bmp", ns=(5, 5))
    assert shades(reader.read([0, 5])) == [0, 5]
    with pytest.raises(ChangedFileError, match=r"record 3, key 03\.bmp"):
        reader.read([2, 3])
    with pytest.raises(ChangedFileError, match=r"03\.bmp"):
        pickle.loads(pickle.dumps(reader))[3]


def test_a_saved_index_of_a_folder_keeps_the_times(tmp_path):
    folder = write_images(tmp_path / "pictures", 0)
    fastpack.open(folder)
    reader = fastpack.open(folder)
    assert reader.index.files.times.tolist() == [
        (folder / key).stat().st_mtime_ns for key in reader.columns["key"]
    ]
    os.utime(folder / "07.bmp", ns=(5, 5))
    with pytest.raises(ChangedFileError):
        reader.read([7])


def test_ends_are_read_again_only_when_the_inode_is_another(versions, monkeypatch):
    old, _ = versions
    fastpack.open(old)
    reader = fastpack.open(old)
    monkeypatch.setattr(
        "fastpack.files.shard._fingerprint", lambda descriptor: pytest.fail("the ends were read")
    )
    OpenShards().descriptors(reader.shards, np.array([0], np.uint32))


def test_threads_read_while_the_file_is_replaced_again_and_again(tmp_path):
    """Pixels and labels of a sample match, of either file."""
    sources = [write_images(tmp_path / f"{shade}", shade) for shade in (0, 100)]
    made = [tmp_path / "dark.h5", tmp_path / "bright.h5"]
    for path, source, first in zip(made, sources, (0, 100), strict=True):
        files = sorted(source.iterdir())
        fastpack.pack(
            fastpack.sources.ImageFiles(files, range(first, first + NUM_SAMPLES)),
            path,
            PackOptions(size=16),
        )
    path, wrong, stop = tmp_path / "x.h5", [], threading.Event()
    shutil.copyfile(made[0], path)

    def read():
        while not stop.is_set():
            try:
                batch = fastpack.open(path, save_index=False).read(range(NUM_SAMPLES))
            except FastpackError:  # changed, or a checksum that differs
                continue
            if shades(batch) != batch["label"].tolist():
                wrong.append(batch["label"])

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(30):
        by_renaming(made[turn % 2], path)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
