"""Opens HDF5 files to read, also those that another process, or this one, is writing."""

import contextlib
import ctypes
import os
from pathlib import Path

import h5py
from h5py._objects import phil

# HDF5's library reads metadata whose checksum fails again: 100 times, with pauses that double, if the file has a single
# writer with many readers (SWMR). On a damaged file that takes for ever. Ten reads take 10 ms, and outlast a writer.
_METADATA_READS = 10


def open_file(path: Path) -> h5py.File:
    """Opens a file to read. Raises OSError if HDF5's library cannot.

    A file that a writer holds open in SWMR mode is opened as one of its readers.
    """
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        for locking in (False, True):
            with contextlib.suppress(OSError, AttributeError):
                return _open_as_follower(path, locking=locking)
        raise error


def _open_as_follower(path: Path, *, locking: bool) -> h5py.File:
    """Raises AttributeError if the library lacks the call that bounds its reads."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    if not locking:  # else as the same process may have opened the file
        access.set_file_locking(False, False)
    _bound_reads(access)
    return h5py.File(
        h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ, access)
    )


def _bound_reads(access: h5py.h5p.PropFAID) -> None:
    """Calls what h5py does not offer, in the library that h5py is linked to."""
    bound = ctypes.CDLL(h5py.h5p.__file__).H5Pset_metadata_read_attempts
    bound.argtypes = [ctypes.c_int64, ctypes.c_uint]
    with phil:  # h5py's lock: the library takes one call at a time
        if bound(access.id, _METADATA_READS) < 0:
            raise OSError("HDF5's library refuses to bound its reads")
