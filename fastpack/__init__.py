"""fastpack: piles of images in standard TFRecord and HDF5 files, read at the speed of the disk and of the decoder."""

from fastpack.batch import Batch
from fastpack.classic import create_hdf5, read_hdf5, read_tfrecord, write_tfrecord
from fastpack.codecs import decode, encode
from fastpack.errors import FastpackError
from fastpack.headers import probe
from fastpack.index import Index
from fastpack.limits import Limits
from fastpack.options import ReadOptions
from fastpack.pack import Packed, PackOptions, pack
from fastpack.ragged import Ragged, Text
from fastpack.reader import Reader, open
from fastpack.schema import Field, Schema
from fastpack.sources import Paths, folder, table
from fastpack.transforms import CenterCrop, HorizontalFlip, Normalize, RandomCrop, RandomResizedCrop, Resize, ResizeShort
from fastpack.verify import Verified, verify

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "CenterCrop",
    "FastpackError",
    "Field",
    "HorizontalFlip",
    "Index",
    "Limits",
    "Normalize",
    "PackOptions",
    "Packed",
    "Paths",
    "Ragged",
    "RandomCrop",
    "RandomResizedCrop",
    "ReadOptions",
    "Reader",
    "Resize",
    "ResizeShort",
    "Schema",
    "Text",
    "Verified",
    "create_hdf5",
    "decode",
    "encode",
    "folder",
    "open",
    "pack",
    "probe",
    "read_hdf5",
    "read_tfrecord",
    "table",
    "verify",
    "write_tfrecord",
]
