"""HDF5: our two layouts, `encoded` and `pixels` (see container.py), and files that others wrote.

HDF5's library only reads metadata: it has one lock for the whole process. Kernels read image bytes.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fastpack.core.dtypes import NO_SPAN
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.progress import BytesDone
from fastpack.core.schema import Field, Schema
from fastpack.errors import (
    FastpackError,
    FormatError,
    LimitError,
    Location,
    SchemaError,
    changed_file_error,
    from_os_error,
    with_location,
)
from fastpack.files.shard import Shard
from fastpack.formats.file_options import Layout
from fastpack.formats.hdf5.checksums import refuse_damaged
from fastpack.formats.hdf5.columns import DATASETS, dataset_name, refuse_fields
from fastpack.formats.hdf5.index import IndexBuilder
from fastpack.formats.hdf5.members import safe_dataset
from fastpack.formats.hdf5.opening import opened_file
from fastpack.formats.hdf5.write_encoded import EncodedWriter
from fastpack.formats.hdf5.write_fields import FieldsWriter
from fastpack.formats.hdf5.write_pixels import PixelsWriter, chunk_of
from fastpack.formats.hdf5.write_vlen import VlenWriter
from fastpack.formats.index.folder_files import Files
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import GUESSED, Kinds
from fastpack.formats.index_options import IndexOptions
from fastpack.formats.protocols import ShardPlan, Writer
from fastpack.formats.salvage import FindUnreadable, Survey
from fastpack.stores.store_path import is_in_store

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Exceptions of h5py for damaged files.
_LIBRARY_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError)

_BY_DEFAULT = IndexOptions()


class Hdf5Container:
    """The container HDF5; see protocols.Container."""

    name = "hdf5"
    title = "HDF5"
    suffixes: tuple[str, ...] = (".h5", ".hdf5", ".hdf", ".he5")
    layouts: tuple[Layout, ...] = ("auto", "encoded", "vlen", "pixels")
    index_options = frozenset({"axes"})
    saves_index = True
    reads_objects = True

    def recognizes(self, head: bytes) -> bool:
        """Look for the signature at byte 0, or after a user block: at 512 and its doublings."""
        return any(head[at_byte:].startswith(_SIGNATURE) for at_byte in (0, 512, 1024, 2048))

    def writer(self, path: Path, plan: ShardPlan, num_workers: int | None = None) -> Writer[Any]:
        return writer_of(path, plan)

    def chunk_of(self, plan: ShardPlan) -> int:
        """Return the samples of a chunk for a plan."""
        return chunk_of(plan)

    def refuse_fields(self, schema: Schema) -> None:
        refuse_fields(schema)

    def index(
        self,
        path: Path,
        *,
        check: bool = True,
        limits: Limits = DEFAULT_LIMITS,
        progress: BytesDone | None = None,
        kinds: Kinds = GUESSED,
        options: IndexOptions = _BY_DEFAULT,
    ) -> Index:
        options = replace(options, kinds=kinds) if kinds else options
        with _read(path) as file:
            shard = self._opened_shard(file, path)
            if check:
                refuse_damaged(file, shard)
            return IndexBuilder(file, shard, check=check, limits=limits, options=options).index()

    def index_with(
        self, path: Path, options: IndexOptions, limits: Limits = DEFAULT_LIMITS
    ) -> Index:
        """Index another program's file, with the user's options.

        Raises FormatError if an untrusted file has images that only HDF5's library can read.
        """
        if not options.untrusted:
            return self.index(path, limits=limits, options=options)
        from fastpack.formats.hdf5.sandbox import index_apart

        index = index_apart(path, options, limits)
        for name, spans in index.spans.items():
            is_in_chunks = np.isin(index.shard_numbers, list(index.chunks.get(name, {})))
            if ((spans["offset"] == NO_SPAN) & ~is_in_chunks).any():
                message = (
                    f"only HDF5's library can read {name}, and untrusted files are read without "
                    "it; leave it out with fields=..."
                )
                raise FormatError(with_location(message, Location(path)))
        return index

    def is_virtual_dataset(self, path: Path) -> bool:
        """Return whether `write_virtual_dataset` wrote a file."""
        from fastpack.formats.hdf5.virtual import is_virtual_dataset

        return is_virtual_dataset(path)

    def write_virtual_dataset(
        self, path: Path, shards: Sequence[Path], *, sync: bool = True
    ) -> None:
        """Write a file that shows the samples of all shards to plain h5py."""
        from fastpack.formats.hdf5.virtual import write_virtual_dataset

        write_virtual_dataset(path, shards, sync=sync)

    def survey(
        self, path: Path, saved: Index | None, limits: Limits, find_unreadable: FindUnreadable
    ) -> Survey:
        """Check all samples of a damaged file."""
        from fastpack.formats.hdf5.salvage import survey  # late: few files are damaged

        return survey(self, path, saved, limits, find_unreadable)

    def explain(self, path: Path) -> list[str]:
        """Return a line for each array of images: how it is stored and read, or why it is not."""
        with _read(path) as file:
            shard, limits = self._opened_shard(file, path), DEFAULT_LIMITS
            builder = IndexBuilder(file, shard, check=False, limits=limits, options=_BY_DEFAULT)
            return builder.explain()

    def shard(self, path: Path) -> Shard:
        return Shard.of(path, self.name)

    def _opened_shard(self, file: h5py.File, path: Path) -> Shard:
        """The shard of the file that the library has open, even if the path has another by now."""
        if is_in_store(path):
            return self.shard(path)
        file.flush()  # of this process's writes: else closing the file would change it
        return Shard.of_open(file.id.get_vfd_handle(), path, self.name)

    def import_for_fetching(self) -> None:
        _register_filters()

    def fetch(
        self, shard: Shard, field: Field, record_numbers: Sequence[int], files: Files | None = None
    ) -> list[Any]:
        """Return samples of one dataset; with `files`, the whole datasets that it names."""
        with _read(shard.path) as file:
            # Each read of an object compares its etag.
            is_file = not is_in_store(shard.path)
            if is_file and not shard.is_open_at(file.id.get_vfd_handle()):
                raise changed_file_error(Location(shard.path))
            if files is not None:
                return [np.asarray(_dataset(file, name, shard.path)[()]) for name in files.names]
            dataset = _dataset(file, field.source_name, shard.path)
            before = (slice(None),) * max(0, field.axes.find("N"))
            return [np.asarray(dataset[(*before, number)]) for number in record_numbers]


HDF5 = Hdf5Container()


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    dataset = safe_dataset(file, name)
    if dataset is None:
        raise FormatError(
            with_location(
                f"there is no dataset {name!r} in this file; delete the index", Location(path)
            )
        )
    return dataset


@contextlib.contextmanager
def _read(path: Path) -> Iterator[h5py.File]:
    """Open a file; exceptions of the library become errors that name the file."""
    try:
        _register_filters()
        with opened_file(path) as file:
            yield file
    except MemoryError as error:
        raise LimitError(
            with_location(
                "the file announces more samples than fit in memory; check it with h5dump",
                Location(path),
            )
        ) from error
    except FastpackError:
        raise
    except _LIBRARY_ERRORS as error:
        if not is_in_store(path) and not path.exists():
            raise from_os_error(FileNotFoundError(2, "No such file"), "read", path) from error
        remedy = "restore it from its source, or install a newer h5py if a newer HDF5 wrote it"
        raise FormatError(
            with_location(f"HDF5 cannot read the file ({error}); {remedy}", Location(path))
        ) from error


def _register_filters() -> None:
    """Register the filters of the package hdf5plugin, if it is installed."""
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401  # registers when imported


def writer_of(path: Path, plan: ShardPlan) -> Writer[Any]:
    """Return the writer of the plan's layout."""
    field = plan.schema.image_field
    if field is None:
        return FieldsWriter(path, plan)
    if field.kind == "pixels":
        return PixelsWriter(path, plan, field)
    if plan.options.layout == "pixels":
        raise SchemaError("the layout `pixels` needs decoded images of one size; give a size")
    kind = VlenWriter if plan.options.layout == "vlen" else EncodedWriter
    return kind(path, plan, field)


__all__ = ["DATASETS", "EncodedWriter", "PixelsWriter", "VlenWriter", "dataset_name", "writer_of"]
