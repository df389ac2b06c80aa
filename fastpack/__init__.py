"""Packs images into TFRecord and HDF5 files and loads training batches from them.

All names are imported at first use. Names that few programs need are in the folders:
`fastpack.core`, `errors`, `formats`, `integrity`, `loading`, `packing`, `reading` and `sources`.
The adapters are `fastpack.torch`, `tensorflow`, `jax` and `huggingface`.
"""

from typing import TYPE_CHECKING

from fastpack.core.lazy import lazy_names

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fastpack import core as core
    from fastpack import errors as errors
    from fastpack import formats as formats
    from fastpack import integrity as integrity
    from fastpack import loading as loading
    from fastpack import packing as packing
    from fastpack import reading as reading
    from fastpack import sources as sources
    from fastpack.core.limits import Limits
    from fastpack.errors import FastpackError
    from fastpack.formats.indexing import build_indexes
    from fastpack.images.batch import Batch
    from fastpack.images.codecs import decode, encode
    from fastpack.images.crops import CenterCrop, RandomCrop, RandomResizedCrop
    from fastpack.images.headers import probe
    from fastpack.images.transforms import HorizontalFlip, Normalize, Resize, ResizeShort
    from fastpack.integrity.repair import repair
    from fastpack.integrity.verify import verify
    from fastpack.loading.loader import Loader
    from fastpack.packing.convert import convert
    from fastpack.packing.extract import extract
    from fastpack.packing.options import PackOptions
    from fastpack.packing.pack import pack
    from fastpack.reading.mixture import Balanced, Mix
    from fastpack.reading.open import concat, open
    from fastpack.reading.options import ReadOptions
    from fastpack.reading.order import Shuffle
    from fastpack.reading.reader import Reader
    from fastpack.sources import from_folder, from_table
else:
    _NAMES = {
        "images.batch": "Batch",
        "core.limits": "Limits",
        "errors": "FastpackError",
        "formats.indexing": "build_indexes",
        "images.codecs": "decode encode",
        "images.crops": "CenterCrop RandomCrop RandomResizedCrop",
        "images.headers": "probe",
        "images.transforms": "HorizontalFlip Normalize Resize ResizeShort",
        "integrity.repair": "repair",
        "integrity.verify": "verify",
        "loading.loader": "Loader",
        "packing.convert": "convert",
        "packing.extract": "extract",
        "packing.options": "PackOptions",
        "packing.pack": "pack",
        "reading.mixture": "Balanced Mix",
        "reading.open": "concat open",
        "reading.options": "ReadOptions",
        "reading.order": "Shuffle",
        "reading.reader": "Reader",
        "sources": "from_folder from_table",
    }
    # Former names, until 1.0. They work, with a DeprecationWarning that says the new name.
    _MOVED = {
        "core": "Field Ragged Schema Text",
        "errors": "FastpackWarning",
        "formats": "Index IndexResult",
        "integrity": "RepairResult VerifyResult",
        "loading": "LoaderOptions",
        "packing": "ExtractResult PackResult Reject write_virtual_dataset",
        "packing.snippets": "create_hdf5 read_hdf5 read_tfrecord write_tfrecord",
        "reading": "Sequential",
        "sources": "ImageFiles",
    }
    _RENAMED = {
        "Extracted": "packing.ExtractResult",
        "Indexed": "formats.IndexResult",
        "Packed": "packing.PackResult",
        "Paths": "sources.ImageFiles",
        "Repaired": "integrity.RepairResult",
        "Verified": "integrity.VerifyResult",
        "folder": "from_folder",
        "table": "from_table",
        "write_master": "packing.write_virtual_dataset",
    }
    __getattr__, __dir__ = lazy_names(
        __name__,
        _NAMES,
        folders="core errors formats integrity loading packing reading sources",
        retired=_RENAMED
        | {name: f"{folder}.{name}" for folder, names in _MOVED.items() for name in names.split()},
    )

__all__ = [
    "Balanced",
    "Batch",
    "CenterCrop",
    "FastpackError",
    "HorizontalFlip",
    "Limits",
    "Loader",
    "Mix",
    "Normalize",
    "PackOptions",
    "RandomCrop",
    "RandomResizedCrop",
    "ReadOptions",
    "Reader",
    "Resize",
    "ResizeShort",
    "Shuffle",
    "build_indexes",
    "concat",
    "convert",
    "decode",
    "encode",
    "extract",
    "from_folder",
    "from_table",
    "open",
    "pack",
    "probe",
    "repair",
    "verify",
]
