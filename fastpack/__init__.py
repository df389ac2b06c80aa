"""fastpack: piles of images in standard TFRecord and HDF5 files, read at the speed of the disk and of the decoder."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastpack.core.batch import Batch
from fastpack.core.limits import Limits
from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Field, Schema
from fastpack.errors import FastpackError, FastpackWarning
from fastpack.formats.index.index import Index
from fastpack.formats.indexing import IndexResult, build_indexes
from fastpack.images.codecs import decode, encode
from fastpack.images.headers import probe
from fastpack.images.transforms import (
    CenterCrop,
    HorizontalFlip,
    Normalize,
    RandomCrop,
    RandomResizedCrop,
    Resize,
    ResizeShort,
)
from fastpack.loading.loader import Loader
from fastpack.loading.options import LoaderOptions
from fastpack.reading.mixture import Balanced, Mix
from fastpack.reading.open import concat, open
from fastpack.reading.options import ReadOptions
from fastpack.reading.order import Sequential, Shuffle
from fastpack.reading.reader import Reader

if TYPE_CHECKING:
    from fastpack.integrity.repair import RepairResult, repair
    from fastpack.integrity.verify import VerifyResult, verify
    from fastpack.packing.convert import convert
    from fastpack.packing.extract import ExtractResult, extract
    from fastpack.packing.options import PackOptions
    from fastpack.packing.pack import PackResult, pack
    from fastpack.packing.rejects import Reject
    from fastpack.packing.snippets import create_hdf5, read_hdf5, read_tfrecord, write_tfrecord
    from fastpack.packing.virtual_dataset import write_virtual_dataset
    from fastpack.sources import ImageFiles, from_folder, from_table

__version__ = "0.1.0"

# A training loop reads. What writes, mends and compares took a third of the time to import, and is imported when named.
_NAMES_LATER = {
    "integrity.repair": ("RepairResult", "repair"),
    "integrity.verify": ("VerifyResult", "verify"),
    "packing.convert": ("convert",),
    "packing.extract": ("ExtractResult", "extract"),
    "packing.options": ("PackOptions",),
    "packing.pack": ("PackResult", "pack"),
    "packing.rejects": ("Reject",),
    "packing.snippets": ("create_hdf5", "read_hdf5", "read_tfrecord", "write_tfrecord"),
    "packing.virtual_dataset": ("write_virtual_dataset",),
    "sources": ("ImageFiles", "from_folder", "from_table"),
}
_LATER = {name: module for module, names in _NAMES_LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


__all__ = [
    "Balanced",
    "Batch",
    "CenterCrop",
    "ExtractResult",
    "FastpackError",
    "FastpackWarning",
    "Field",
    "HorizontalFlip",
    "ImageFiles",
    "Index",
    "IndexResult",
    "Limits",
    "Loader",
    "LoaderOptions",
    "Mix",
    "Normalize",
    "PackOptions",
    "PackResult",
    "Ragged",
    "RandomCrop",
    "RandomResizedCrop",
    "ReadOptions",
    "Reader",
    "Reject",
    "RepairResult",
    "Resize",
    "ResizeShort",
    "Schema",
    "Sequential",
    "Shuffle",
    "Text",
    "VerifyResult",
    "build_indexes",
    "concat",
    "convert",
    "create_hdf5",
    "decode",
    "encode",
    "extract",
    "from_folder",
    "from_table",
    "open",
    "pack",
    "probe",
    "read_hdf5",
    "read_tfrecord",
    "repair",
    "verify",
    "write_tfrecord",
    "write_virtual_dataset",
]
