"""Fixtures: sets on disk, to be copied to stores, and a folder for local metadata."""

from collections.abc import Callable
from pathlib import Path

import pytest

import fastpack
from tests.support.stores.fixtures import RunningServers
from tests.support.stores.sets import ENDINGS, NUM_SHARDS, StoredCopy, make_images


@pytest.fixture(autouse=True)
def metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of local metadata."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "fastpack" / "indexes"


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Format -> name of a set of four shards on disk; and the images that they are of."""
    folder = tmp_path_factory.mktemp("sets")
    images, found = make_images(folder / "images"), {}
    for name, ending in ENDINGS.items():
        found[name] = folder / name / f"train.{ending}"
        found[name].parent.mkdir()
        fastpack.pack(images, found[name], shards=NUM_SHARDS)
    found["images"] = images
    return found


_numbers = iter(range(1_000_000))


@pytest.fixture
def copy(
    servers: RunningServers, sets: dict[str, Path], tmp_path: Path
) -> Callable[..., StoredCopy]:
    """Calling it with a format copies that set to a store, from a copy of its own on disk."""

    def copied(format: str = "tfrecord", server: str = "seaweedfs", **put: bool) -> StoredCopy:
        number = next(_numbers)
        local = tmp_path / f"local-{number}" / sets[format].name
        local.parent.mkdir()
        for path in sets[format].parent.iterdir():
            (local.parent / path.name).write_bytes(path.read_bytes())
        return StoredCopy(local, servers[server], f"open-{number}").put(**put)

    return copied
