"""Verification, repair and comparison of datasets."""

from typing import TYPE_CHECKING

from fastpack.core.lazy import lazy_names

if TYPE_CHECKING:
    from fastpack.integrity.repair import RepairResult
    from fastpack.integrity.verify import VerifyResult
else:
    __getattr__, __dir__ = lazy_names(
        __name__, {"repair": "RepairResult", "verify": "VerifyResult"}
    )

__all__ = ["RepairResult", "VerifyResult"]
