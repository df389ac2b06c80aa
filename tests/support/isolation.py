"""Runs a test marked `isolated` in an interpreter of its own.

Open files, threads, memory and signals belong to a whole process. A process that has run thousands
of tests may still close files and end threads of earlier ones. A test that counts them needs a
fresh process.
"""

import os
import subprocess
import sys

import pytest

# Set in the child, which runs the test's body.
_IS_CHILD = "FASTPACK_TEST_IS_ISOLATED"
_SECONDS = 300


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Called in place of the test's body; None leaves the call to pytest."""
    if _IS_CHILD in os.environ or pyfuncitem.get_closest_marker("isolated") is None:
        return None
    ended = _run_alone(pyfuncitem)
    if ended.returncode:
        pytest.fail(f"in a process of its own:\n{ended.stdout}{ended.stderr}", pytrace=False)
    if " skipped" in ended.stdout.rsplit("\n", 2)[-2]:
        pytest.skip(ended.stdout)
    return True


def _run_alone(item: pytest.Function) -> subprocess.CompletedProcess[str]:
    options = [
        "-q",
        "-rs",
        "-p",
        "no:cacheprovider",
        "--benchmark-disable",
        "--rootdir",
        str(item.config.rootpath),
    ]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, item.nodeid],
        cwd=item.config.rootpath,
        env={**os.environ, _IS_CHILD: "1"},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
