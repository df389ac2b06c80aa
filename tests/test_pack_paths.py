"""Sources that try to lead elsewhere: nothing is read outside their folder, and nothing is written outside the output's."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile

import pytest
from images import jpeg

import fastpack
from fastpack import PackOptions, errors, folder, pack, table
from fastpack.rejects import report_path

SECRET = jpeg(9, 9, seed=99)
NON_UTF8 = b"\xff\xfe.jpg"
LONG = b"x" * 251 + b".jpg"
GOOD = [b"A.jpg", b"a.jpg", b"inner.jpg", b"real.jpg", LONG, NON_UTF8]


@pytest.fixture
def hostile(tmp_path):
    """A folder whose links lead out of it, to a device and to nothing, with a pipe, and some files that are good."""
    outside, root = tmp_path / "outside", tmp_path / "in" / "c"
    outside.mkdir()
    root.mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (outside / "secret.jpg").write_bytes(SECRET)
    for number, name in enumerate(GOOD):
        (root / os.fsdecode(name)).write_bytes(jpeg(8, 8, seed=number))
    (root / "inner.jpg").unlink()
    (root / "inner.jpg").symlink_to("real.jpg")  # which stays inside
    (root / "link.jpg").symlink_to(outside / "secret.jpg")
    (root / "up.jpg").symlink_to("../../outside/secret.jpg")
    (root / "far").symlink_to(outside)
    (root / "zero.jpg").symlink_to("/dev/zero")
    (root / "none.jpg").symlink_to("none")
    os.mkfifo(root / "pipe.jpg")
    return tmp_path / "in"


BAD = {
    "c/far/secret.jpg": "SourceError",
    "c/link.jpg": "SourceError",
    "c/none.jpg": "MissingFileError",
    "c/pipe.jpg": "UnreadableFileError",
    "c/up.jpg": "SourceError",
    "c/zero.jpg": "SourceError",
}


@pytest.mark.parametrize("output", ["a.tfrecord", "a.h5"])
def test_what_leads_out_is_left_out(hostile, tmp_path, output):
    packed = pack(hostile, tmp_path / "out" / output, PackOptions(on_error="skip"))
    assert {reject.key: reject.reason for reject in packed.rejects} == BAD
    keys = list(fastpack.open(packed.paths).columns["key"])
    # HDF5's strings are UTF-8: what is none is told by both formats in the same way.
    assert [os.fsencode(key) for key in keys] == [b"c/" + name for name in sorted(GOOD)]
    assert SECRET not in (tmp_path / "out" / output).read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["in", "out", "outside"]


def test_the_first_is_named(hostile, tmp_path):
    with pytest.raises(errors.SourceError, match=r"a link leads out of .*in; .* - at .*/c/far/secret\.jpg"):
        pack(hostile, tmp_path / "out" / "a.h5")


def test_links_that_lead_out_are_followed_on_request(hostile, tmp_path):
    packed = pack(hostile, tmp_path / "out" / "a.h5", PackOptions(on_error="skip", allow_external=True))
    assert [reject.key for reject in packed.rejects] == ["c/none.jpg", "c/pipe.jpg", "c/zero.jpg"]
    assert SECRET in (tmp_path / "out" / "a.h5").read_bytes()


def test_a_root_that_is_a_link(hostile, tmp_path):
    (tmp_path / "alias").symlink_to(hostile)
    assert set(folder(tmp_path / "alias").faults) == set(folder(hostile).faults)


@pytest.mark.parametrize("name", ["../outside/secret.jpg", "c/../../outside/secret.jpg", "/etc/passwd"])
def test_tables_that_lead_out(hostile, tmp_path, name):
    (hostile / "t.csv").write_text(f"file_name\nc/real.jpg\n{name}\n")
    with pytest.raises(errors.SourceError, match="leads out"):
        table(hostile / "t.csv")


def test_tables_that_name_links(hostile):
    (hostile / "t.csv").write_text("file_name\nc/real.jpg\nc/link.jpg\nc/inner.jpg\nc/far/secret.jpg\n")
    assert sorted(table(hostile / "t.csv").faults) == [1, 3]
    assert not table(hostile / "t.csv", allow_external=True).faults


def make_tar(path):
    with tarfile.open(path, "w") as archive:
        for number, name in enumerate(["../../outside/made.jpg", "/outside/made.jpg", "good.jpg"]):
            data = jpeg(8, 8, seed=number)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def strace(log, *arguments):
    calls = "trace=open,openat,openat2,creat,rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,link,linkat,symlink,symlinkat,truncate"
    command = ["strace", "-f", "-y", "-e", calls, "-o", log, sys.executable, "-m", "fastpack", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})


def can_trace():
    return shutil.which("strace") and subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace")
@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_as_the_system_saw_it(hostile, tmp_path, kind):
    """No file is opened that does not belong to the source; a folder behind a link is listed, but not what is in it. Nothing is
    written but the output, and the index of a dataset that is opened."""
    if kind == "tar":
        make_tar(hostile / "evil.tar")
    source = hostile if kind == "folder" else hostile / "evil.tar"
    traced = strace(tmp_path / "log", "pack", source, "-o", tmp_path / "out" / "a.tfrecord", "--on-error", "skip")
    assert traced.returncode == {"folder": 3, "tar": 0}[kind], traced.stderr
    calls = (tmp_path / "log").read_text().splitlines()
    assert any(str(tmp_path / "out") in call for call in calls)
    assert not [call for call in calls if "open" in call and re.search(r"/outside/|/far/|link\.jpg|up\.jpg|zero|pipe\.jpg", call)]
    changing = [call for call in calls if re.search(r"O_CREAT|O_WRONLY|O_RDWR|O_TRUNC|creat\(|rename|mkdir|unlink|link\(|truncate", call)]
    elsewhere = [call for call in changing if str(tmp_path / "out") not in call and not re.search(r'"(/dev/(null|tty)|/proc/)', call)]
    assert not [
        call for call in elsewhere if f"{source}.index.npz" not in call and ".evil.tar.index.npz" not in call and "= -1" not in call
    ]
    assert sorted(os.listdir(tmp_path)) == ["in", "log", "out", "outside"]
    assert os.listdir(tmp_path / "outside") == ["secret.jpg"]
    if kind == "folder":
        lines = [json.loads(line) for line in report_path(tmp_path / "out" / "a.tfrecord").read_text().splitlines()]
        assert {line["key"]: line["reason"] for line in lines} == BAD
