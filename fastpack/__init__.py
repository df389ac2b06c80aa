"""fastpack: piles of images in standard TFRecord and HDF5 files, read at the speed of the disk and of the decoder."""

from fastpack.batch import Batch
from fastpack.classic import create_hdf5, read_hdf5, read_tfrecord, write_tfrecord
from fastpack.codecs import decode, encode
from fastpack.convert import convert
from fastpack.errors import FastpackError
from fastpack.extract import Extracted, extract
from fastpack.headers import probe
from fastpack.index import Index
from fastpack.indexing import Indexed, build_indexes
from fastpack.limits import Limits
from fastpack.loader import Loader, LoaderOptions
from fastpack.options import ReadOptions
from fastpack.order import Balanced, Mix, Sequential, Shuffle
from fastpack.pack import Packed, pack
from fastpack.pack_options import PackOptions
from fastpack.ragged import Ragged, Text
from fastpack.reader import Reader, concat, open
from fastpack.rejects import Reject
from fastpack.repair import Repaired, repair
from fastpack.schema import Field, Schema
from fastpack.sources import Paths, folder, table
from fastpack.transforms import CenterCrop, HorizontalFlip, Normalize, RandomCrop, RandomResizedCrop, Resize, ResizeShort
from fastpack.verify import Verified, verify

__version__ = "0.1.0"

__all__ = [
    "Balanced",
    "Batch",
    "CenterCrop",
    "Extracted",
    "FastpackError",
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
    "write_tfrecord",
]
