"""Kills a pack at system calls or lets the calls fail: no partial shard, and resuming works.

`python tests/faults/walk.py FOLDER` walks over more faults and random times.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import extent

WALK = Path(__file__).with_name("walk.py")


# The strides divide no number of calls that a shard takes, so each kind of call is met.
@pytest.mark.skipif(sys.platform != "linux", reason="the shim is preloaded")
@pytest.mark.parametrize(
    ("format", "fault", "options", "stride"),
    [
        ("tfrecord", "kill", [], 13),
        ("tfrecord", "ENOSPC", [], 13),
        ("hdf5", "kill", [], 37),
        ("hdf5", "ENOSPC", [], 37),
        ("hdf5", "kill", ["--altering"], 37),
        ("tfrecord", "kill", ["--to", "old", "--last", "42"], 11),
        ("hdf5", "kill", ["--to", "appended", "--virtual", "--last", "42"], 11),
    ],
)
def test_a_pack_is_killed_or_meets_a_full_disk(tmp_path, format, fault, options, stride):
    stride = 1 if extent.is_full() else stride
    walk = [sys.executable, WALK, tmp_path, "--formats", format, *options, "--faults", fault]
    walked = subprocess.run([*walk, "--every", str(stride)], capture_output=True, text=True)
    assert walked.returncode == 0, walked.stdout + walked.stderr
    assert walked.stdout.count(" 0 problems") == 1
