"""Limits: how much a file may claim before it is refused. Each has a name, a default and an error that names it."""

from dataclasses import dataclass

from fastpack.core.checks import integer, settle


@dataclass(frozen=True)
class Limits:
    """What untrusted files may cost.

    - max_pixels: width x height of one image. 2**28 is a 768 MiB RGB array. A stored array may have four numbers for each.
    - max_scans: of a progressive JPEG; each is a pass over the whole image.
    - max_record_bytes: of one TFRecord record.
    - max_features: names of features in one TFRecord; each is a column in memory.
    - max_chunk_bytes: of one decoded chunk of an HDF5 dataset; each thread holds one.
    - max_datasets: groups and datasets of one HDF5 file; finding 10,000 takes a second.
    - max_index_bytes, max_index_seconds: memory and time of the process that indexes an untrusted HDF5 file.
    """

    max_pixels: int = 2**28
    max_scans: int = 500
    max_record_bytes: int = 2**31
    max_features: int = 4096
    max_chunk_bytes: int = 2**30
    max_datasets: int = 2**17
    max_index_bytes: int = 2**32
    max_index_seconds: int = 600

    def __post_init__(self) -> None:
        settle(self, **{name: integer(name, value, 1) for name, value in vars(self).items()})


DEFAULT_LIMITS = Limits()
