"""fastpack: piles of images in standard TFRecord and HDF5 files, read at the speed of the disk and of the decoder."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fastpack.batch import Batch
from fastpack.codecs import decode, encode
from fastpack.errors import FastpackError, FastpackWarning
from fastpack.headers import probe
from fastpack.index import Index
from fastpack.indexing import Indexed, build_indexes
from fastpack.limits import Limits
from fastpack.loader import Loader, LoaderOptions
from fastpack.options import ReadOptions
from fastpack.order import Balanced, Mix, Sequential, Shuffle
from fastpack.ragged import Ragged, Text
from fastpack.reader import Reader, concat, open
from fastpack.schema import Field, Schema
from fastpack.transforms import CenterCrop, HorizontalFlip, Normalize, RandomCrop, RandomResizedCrop, Resize, ResizeShort

if TYPE_CHECKING:
    from fastpack.classic import create_hdf5, read_hdf5, read_tfrecord, write_tfrecord
    from fastpack.convert import convert
    from fastpack.extract import Extracted, extract
    from fastpack.master import write_master
    from fastpack.packing.options import PackOptions
    from fastpack.packing.pack import Packed, pack
    from fastpack.rejects import Reject
    from fastpack.repair import Repaired, repair
    from fastpack.sources import Paths, folder, table
    from fastpack.verify import Verified, verify

__version__ = "0.1.0"

# A training loop reads. What writes, mends and compares took a third of the time to import, and is imported when named.
_NAMES_LATER = {
    "classic": ("create_hdf5", "read_hdf5", "read_tfrecord", "write_tfrecord"),
    "convert": ("convert",),
    "extract": ("Extracted", "extract"),
    "master": ("write_master",),
    "packing.options": ("PackOptions",),
    "packing.pack": ("Packed", "pack"),
    "rejects": ("Reject",),
    "repair": ("Repaired", "repair"),
    "sources": ("Paths", "folder", "table"),
    "verify": ("Verified", "verify"),
}
_LATER = {name: module for module, names in _NAMES_LATER.items() for name in names}


class _Package(ModuleType):
    """Importing the module `fastpack.verify` must not hide the function of that name (and so convert, extract, repair)."""

    def __getattr__(self, name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _LATER and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_LATER})


sys.modules[__name__].__class__ = _Package

__all__ = [
    "Balanced",
    "Batch",
    "CenterCrop",
    "Extracted",
    "FastpackError",
    "FastpackWarning",
    "Field",
    "HorizontalFlip",
    "Index",
    "Indexed",
    "Limits",
    "Loader",
    "LoaderOptions",
    "Mix",
    "Normalize",
    "PackOptions",
    "Packed",
    "Paths",
    "Ragged",
    "RandomCrop",
    "RandomResizedCrop",
    "ReadOptions",
    "Reader",
    "Reject",
    "Repaired",
    "Resize",
    "ResizeShort",
    "Schema",
    "Sequential",
    "Shuffle",
    "Text",
    "Verified",
    "build_indexes",
    "concat",
    "convert",
    "create_hdf5",
    "decode",
    "encode",
    "extract",
    "folder",
    "open",
    "pack",
    "probe",
    "read_hdf5",
    "read_tfrecord",
    "repair",
    "table",
    "verify",
    "write_master",
    "write_tfrecord",
]
