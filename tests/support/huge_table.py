"""HugeTable: a table of any number of samples, computed from the samples of one small file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import fastpack
from fastpack.core.dtypes import Rows
from fastpack.formats.index.index import Index
from fastpack.formats.table import IndexTable
from fastpack.reading.options import ReadOptions
from fastpack.reading.reader import Reader
from fastpack.reading.samples import Samples
from tests.support.samples import numbered_shard


class HugeTable(IndexTable):
    """Sample i has the image of record i % k of a TFRecord of k records, and the label i."""

    def __init__(self, index: Index, num_samples: int) -> None:
        super().__init__(index)
        self._num_samples = num_samples

    @property
    def digest(self) -> tuple[str, str]:
        return "files", str(self._num_samples)

    def __len__(self) -> int:
        return self._num_samples

    def take(self, rows: Rows, names: Sequence[str] | None = None) -> Index:
        entries = super().take(rows % super().__len__(), names)
        labels = {"label": np.array(rows)} if "label" in entries.columns else {}
        return replace(entries, columns={**entries.columns, **labels})


def huge(folder: Path, num_samples: int, **options) -> Reader:
    """Returns a Reader over so many samples. `label` is the number of each."""
    path = folder / "tiny.tfrecord"
    if not path.exists():
        numbered_shard(path, [b"%d" % i for i in range(7)])
    small = fastpack.open(path, kinds={"image": "bytes"})
    table = HugeTable(small.index, num_samples)
    return Reader(Samples.of(table), ReadOptions(**options))
