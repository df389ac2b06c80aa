"""setup.py: one message names all system packages that are missing."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(
    not (ROOT / "setup.py").exists(), reason="the tests run beside a build, without its sources"
)


def set_up_with(pkg_config: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`setup.py --name`, where the pkg-config that it finds is this script."""
    script = folder / "pkg-config"
    script.write_text(f"#!/bin/sh\n{pkg_config}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(
        [sys.executable, "setup.py", "--name"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("pkg_config", "packages"),
    [
        ('case "$*" in *libjpeg*|*libzstd*) exit 1; esac; echo 1', "libjpeg-dev libzstd-dev"),
        ("exit 1", "pkg-config libjpeg-dev libdeflate-dev liblz4-dev libzstd-dev"),
    ],
    ids=["two libraries", "no pkg-config"],
)
def test_all_that_is_missing_is_named_at_once(tmp_path, pkg_config, packages):
    done = set_up_with(pkg_config, tmp_path)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].endswith(f"apt-get install {packages}")
