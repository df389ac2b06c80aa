"""Whatever call of a pack is the last one, or fails: nothing half-written is seen, and resuming gives the same bytes.

The whole walk, over more faults and random times, is `python tests/faults/walk.py FOLDER`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

WALK = Path(__file__).with_name("walk.py")


@pytest.mark.skipif(sys.platform != "linux", reason="the shim is preloaded")
@pytest.mark.parametrize(
    ("format", "faults", "how"),
    [
        ("tfrecord", ["kill", "ENOSPC"], []),
        ("hdf5", ["kill", "ENOSPC"], []),
        ("hdf5", ["kill"], ["--altering"]),
        ("tfrecord", ["kill"], ["--to", "old", "--last", "42"]),
        ("hdf5", ["kill"], ["--to", "appended", "--virtual", "--last", "42"]),
    ],
)
def test_a_pack_that_is_killed_or_meets_a_full_disk(tmp_path, format, faults, how, thorough):
    every = (
        [] if thorough else ["--every", "7"]
    )  # no divisor of the calls that a shard takes: each kind of call is met
    walk = [sys.executable, WALK, tmp_path, "--formats", format, *how, *every, "--faults", *faults]
    walked = subprocess.run(walk, capture_output=True, text=True)
    assert walked.returncode == 0, walked.stdout + walked.stderr
    assert walked.stdout.count(" 0 problems") == len(faults)
