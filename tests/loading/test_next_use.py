"""The next use of each block of a cache."""

from types import SimpleNamespace

import numpy as np

from fastpack.loading.next_use import NextUse
from fastpack.reading.order import Shuffle
from fastpack.stores.block_cache import identity_of
from fastpack.stores.block_file import BLOCK_BYTES
from fastpack.stores.cache_folder import StoredBlock
from fastpack.stores.reads import RemoteFile
from fastpack.stores.store_path import StorePath

# Samples of 1 MiB: a block has four.
COUNTS = [40, 22]


def shards():
    return [
        SimpleNamespace(path=StorePath.of(f"s3://b/{number}"), size=count * 2**20, etag="1")
        for number, count in enumerate(COUNTS)
    ]


def block_of(shard, number):
    file = RemoteFile(shard.path, shard.size, shard.etag)
    return StoredBlock(identity_of(file), number, BLOCK_BYTES, 0)


def test_next_uses_are_those_of_the_order():
    found, order = shards(), Shuffle(3).order(range(sum(COUNTS)))
    reader = SimpleNamespace(shard_counts=lambda: zip(found, COUNTS, strict=True))
    next_use = NextUse(reader, SimpleNamespace(order=order), 2)
    samples = [order.samples_at(epoch, np.arange(sum(COUNTS))).samples.tolist() for epoch in (2, 3)]
    upcoming = samples[0] + samples[1]
    firsts = [0, COUNTS[0]]
    blocks, known = [StoredBlock("f" * 32, 0, 1, 0)], []
    for shard, first, count in zip(found, firsts, COUNTS, strict=True):
        for number in range(-(-count // 4)):
            blocks.append(block_of(shard, number))
            known.append(range(first + 4 * number, first + min(4 * number + 4, count)))
    for position in (0, 17, sum(COUNTS) - 1):
        next_use.position = position
        uses = next_use(blocks)
        assert np.isnan(uses[0])
        expected = [
            min(upcoming.index(sample, position) for sample in of_block) for of_block in known
        ]
        assert uses[1:].tolist() == expected
