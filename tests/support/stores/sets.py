"""Sets of shards in a store, and the same set on disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import fastpack
from fastpack.files.companions import is_beside
from fastpack.stores.store_path import StorePath, as_path
from tests.support.stores.store_server import StoreServer

ENDINGS = {"tfrecord": "tfrecord", "tar": "tar", "hdf5": "h5"}
NUM_SAMPLES, NUM_SHARDS = 40, 4


def make_images(folder: Path, size: int = 40) -> Path:
    """Writes a folder of two classes of small JPEGs."""
    random = np.random.default_rng(18)
    for number in range(NUM_SAMPLES):
        path = folder / "ab"[number % 2] / f"{number:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 255, (size, size + 10, 3), dtype=np.uint8)
        assert cv2.imwrite(str(path), pixels)
    return folder


@dataclass
class StoredCopy:
    """A set on disk and its copy in a store.

    Args:
        local: the name of the set on disk.
        server: of the store.
        folder: of the copy, below the root.
    """

    local: Path
    server: StoreServer
    folder: str

    @property
    def url(self) -> str:
        return f"{self.server.url}/{self.folder}/{self.local.name}"

    @property
    def path(self) -> StorePath:
        return StorePath.of(self.url, self.server.options)

    @property
    def shards(self) -> list[Path]:
        files = [path for path in self.local.parent.iterdir() if path.is_file()]
        return sorted(path for path in files if not is_beside(path))

    def key(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def put(self, *, companions: bool = True) -> "StoredCopy":
        """Stores the shards, and with `companions` what lies beside them."""
        for path in self.local.parent.iterdir():
            if companions or not is_beside(path):
                self.server.put(self.key(path.name), path.read_bytes())
        return self

    def put_root_manifest(self, names: list[str] | None = None) -> "StoredCopy":
        """Stores a manifest with the etags of the objects, as a pack to a store does."""
        from fastpack.formats.file_index import FileIndex
        from fastpack.formats.manifest_builder import ManifestBuilder

        names = names or [path.name for path in self.shards]
        paths = [self.path.with_name(name) for name in names]
        builder = ManifestBuilder(list(map(as_path, paths)))
        scratch = self.local.parent / "scratch"
        scratch.mkdir(exist_ok=True)
        for number, path in enumerate(paths):
            index = FileIndex(as_path(path), scratch).open_saved()
            assert index is not None
            builder.add(number, index)
        saved = scratch / "saved"
        builder.manifest().save(saved, "")
        self.server.put(self.key(f"{self.local.name}.manifest"), saved.read_bytes())
        return self

    def open(self, what: str | None = None, **options: Any) -> fastpack.Reader:
        url = self.url if what is None else f"{self.server.url}/{self.folder}/{what}"
        options = {"storage_options": self.server.options, "transform": None, **options}
        return fastpack.open(url, **options)

    def opened_locally(self) -> fastpack.Reader:
        return fastpack.open(self.local, transform=None)
