"""`untrusted=True`: what lies beside the data is not believed, and runs no code."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import fastpack
from fastpack.core.limits import Limits
from fastpack.errors import FormatError, LimitError
from fastpack.files.companions import index_path
from fastpack.formats.hdf5.container import HDF5
from fastpack.formats.index.index_file import load_index, save_index
from fastpack.formats.index_options import IndexOptions
from fastpack.sources import ImageFiles
from tests.support.hdf5_files import write_compact_jpegs
from tests.support.images import jpeg, photo

PACKAGES = str(Path(fastpack.__file__).parents[1])
PIXELS = np.stack([photo(8, 8, seed=seed) for seed in range(4)])
OWNED = "open({!r}, 'w').close()\n"
# Modules that the child imports, or that Python imports by itself when it starts.
MODULES = [
    "json",
    "resource",
    "ctypes",
    "threading",
    "h5py",
    "numpy",
    "fastpack",
    "hdf5plugin",
    "sitecustomize",
    "usercustomize",
]
# A process of a run in the background ignores SIGINT at first.
OPEN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "import sys; sys.path[:0] = {!r}; import fastpack; "
    "print(len(fastpack.open({!r}, untrusted=True)))"
)


def write_pixels(path):
    with h5py.File(path, "w") as f:
        f["images"] = PIXELS
    return path


def write_modules(folder, owned):
    folder.mkdir(parents=True)
    for name in MODULES:
        (folder / f"{name}.py").write_text(OWNED.format(str(owned)))
    (folder / "evil.pth").write_text("import sitecustomize\n")
    return folder


def run_child_of(parent_code, **environment):
    return subprocess.run(
        [sys.executable, "-I", "-c", parent_code],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
        env=os.environ | environment,
    ).stdout


# The parent runs isolated: so what is imported from a stranger's folder is imported by the child.
@pytest.mark.parametrize(
    "way", ["current folder", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE"]
)
def test_no_module_of_a_stranger_runs(tmp_path, monkeypatch, way):
    path, owned = write_pixels(tmp_path / "x.h5"), tmp_path / "owned"
    strange = write_modules(tmp_path / "strange", owned)
    user_site = (
        tmp_path / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    )
    write_modules(user_site, owned)
    monkeypatch.chdir(strange if way == "current folder" else tmp_path)
    values = {
        "PYTHONPATH": f"{strange}:.",
        "PYTHONSTARTUP": f"{strange}/json.py",
        "PYTHONUSERBASE": tmp_path,
        "PYTHONHOME": strange,
    }
    environment = {way: str(values[way])} if way in values else {}
    paths = [PACKAGES, *(entry for entry in sys.path if entry.startswith("/"))]
    assert run_child_of(OPEN.format(paths, str(path)), **environment) == "4\n"
    assert not owned.exists()


def test_a_module_of_the_standard_library_is_not_replaced_by_one_beside_fastpack(
    tmp_path, monkeypatch
):
    """fastpack may be imported from a checkout, whose folder holds other files too."""
    path, owned = write_pixels(tmp_path / "x.h5"), tmp_path / "owned"
    strange = write_modules(tmp_path / "strange", owned)
    (strange / "fastpack.py").unlink()
    (strange / "fastpack").symlink_to(Path(fastpack.__file__).parent)
    paths = [*(entry for entry in sys.path if entry.startswith("/")), str(strange)]
    paths = [
        entry for entry in paths if not (Path(entry) / "fastpack").exists() or entry == str(strange)
    ]
    code = (
        f"import sys; sys.path[:] = {paths!r}; import fastpack; "
        f"print(len(fastpack.open({str(path)!r}, untrusted=True)))"
    )
    assert run_child_of(code) == "4\n"
    assert not owned.exists()


def write_endless(path):
    """A heap in which HDF5 1.14 goes round in circles."""
    data = bytearray(write_compact_jpegs(path).read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 24 : heap + 32] = (2**64 - 16).to_bytes(8, "little")
    path.write_bytes(data)
    return path


def children_of(pid):
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def status_of(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["Z", *"0" * 50]


def is_running(pid):
    return status_of(pid)[0] != "Z"


def busy_children_of(pid):
    """Those that have used a second of the processor: they are inside HDF5's library."""
    return [child for child in children_of(pid) if sum(map(int, status_of(child)[11:13])) >= 100]


def waited_for(condition):
    return any(condition() or time.sleep(0.05) for _ in range(600))


@pytest.mark.isolated
@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGINT])
def test_the_child_ends_with_its_parent(tmp_path, with_signal):
    path = write_endless(tmp_path / "x.h5")
    code = OPEN.format([PACKAGES, *sys.path], str(path))
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    assert waited_for(lambda: busy_children_of(parent.pid))
    child = busy_children_of(parent.pid)[0]
    parent.send_signal(with_signal)
    parent.wait(timeout=30)
    assert waited_for(lambda: not is_running(child))


def test_memory_is_limited(tmp_path):
    """Texts of 400 MB that were never written take no place in the file."""
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f["images"] = PIXELS
        f.create_dataset("caption", (4,), "S100000000", chunks=(1,))
    with pytest.raises((LimitError, FormatError), match=r"x\.h5"):
        HDF5.index_with(
            tmp_path / "x.h5", IndexOptions(untrusted=True), Limits(max_index_bytes=2**26)
        )


def test_time_is_limited(tmp_path):
    with pytest.raises(LimitError, match=r"max_index_seconds.*x\.h5"):
        HDF5.index_with(
            write_endless(tmp_path / "x.h5"),
            IndexOptions(untrusted=True),
            Limits(max_index_seconds=3),
        )


# Saved indexes that came with the data


def pack_tfrecord(folder):
    for row in range(4):
        (folder / f"{row}.jpg").write_bytes(jpeg(20 + row, 24, seed=row))
    fastpack.pack(
        ImageFiles([folder / f"{row}.jpg" for row in range(4)], range(4)), folder / "x.tfrecord"
    )
    return folder / "x.tfrecord"


def pack_hdf5(folder):
    return write_pixels(folder / "x.h5")


def pack_tar(folder):
    with tarfile.open(folder / "x.tar", "w") as archive:
        for row in range(4):
            (folder / f"{row}.jpg").write_bytes(jpeg(20 + row, 24, seed=row))
            archive.add(folder / f"{row}.jpg", f"{row}.jpg")
    return folder / "x.tar"


def pack_folder(folder):
    for row in range(4):
        (folder / "x" / f"class{row}").mkdir(parents=True)
        (folder / "x" / f"class{row}" / "a.jpg").write_bytes(jpeg(20 + row, 24, seed=row))
    return folder / "x"


def lie(path):
    """The saved index swaps two samples and gives all one label; a trusting reader uses it."""
    fastpack.build_indexes(path)
    index = load_index(index_path(path), path.parent)
    spans = {name: of_blob[[1, 0, 2, 3]] for name, of_blob in index.spans.items()}
    columns = {
        name: np.full_like(column, 7) if isinstance(column, np.ndarray) else column
        for name, column in index.columns.items()
    }
    save_index(replace(index, spans=spans, columns=columns), index_path(path))


@pytest.mark.parametrize("make", [pack_tfrecord, pack_hdf5, pack_tar, pack_folder])
@pytest.mark.parametrize(
    "options", [{}, {"on_error": "mask"}, {"seek_points": True}, {"fields": ["image"]}]
)
def test_no_saved_index_is_believed(tmp_path, make, options):
    path = make(tmp_path)
    honest = fastpack.open(path, save_index=False, decode=False).index
    lie(path)
    saved = index_path(path).read_bytes()
    on_disk = fastpack.open(path, decode=False).index
    assert any((on_disk.spans[name] != honest.spans[name]).any() for name in honest.spans)
    found = fastpack.open(path, untrusted=True, decode=False, **options).index
    assert all((found.spans[name] == honest.spans[name]).all() for name in found.spans)
    for name, column in found.columns.items():
        assert list(column) == list(honest.columns[name])
    assert index_path(path).read_bytes() == saved  # nor is one written


def test_no_file_is_opened_to_see_whether_it_is_a_virtual_dataset(tmp_path):
    for name in ("x.h5", "x-00000-of-00001.h5"):
        write_pixels(tmp_path / name)
    with pytest.raises(FormatError, match=r"name the files.*x\.h5"):
        fastpack.open(tmp_path, untrusted=True)
    assert len(fastpack.open([tmp_path / "x-00000-of-00001.h5"], untrusted=True)) == 4
