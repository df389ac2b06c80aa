"""Fixtures for the examples of docstrings (getfixture), and the option `--all`."""

import gc
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import fastpack
from tests.support import extent

# An adapter can be imported only if its framework is installed.
ADAPTERS = {"huggingface": "datasets", "jax": "jax", "tensorflow": "tensorflow", "torch": "torch"}
collect_ignore = [
    f"fastpack/{adapter}.py"
    for adapter, framework in ADAPTERS.items()
    if find_spec(framework) is None
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all",
        action="store_true",
        help="run long tests in full instead of a part of them",
    )


# First, because the conftest of tests/ asks for the extent in its own hook.
@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--all"):
        extent.select_all()


def pytest_collection_finish() -> None:
    """Exempts what was collected from the garbage collector, which some tests call."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Return a TFRecord of ten 8x8 RGB PNGs of different colors, labeled 0 to 9."""
    paths = []
    for digit in range(10):
        path = tmp_path / f"{digit}.png"
        path.write_bytes(fastpack.encode(np.full((8, 8, 3), 25 * digit, np.uint8), "png"))
        paths.append(path)
    fastpack.packing.snippets.write_tfrecord(paths, range(10), tmp_path / "digits.tfrecord")
    return tmp_path / "digits.tfrecord"
