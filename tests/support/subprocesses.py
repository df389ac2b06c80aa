"""Runs code in a Python of its own."""

import os
import subprocess
import sys
from pathlib import Path

import fastpack

# Only so that a deadlock fails a test; none comes near it.
PATIENCE_S = 60


def run_python(code, *arguments, stdin=b""):
    """Returns the output of a new Python; asserts that it succeeds."""
    path = os.pathsep.join([str(Path(fastpack.__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()
