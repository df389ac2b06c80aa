"""PackResult: what `pack` wrote."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fastpack.packing.rejects import Reject
from fastpack.packing.transcode import Transcodes


@dataclass(frozen=True)
class PlannedShard:
    """A shard that a real run would write.

    Args:
        path: its file.
        num_samples: its number of samples.
        num_bytes: its estimated size in bytes.
    """

    path: Path
    num_samples: int
    num_bytes: int


@dataclass(frozen=True)
class PackResult:
    """The result of `pack` or `convert`.

    Args:
        paths: the files, in order; after a dry run, those that a real run would write.
        num_samples: samples in these files.
        source_bytes: bytes of the images that were read.
        output_bytes: bytes of the files; an estimate after a dry run.
        seconds: time that the call took.
        transcodes: with jpeg="fast": how many JPEGs were rewritten.
        rejects: samples that were left out, and duplicates if they are reported, in the source's
            order.
        report: file that lists the rejects; None without rejects.
        planned: after a dry run: the files that a real run would write.
        notes: guesses about the source and omissions, one sentence each. `pack` also warns of them.
        splits: name -> number of samples of each split; empty without `split`.

    Example:
        >>> PackResult((Path("train.h5"),), 10, 5000, 6000, 0.5).num_samples
        10
    """

    paths: tuple[Path, ...]
    num_samples: int
    source_bytes: int
    output_bytes: int
    seconds: float
    transcodes: Transcodes | None = None
    rejects: tuple[Reject, ...] = ()
    report: Path | None = None
    planned: tuple[PlannedShard, ...] = ()
    notes: tuple[str, ...] = ()
    splits: Mapping[str, int] = field(default_factory=dict)
