"""A folder of one test in a store, to pack to."""

import fastpack
from fastpack.stores.store_path import StorePath

_numbers = iter(range(1_000_000))


class Bucket:
    """A folder of a test in a store, and its scratch folder."""

    def __init__(self, server, scratch):
        self.server, self.scratch = server, scratch
        self.use_another_folder()

    def use_another_folder(self):
        self.prefix = f"pack-{next(_numbers)}"
        options = {**self.server.options, "deadline": 10}
        self.folder = StorePath.of(f"{self.server.url}/{self.prefix}", options)

    def pack(self, source, name="train.tfrecord", **options):
        """Packs to three shards, through the test's scratch folder."""
        return fastpack.pack(
            source, self.folder / name, **{"shards": 3, "scratch": self.scratch, **options}
        )

    def names(self):
        found = self.server.objects(f"{self.prefix}/")
        return [each.key.removeprefix(f"{self.prefix}/") for each in found]

    def read(self, name):
        return self.server.read(f"{self.prefix}/{name}")

    def shards(self, name="train.tfrecord"):
        """Name -> bytes of the shards that the reader finds."""
        dataset = fastpack.open(self.folder / name)
        paths = [shard.path for shard in dataset.index.shards]
        return {path.name: path.store.read(path.key) for path in paths}

    def faults(self, *rules):
        self.server.proxy.rules.set(*rules)

    def puts(self):
        """Names of the objects that were put, since the last `forget`."""
        requests = [each for each in self.server.proxy.requests if each.kind in ("put", "complete")]
        return [each.key.removeprefix(f"{self.prefix}/") for each in requests]
