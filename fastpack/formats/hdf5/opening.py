"""Opening of HDF5 files to read, even while a process writes them."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
from h5py._objects import phil

from fastpack.formats.hdf5.collector import without_collector
from fastpack.stores.range_file import RangeFile
from fastpack.stores.store_path import as_object, is_in_store

# In SWMR mode HDF5's library reads metadata with a wrong checksum again, 100 times, with pauses
# that double. On a damaged file that does not end. Ten reads take 10 ms, more than a writer needs.
_METADATA_READS = 10


@contextlib.contextmanager
def opened_file(path: Path) -> Iterator[h5py.File]:
    """Open a file or an object to read; raise OSError if HDF5's library cannot.

    Of an object, the library reads only the parts that it needs.
    """
    if not is_in_store(path):
        with open_file(path) as file:
            yield file
        return
    with RangeFile(as_object(path)) as ranges:
        try:
            # The collector would call the library within a call of it: see file_object.py.
            with without_collector(), h5py.File(ranges, "r", locking=False) as file:
                yield file
        except Exception as error:
            raise ranges.failure or error from None
        if ranges.failure is not None:
            raise ranges.failure


def open_file(path: Path) -> h5py.File:
    """Open a file to read; raise OSError if HDF5's library cannot.

    If a writer has the file open in SWMR mode, it is opened as one of the readers.
    """
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        for locking in (False, True):
            with contextlib.suppress(OSError, AttributeError):
                return _open_as_follower(path, locking=locking)
        raise error


def _open_as_follower(path: Path, *, locking: bool) -> h5py.File:
    """Open in SWMR mode; raise AttributeError if the library cannot limit its reads."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    if not locking:  # with locking only if this process has the file open so
        access.set_file_locking(False, False)
    _bound_reads(access)
    flags = h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ
    return h5py.File(h5py.h5f.open(os.fsencode(path), flags, access))


def _bound_reads(access: h5py.h5p.PropFAID) -> None:
    """Call a function of h5py's own HDF5 library that h5py does not export."""
    bound = ctypes.CDLL(h5py.h5p.__file__).H5Pset_metadata_read_attempts
    bound.argtypes = [ctypes.c_int64, ctypes.c_uint]
    with phil:  # h5py's lock: the library takes one call at a time
        if bound(access.id, _METADATA_READS) < 0:
            raise OSError("HDF5's library does not limit its reads")
