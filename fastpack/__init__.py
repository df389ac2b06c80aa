"""fastpack: piles of images in standard TFRecord and HDF5 files, read at the speed of the disk and of the decoder."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastpack.core.batch import Batch
from fastpack.core.limits import Limits
from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Field, Schema
from fastpack.errors import FastpackError, FastpackWarning
from fastpack.formats.indexing import Indexed, build_indexes
from fastpack.images.codecs import decode, encode
from fastpack.images.headers import probe
from fastpack.images.transforms import CenterCrop, HorizontalFlip, Normalize, RandomCrop, RandomResizedCrop, Resize, ResizeShort
from fastpack.index.index import Index
from fastpack.loading.loader import Loader, LoaderOptions
from fastpack.reading.options import ReadOptions
from fastpack.reading.reader import Reader, concat, open
from fastpack.sampling.mixture import Balanced, Mix
from fastpack.sampling.order import Sequential, Shuffle

if TYPE_CHECKING:
    from fastpack.integrity.repair import Repaired, repair
    from fastpack.integrity.verify import Verified, verify
    from fastpack.packing.convert import convert
    from fastpack.packing.extract import Extracted, extract
    from fastpack.packing.options import PackOptions
    from fastpack.packing.pack import Packed, pack
    from fastpack.packing.rejects import Reject
    from fastpack.packing.snippets import create_hdf5, read_hdf5, read_tfrecord, write_tfrecord
    from fastpack.packing.virtual_dataset import write_master
    from fastpack.sources import Paths, folder, table

__version__ = "0.1.0"

# A training loop reads. What writes, mends and compares took a third of the time to import, and is imported when named.
_NAMES_LATER = {
    "integrity.repair": ("Repaired", "repair"),
    "integrity.verify": ("Verified", "verify"),
    "packing.convert": ("convert",),
    "packing.extract": ("Extracted", "extract"),
    "packing.options": ("PackOptions",),
    "packing.pack": ("Packed", "pack"),
    "packing.rejects": ("Reject",),
    "packing.snippets": ("create_hdf5", "read_hdf5", "read_tfrecord", "write_tfrecord"),
    "packing.virtual_dataset": ("write_master",),
    "sources": ("Paths", "folder", "table"),
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
