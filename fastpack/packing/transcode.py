"""FastJpegs: JPEGs that take long to decode become fast ones, without a loss; and what became of each."""

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

# What became of a sample, if it is a JPEG: it was made fast; or from the second on, left alone for the reason of that place.
_FAST, _LEFT_ALONE = 1, 2
_REASONS = sorted(REASONS.values())


@dataclass(frozen=True)
class Transcodes:
    """What became of the JPEGs of a pack.

    - num_transcoded: how many were replaced; bytes_before, bytes_after: of these, in all.
    - left_alone: why others were not -> how many: "fast already"; "would grow", by more than a quarter; "unusual": damaged,
      of a kind that libjpeg-turbo cannot rewrite, or with something behind the image that would get lost.
    """

    num_transcoded: int
    bytes_before: int
    bytes_after: int
    left_alone: dict[str, int]

    @classmethod
    def joined(cls, parts: Iterable["Transcodes"]) -> "Transcodes":
        """Of several shards.

        >>> Transcodes.joined([Transcodes(1, 9, 10, {"unusual": 2}), Transcodes(2, 8, 8, {"unusual": 1})])
        Transcodes(num_transcoded=3, bytes_before=17, bytes_after=18, left_alone={'unusual': 3})
        """
        all_parts = list(parts)
        counted = (
            (reason, sum(part.left_alone.get(reason, 0) for part in all_parts))
            for reason in _REASONS
        )
        return cls(
            sum(part.num_transcoded for part in all_parts),
            sum(part.bytes_before for part in all_parts),
            sum(part.bytes_after for part in all_parts),
            {reason: count for reason, count in counted if count},
        )


class FastJpegs:
    """Makes progressive and arithmetic JPEGs, and those of several scans, sequential ones of one scan with Huffman codes made
    for them. Their quantised coefficients stay what they are, which each image is read back for, so every decoder gives the same
    pixels; all others stay as they are, byte for byte.

    - num_samples: of the pack, for what became of each.
    - strip: take metadata out of those that are transcoded, but for the orientation.
    """

    def __init__(self, num_samples: int, *, strip: bool, limits: Limits) -> None:
        self._strip, self._limits = strip, limits
        self._fates = np.zeros(num_samples, np.uint8)
        self._sizes_before, self._sizes_after = (
            np.zeros(num_samples, np.int64),
            np.zeros(num_samples, np.int64),
        )

    def transcoder(self) -> Transcoder:
        """For one thread at a time."""
        return Transcoder(
            self._strip, max_pixels=self._limits.max_pixels, max_scans=self._limits.max_scans
        )

    def made_fast(self, row: int, jpeg: bytes, transcoder: Transcoder) -> bytes:
        """The JPEG that is written for sample `row`. Who asks again is given the same."""
        found = transcoder.transcode(jpeg)
        if isinstance(found, str):
            self._fates[row] = _LEFT_ALONE + _REASONS.index(found)
            return jpeg
        self._fates[row], self._sizes_before[row], self._sizes_after[row] = (
            _FAST,
            len(jpeg),
            len(found),
        )
        return found

    def transcodes(self, first: int, end: int) -> Transcodes:
        """Of samples [first, end), once they are written."""
        fates, is_fast = self._fates[first:end], self._fates[first:end] == _FAST
        before, after = (
            int(sizes[first:end][is_fast].sum())
            for sizes in (self._sizes_before, self._sizes_after)
        )
        counts = np.bincount(fates, minlength=_LEFT_ALONE + len(_REASONS))[_LEFT_ALONE:].tolist()
        left_alone = {
            reason: count for reason, count in zip(_REASONS, counts, strict=True) if count
        }
        return Transcodes(int(np.count_nonzero(is_fast)), before, after, left_alone)
