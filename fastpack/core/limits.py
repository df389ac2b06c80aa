"""Limits on the memory and time that a file may need; the errors name them."""

from dataclasses import dataclass

from fastpack.core.checks import integer, settle


@dataclass(frozen=True)
class Limits:
    """Limits on the memory and time that untrusted files may need.

    Args:
        max_pixels: width x height of one image; 2**28 pixels are 768 MiB of RGB. A stored array may
            have four numbers for each pixel.
        max_scans: scans of a progressive JPEG; each decodes the whole image.
        max_record_bytes: bytes of one TFRecord record.
        max_features: names of features in one TFRecord file; each is a column in memory.
        max_chunk_bytes: bytes of one decoded chunk of an HDF5 dataset; each thread holds one.
        max_datasets: groups and datasets of one HDF5 file; 10,000 take a second to list.
        max_index_bytes: memory of the process that indexes an untrusted HDF5 file.
        max_index_seconds: time of that process in seconds.

    Raises:
        OptionError: A limit is not a positive integer.

    Example:
        >>> Limits(max_pixels=2**26).max_pixels
        67108864
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
