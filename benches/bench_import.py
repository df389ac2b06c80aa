"""Benchmark of importing what a training loop uses, in a new interpreter. The baseline is numpy."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fastpack

# Where fastpack lies: `python -c` looks in the current folder.
_ROOT = Path(fastpack.__file__).parent.parent


@pytest.mark.benchmark(group="import")
@pytest.mark.parametrize(
    ("name", "used"), [("numpy", "numpy.array"), ("fastpack", "fastpack.open, fastpack.Loader")]
)
def test_import(benchmark: Any, name: str, used: str) -> None:
    # fastpack imports its names at first use.
    command = [sys.executable, "-c", f"import {name}; {used}; print({name}.__version__)"]
    result = benchmark(
        lambda: subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    )
    assert result.stdout.strip() == sys.modules[name].__version__
