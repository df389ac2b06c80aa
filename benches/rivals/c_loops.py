"""References: C loops over pread and libjpeg-turbo, into preallocated memory."""

import os
from pathlib import Path
from typing import Any

import numpy as np

import fastpack
from benches.internals import Ragged, offsets_of, probe_blobs
from benches.reference import decode_loop, pread_loop
from benches.rivals.fastpack import write
from benches.rivals.protocol import Amount, Task, Workload, serve, shuffled


class Spans:
    """Spans of a packed file, in sample order."""

    def __init__(self, task: Task) -> None:
        path = write(task, task.fresh_folder("packed"))
        self.spans: Any = fastpack.open(path, decode=False).index.spans["image"]
        longest = int(max(self.spans["record_length"].max(), self.spans["length"].max()))
        self.out = np.ones(task.batch * longest, np.uint8)
        self._fd = os.open(path, os.O_RDONLY)
        self._num_threads = task.num_threads

    def read_records(self, batch: list[int]) -> None:
        """Read whole records with CRC-32C: a TFRecord's checksum covers the whole record."""
        self._read(
            batch,
            "record_offset",
            "record_length",
            np.ascontiguousarray(self.spans["crc32c"][batch]),
        )

    def read_blobs(self, batch: list[int]) -> None:
        self._read(batch, "offset", "length", None)

    def _read(self, batch: list[int], offset: str, length: str, crcs: Any) -> None:
        offsets, lengths = (
            np.ascontiguousarray(self.spans[name][batch]) for name in (offset, length)
        )
        pread_loop(self._fd, offsets, lengths, self.out, num_threads=self._num_threads, crcs=crcs)


def records(task: Task) -> Workload:
    places = Spans(task)

    def read(batch: list[int]) -> Amount:
        places.read_records(batch)
        return Amount(len(batch), int(places.spans["length"][batch].sum()))

    return Workload(lambda: sum(map(read, shuffled(task)), Amount()))


def pixels(task: Task) -> Workload:
    places = Spans(task)

    def read(batch: list[int]) -> Amount:
        places.read_blobs(batch)
        return Amount(len(batch), len(batch) * task.size**2 * 3)

    return Workload(lambda: sum(map(read, shuffled(task)), Amount()))


def decode(task: Task) -> Workload:
    """Decode all JPEGs; a repeated photo is decoded to the same memory."""
    distinct = list(dict.fromkeys(task.paths))
    rounds, rest = divmod(len(task), len(distinct))
    jpegs = Ragged.of_bytes(Path(path).read_bytes() for path in distinct)
    infos, _ = probe_blobs(jpegs)
    starts = offsets_of(infos["width"].astype(np.int64) * infos["height"] * 3)
    out = np.ones(starts[-1], np.uint8)

    def run() -> Amount:
        for _ in range(rounds):
            decode_loop(jpegs.values, jpegs.offsets, out, starts, num_threads=task.num_threads)
        decode_loop(
            jpegs.values,
            jpegs.offsets[: rest + 1],
            out,
            starts[: rest + 1],
            num_threads=task.num_threads,
        )
        return Amount(len(task), rounds * int(starts[-1]) + int(starts[rest]))

    return Workload(run)


if __name__ == "__main__":
    serve("", {"records": records, "pixels": pixels, "decode": decode})
