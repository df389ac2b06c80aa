"""RecordDigest: the records of a file when it was first indexed.

A file cut between two records is still valid. Only the digest in its index shows the loss.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c


@dataclass(frozen=True)
class RecordDigest:
    """Number of records, and a digest of their lengths and checksums, in order."""

    num_records: int
    digest: int

    @classmethod
    def of_json(cls, saved: Any) -> "RecordDigest":
        """Make the digest that an index has saved as a list. Raises ValueError or TypeError."""
        num_records, digest = saved
        return cls(int(num_records), int(digest))

    @classmethod
    def of(cls, spans: npt.NDArray[Any]) -> "RecordDigest":
        """Return the digest of spans (n,) SPAN, one for each record.

        Records without a checksum are known by their lengths alone.

        >>> from fastpack.core.dtypes import SPAN
        >>> RecordDigest.of(np.zeros(3, SPAN)) == RecordDigest.of(np.zeros(2, SPAN))
        False
        """
        facts = np.empty((len(spans), 2), "<u8")
        facts[:, 0] = np.where(spans["record_length"] > 0, spans["record_length"], spans["length"])
        facts[:, 1] = spans["crc32c"]
        return cls(len(spans), crc32c(facts.reshape(-1).view(np.uint8)))
