"""Fixtures of several test files, isolated tests and the profile of hypothesis."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from fastpack._native.decode import use_sequential
from fastpack.packing.staging import Staging
from tests.support import isolation
from tests.support.command_line import write_image
from tests.support.extent import num_examples
from tests.support.images import jpeg, photo, save, to_pillow, with_orientation
from tests.support.stores.fixtures import reachable, servers

__all__ = ["reachable", "servers"]

# Called by pytest in place of the bodies of tests marked `isolated`.
pytest_pyfunc_call = isolation.pytest_pyfunc_call


def pytest_configure() -> None:
    """Sets how many examples hypothesis tries."""
    settings.register_profile(
        "fastpack",
        deadline=None,  # tests never depend on time
        derandomize=bool(os.environ.get("CI")),
        max_examples=num_examples(40),
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("fastpack")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need servers of object stores."""
    for item in items:
        if "servers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stores)


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], AbstractContextManager[None]]:
    """Return a context manager that interrupts a pack after some shards, as Ctrl-C does."""

    @contextmanager
    def stopping(num_shards: int) -> Iterator[None]:
        finish, left = Staging.finish, iter(range(num_shards))

        def finish_some(self: Staging, *facts: Any) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt
            finish(self, *facts)

        with monkeypatch.context() as patched:
            patched.setattr(Staging, "finish", finish_some)
            yield

    return stopping


@pytest.fixture(scope="module")
def own_decoder() -> Iterator[None]:
    """Use fastpack's own JPEG decoder for small images too."""
    use_sequential("always")
    yield
    use_sequential("where it pays")


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """Three class folders with a dozen images of several formats, sizes and orientations."""
    files = {
        "cat/a.jpg": jpeg(120, 160, seed=1, quality=85),
        "cat/b.jpeg": jpeg(97, 131, seed=2, subsampling=0),
        "cat/c.png": save(photo(40, 60, seed=3), "PNG"),
        "cat/d.webp": save(photo(50, 45, seed=4), "WEBP", quality=80),
        "dog/a.jpg": with_orientation(jpeg(64, 96, seed=5), 6),
        "dog/b.jpg": jpeg(33, 17, seed=6, progressive=True),
        "dog/c.jpg": jpeg(70, 50, seed=7, channels=1),
        "dog/d.png": save(to_pillow(photo(31, 29, 4, seed=8)), "PNG"),
        "owl/a.JPG": jpeg(200, 150, seed=9, quality=95, subsampling=1),
        "owl/b.bmp": save(photo(25, 35, seed=10), "BMP"),
        "owl/c.tiff": save(photo(35, 25, seed=11), "TIFF"),
        "owl/d.jpg": jpeg(1, 1, seed=12),
    }
    root = tmp_path / "photos"
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three JPEGs of cats, 40 wide and 30 high; two PNGs of dogs, 20 wide and 60 high."""
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(3):
        write_image(root / "cat" / f"{number}.jpeg", 30, 40, 50 * number)
    for number in range(2):
        write_image(root / "dog" / f"{number}.png", 60, 20, 100 + number)
    return root
