"""Jobs on hostile sources, traced: strace records each file that is opened, listed or changed."""

import os
import re
import shutil
import subprocess
import sys

import pytest

import fastpack
from fastpack import PackOptions, pack
from fastpack.sources import ImageFiles
from tests.support.hostile_sources import (
    GOOD,
    LONG,
    NON_UTF8,
    SECRET,
    hostile_folder,
    write_hostile_table,
    write_tar,
)
from tests.support.images import jpeg

LEADING_OUT = [b"../../outside/made.jpg", b"/outside/made.jpg"]


def can_trace():
    return (
        shutil.which("strace")
        and subprocess.run(
            ["strace", "-o", os.devnull, "true"], capture_output=True, check=False
        ).returncode
        == 0
    )


pytestmark = pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace")

CHANGING = r"rename\w*|mkdir\w*|unlink\w*|rmdir|link\w*|symlink\w*|truncate|mknod\w*|chmod|fchmodat"


def whole_calls(lines):
    """Those of other threads stand between the two halves of some."""
    begun = {}
    for line in lines:
        thread, call = line.split(maxsplit=1)
        if call.startswith("<... "):
            call = begun.pop(thread) + call.partition(" resumed>")[2]
        if call.endswith("<unfinished ...>"):
            begun[thread] = call.removesuffix("<unfinished ...>")
        else:
            yield call


class Trace:
    """The calls of one job that did not fail."""

    def __init__(self, tmp_path, *arguments):
        log = tmp_path / "log"
        tracing = [
            "strace",
            "-f",
            "-y",
            "-s",
            "4096",
            "-e",
            "trace=%file,getdents64,ftruncate",
            "-o",
            log,
        ]
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        command = [*tracing, sys.executable, "-m", "fastpack", *arguments]
        self.ended = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment
        )
        self.calls = [
            call for call in whole_calls(log.read_text().splitlines()) if " = -1 " not in call
        ]
        assert len(self.calls) > 100

    def opened(self):
        """Places that a descriptor was got for, links followed, and that were listed."""
        found = [
            re.search(r" = \d+<([^<>]*)", call)
            for call in self.calls
            if call.startswith(("open", "creat"))
        ]
        listed = [re.match(r"getdents64\(\d+<([^<>]*)", call) for call in self.calls]
        return {match[1] for match in [*found, *listed] if match}

    def written(self):
        """Places that were opened for writing, or changed by name."""
        paths = {
            re.search(r" = \d+<([^<>]*)", call)[1]
            for call in self.calls
            if re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", call)
        }
        for call in self.calls:
            if re.match(rf"({CHANGING})\(", call):
                names = re.findall(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"', call)
                paths |= {
                    os.path.normpath(os.path.join(above or os.getcwd(), name))
                    for above, name in names
                }
        return paths


def below(paths, *folders):
    return {
        path
        for path in paths
        if any(path == str(each) or path.startswith(f"{each}/") for each in folders)
    }


@pytest.fixture
def hostile(tmp_path):
    (tmp_path / "out").mkdir()
    return hostile_folder(tmp_path)


def assert_contained(trace, tmp_path, source):
    """No link or name led out; only the output and the index of an opened dataset were written."""
    assert not below(trace.opened(), tmp_path / "outside", "/etc/passwd", "/dev/zero")
    index = str(source.with_name(f"{source.name}.fpindex"))
    elsewhere = trace.written() - below(trace.written(), tmp_path / "out", "/dev", "/proc")
    assert {
        re.sub(r"/\.fastpack\.[0-9a-f]+\.tmp$", f"/{source.name}.fpindex", path)
        for path in elsewhere
    } <= {index}
    assert below(trace.written(), tmp_path / "out")
    assert os.listdir(tmp_path / "outside") == ["secret.jpg"]
    assert sorted(os.listdir(tmp_path)) == ["in", "log", "out", "outside"]


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_packing_folders_and_tables(hostile, tmp_path, kind):
    source = hostile if kind == "folder" else write_hostile_table(hostile, ".jsonl")
    trace = Trace(
        tmp_path, "pack", source, "-o", tmp_path / "out" / "a.tfrecord", "--on-error", "skip"
    )
    assert trace.ended.returncode == 3, trace.ended.stderr
    assert_contained(trace, tmp_path, source)
    assert str(hostile / "c" / "real.jpg") in trace.opened()
    assert str(hostile / "c" / "pipe.jpg") not in trace.opened()
    assert len(fastpack.open(tmp_path / "out" / "a.tfrecord")) == len(GOOD)


def test_the_trace_sees_what_leads_out(hostile, tmp_path):
    """Where that is asked for: so the tests beside this one can fail."""
    trace = Trace(
        tmp_path,
        "pack",
        hostile,
        "-o",
        tmp_path / "out" / "a.tfrecord",
        "--on-error",
        "skip",
        "--allow-external",
    )
    assert trace.ended.returncode == 3, trace.ended.stderr
    assert below(trace.opened(), tmp_path / "outside") == {
        str(tmp_path / "outside"),
        str(tmp_path / "outside" / "secret.jpg"),
    }
    assert SECRET in (tmp_path / "out" / "a.tfrecord").read_bytes()


@pytest.mark.parametrize("output", ["a.tfrecord", "a.h5"])
def test_packing_tars(hostile, tmp_path, output):
    """In a tar only names can lead out."""
    source = write_tar(hostile / "evil.tar", [*LEADING_OUT, LONG, NON_UTF8, b"A.jpg", b"a.jpg"])
    trace = Trace(tmp_path, "pack", source, "-o", tmp_path / "out" / output)
    assert trace.ended.returncode == 0, trace.ended.stderr
    assert_contained(trace, tmp_path, source)


@pytest.mark.parametrize("name", LEADING_OUT)
def test_extracting_names_that_lead_out(hostile, tmp_path, name):
    source = write_tar(hostile / "evil.tar", [b"good.jpg", name])
    trace = Trace(tmp_path, "extract", source, tmp_path / "out" / "files")
    assert trace.ended.returncode == 1
    assert "not a path below a folder; nothing was written" in " ".join(trace.ended.stderr.split())
    assert not below(trace.written(), tmp_path / "outside", tmp_path / "out", "/outside")


def test_extracting_through_links(hostile, tmp_path):
    """Links that exist where the files are written."""
    (tmp_path / "out" / "files").mkdir()
    (tmp_path / "out" / "files" / "c").symlink_to(tmp_path / "outside")
    source = write_tar(hostile / "evil.tar", [b"c/made.jpg"])
    trace = Trace(tmp_path, "extract", source, tmp_path / "out" / "files")
    assert trace.ended.returncode == 1
    assert not below(trace.opened() | trace.written(), tmp_path / "outside")
    assert os.listdir(tmp_path / "outside") == ["secret.jpg"]


def test_extracting_any_name(hostile, tmp_path):
    names = [LONG, NON_UTF8, b"A.jpg", b"a.jpg", b"c/" + LONG]
    source = write_tar(hostile / "fine.tar", names)
    trace = Trace(tmp_path, "extract", source, tmp_path / "out" / "files")
    assert trace.ended.returncode == 0, trace.ended.stderr
    assert_contained(trace, tmp_path, source)
    for number, name in enumerate(names):
        assert (tmp_path / "out" / "files" / os.fsdecode(name)).read_bytes() == jpeg(
            8, 8, seed=number
        )


def test_extracting_keys_of_datasets(hostile, tmp_path):
    """Keys of a TFRecord may be hostile too."""
    real = hostile / "c" / "real.jpg"
    pack(
        ImageFiles([real, real.with_name("a.jpg")], keys=["a.jpg", "../../outside/made.jpg"]),
        tmp_path / "in" / "a.tfrecord",
        PackOptions(),
    )
    trace = Trace(tmp_path, "extract", tmp_path / "in" / "a.tfrecord", tmp_path / "out" / "files")
    assert trace.ended.returncode == 1
    assert not below(trace.written(), tmp_path / "outside", tmp_path / "out")
