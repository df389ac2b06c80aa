"""RecordDigest: what a file held when it was first indexed, so that a later index cannot make one forget that it held more."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c


@dataclass(frozen=True)
class RecordDigest:
    """How many records, and a digest of their lengths and checksums, in order."""

    num_records: int
    digest: int

    @classmethod
    def of(cls, spans: npt.NDArray[Any]) -> "RecordDigest":
        """spans (n,) of SPAN, one for each record; where no checksum is known, the lengths alone are sealed.

        >>> from fastpack.core.dtypes import SPAN
        >>> RecordDigest.of(np.zeros(3, SPAN)) == RecordDigest.of(np.zeros(2, SPAN))
        False
        """
        facts = np.empty((len(spans), 2), "<u8")
        facts[:, 0] = np.where(spans["record_length"] > 0, spans["record_length"], spans["length"])
        facts[:, 1] = spans["crc32c"]
        return cls(len(spans), crc32c(facts.reshape(-1).view(np.uint8)))
