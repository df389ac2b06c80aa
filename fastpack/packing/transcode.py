"""FastJpegs: rewrites slow JPEGs as fast ones without loss, and counts them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fastpack._native.transcode import REASONS, Transcoder
from fastpack.core.limits import Limits

Jpeg = Literal["keep", "fast"]
Metadata = Literal["keep", "strip"]

JPEG_CHOICES: tuple[Jpeg, ...] = ("keep", "fast")
METADATA_CHOICES: tuple[Metadata, ...] = ("keep", "strip")

# Outcome of a sample: 0 is not a JPEG, 1 rewritten, 2 + i unchanged for the reason _REASONS[i].
_FAST, _LEFT_ALONE = 1, 2
_REASONS = sorted(REASONS.values())


@dataclass(frozen=True)
class Transcodes:
    """Counts of the rewritten and the unchanged JPEGs of a pack.

    Args:
        num_transcoded: JPEGs that were rewritten.
        bytes_before: their bytes before, in all.
        bytes_after: their bytes after, in all.
        left_alone: reason -> number of unchanged JPEGs. "fast already"; "would grow" by more than a
            quarter; "unusual": damaged, not supported by libjpeg-turbo, or with data after the
            image.
    """

    num_transcoded: int
    bytes_before: int
    bytes_after: int
    left_alone: dict[str, int]

    @classmethod
    def joined(cls, parts: Iterable["Transcodes"]) -> "Transcodes":
        """Add the counts of several shards.

        >>> shards = Transcodes(1, 9, 10, {"unusual": 2}), Transcodes(2, 8, 8, {"unusual": 1})
        >>> Transcodes.joined(shards)
        Transcodes(num_transcoded=3, bytes_before=17, bytes_after=18, left_alone={'unusual': 3})
        """
        all_parts = list(parts)
        counts = {
            reason: sum(part.left_alone.get(reason, 0) for part in all_parts) for reason in _REASONS
        }
        return cls(
            sum(part.num_transcoded for part in all_parts),
            sum(part.bytes_before for part in all_parts),
            sum(part.bytes_after for part in all_parts),
            {reason: count for reason, count in counts.items() if count},
        )


class FastJpegs:
    """Rewrites slow JPEGs with one sequential Huffman scan.

    Progressive, arithmetic and multi-scan JPEGs are slow; all others stay unchanged. Quantized
    coefficients stay the same, so every decoder gives the same pixels. Each rewritten JPEG is
    read back to check that.

    Args:
        num_samples: samples of the pack.
        strip: remove metadata from rewritten JPEGs, except the orientation.
        limits: bounds for pixels and scans.
    """

    def __init__(self, num_samples: int, *, strip: bool, limits: Limits) -> None:
        self._strip, self._limits = strip, limits
        self._outcomes = np.zeros(num_samples, np.uint8)
        self._sizes_before = np.zeros(num_samples, np.int64)
        self._sizes_after = np.zeros(num_samples, np.int64)

    def transcoder(self) -> Transcoder:
        """Make a transcoder for one thread."""
        return Transcoder(
            self._strip, max_pixels=self._limits.max_pixels, max_scans=self._limits.max_scans
        )

    def made_fast(self, row: int, jpeg: bytes, transcoder: Transcoder) -> bytes:
        """Return the JPEG to write for sample `row`; repeated calls return the same."""
        found = transcoder.transcode(jpeg)
        if isinstance(found, str):
            self._outcomes[row] = _LEFT_ALONE + _REASONS.index(found)
            return jpeg
        self._outcomes[row] = _FAST
        self._sizes_before[row], self._sizes_after[row] = len(jpeg), len(found)
        return found

    def transcodes(self, first: int, end: int) -> Transcodes:
        """Count the written samples [first, end)."""
        outcomes = self._outcomes[first:end]
        is_fast = outcomes == _FAST
        before = int(self._sizes_before[first:end][is_fast].sum())
        after = int(self._sizes_after[first:end][is_fast].sum())
        counts = np.bincount(outcomes, minlength=_LEFT_ALONE + len(_REASONS))[_LEFT_ALONE:]
        left_alone = {
            reason: count for reason, count in zip(_REASONS, counts.tolist(), strict=True) if count
        }
        return Transcodes(int(np.count_nonzero(is_fast)), before, after, left_alone)
