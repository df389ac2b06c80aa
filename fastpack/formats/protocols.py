"""Container: a file format with a writer and an indexer. All formats share one reader."""

import dataclasses
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.progress import BytesDone
from fastpack.core.schema import Field, Schema
from fastpack.files.shard import Shard
from fastpack.formats.file_options import FileOptions, Layout
from fastpack.formats.index.folder_files import Files
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import GUESSED, Kinds
from fastpack.formats.index_options import IndexOptions
from fastpack.formats.salvage import Damage, FindUnreadable, Survey
from fastpack.images.batch import Batch

# A file, a glob, a folder of shards, or a list of these.
DatasetPaths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class ShardPlan:
    """The samples that a writer receives, and how it stores them.

    Args:
        schema: Fields of the samples.
        num_samples: Samples of the shard, at most: bad ones may be skipped.
        num_bytes: Bytes of all encoded images together.
        options: Layout, filters and rounding.
    """

    schema: Schema
    num_samples: int
    num_bytes: int
    options: FileOptions = dataclasses.field(default_factory=FileOptions)


Piece = TypeVar("Piece")


class Writer(Protocol[Piece]):
    """Writes the samples of one shard, batch after batch, each in two steps.

    Several threads call `encode` at once. `append` takes one batch at a time, in the order of the
    samples. The OS serializes writes to a file, so that more threads would only wait.
    """

    def encode(self, batch: Batch) -> Piece:
        """Do all that does not depend on the batch's offset in the file."""
        ...

    def append(self, piece: Piece) -> None:
        """Write the piece after the last one, and compare the file with it as far as possible."""
        ...

    def write(self, batch: Batch) -> None:
        """Encode and append a batch, for callers with one thread."""
        self.append(self.encode(batch))

    def close(self) -> Index | None:
        """Complete the file, and compare the rest of it with what was written.

        Returns the file's index, or None if only the container can build it. A writer that is not
        closed leaves no usable file.
        """
        ...

    def abandon(self) -> None:
        """Release the file after a failure."""
        ...


class Container(Protocol):
    """A standard file format.

    - name: its key in the registry and in saved indexes; `title`: its name in messages.
    - suffixes: lower-case endings of its files.
    - layouts: values of `FileOptions.layout` that its writer takes.
    - index_options: those of `index_options.RESTRICTED` that it takes.
    - saves_index: whether `open` saves an index beside its files without being asked.
    - reads_objects: whether it indexes an object in a store itself; others index a local copy.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    layouts: tuple[Layout, ...]
    index_options: frozenset[str]
    saves_index: bool
    reads_objects: bool

    def recognizes(self, head: bytes) -> bool:
        """Return True if the first 4 KiB of a file look like this format."""
        ...

    def writer(
        self, path: Path, plan: ShardPlan, num_workers: int | None = None
    ) -> Writer[Any]: ...

    def refuse_fields(self, schema: Schema) -> None:
        """Raise SchemaError for a field that files of this format cannot hold."""
        ...

    def index(
        self,
        path: Path,
        *,
        check: bool = True,
        limits: Limits = DEFAULT_LIMITS,
        progress: BytesDone | None = None,
        kinds: Kinds = GUESSED,
    ) -> Index:
        """Build the table of a file's samples.

        - check: compare each record with its checksum.
        - progress: called with the bytes done, by formats whose files are read in full.
        - kinds: kinds of fields that the file does not define. Those that do not fit are ignored.
        """
        ...

    def shard(self, path: Path) -> Shard:
        """Return the identity of a file as it is now."""
        ...

    def import_for_fetching(self) -> None:
        """Import what `fetch` needs: an import must not run while other threads fork."""
        ...

    def fetch(
        self, shard: Shard, field: Field, record_numbers: Sequence[int], files: Files | None = None
    ) -> list[Any]:
        """Read blobs that have no span, through the format's own library.

        Raises ChangedFileError if the file has changed.

        - files: what the index knows of the files of a folder.
        """
        ...


@runtime_checkable
class ChunkedContainer(Protocol):
    """A format that stores several samples together."""

    def chunk_of(self, plan: ShardPlan) -> int:
        """Return how many samples a chunk has. Each batch begins with a new chunk."""
        ...


@runtime_checkable
class VirtualDatasetContainer(Container, Protocol):
    """A format of which one file can show the samples of other files."""

    def is_virtual_dataset(self, path: Path) -> bool:
        """Return True for a file that `write_virtual_dataset` made."""
        ...

    def write_virtual_dataset(
        self, path: Path, shards: Sequence[Path], *, sync: bool = True
    ) -> None:
        """Write a file that shows the samples of shards in its folder."""
        ...


@runtime_checkable
class RecordListContainer(Container, Protocol):
    """A format for which other readers want a text that lists all records."""

    def write_offsets(self, path: Path, output: Path) -> int:
        """Write a line for each record of `path`; return the number of records."""
        ...


@runtime_checkable
class SalvageableContainer(Container, Protocol):
    """A format whose damaged files may have whole samples."""

    def survey(
        self, path: Path, saved: Index | None, limits: Limits, find_unreadable: FindUnreadable
    ) -> Survey:
        """Check all samples of a damaged file.

        - saved: the saved index, which may be of an earlier state of the file.
        - find_unreadable: reads samples that have no span.
        """
        ...


@runtime_checkable
class CopyableContainer(Container, Protocol):
    """A format whose whole records can be copied byte for byte to a new file."""

    def copy_whole(
        self,
        path: Path,
        output: Path,
        saved: Index | None,
        limits: Limits,
        progress: BytesDone | None = None,
    ) -> tuple[int, tuple[Damage, ...]]:
        """Write the whole records to `output`; return their number and the file's damages.

        - progress: called with the bytes done, of twice the file's size.
        """
        ...


@runtime_checkable
class SelectingContainer(Protocol):
    """A format whose files can be indexed in several ways, such as by one of several arrays."""

    def index_with(
        self, path: Path, options: IndexOptions, limits: Limits = DEFAULT_LIMITS
    ) -> Index:
        """Build the table of the samples that the options select."""
        ...

    def explain(self, path: Path) -> list[str]:
        """Return a line for each array: how it is stored and read, or why it is left out."""
        ...


@runtime_checkable
class FieldSelectingContainer(Protocol):
    """A format in which some fields may be unreadable while others are sound."""

    def index_fields(
        self,
        path: Path,
        fields: Collection[str],
        limits: Limits = DEFAULT_LIMITS,
        kinds: Kinds = GUESSED,
    ) -> Index:
        """Build the table of a file's samples with these fields only; check all records."""
        ...


@runtime_checkable
class DamageTolerantContainer(Protocol):
    """A format whose checksums cover whole records, with all of their fields."""

    def index_damaged(
        self, path: Path, limits: Limits = DEFAULT_LIMITS, kinds: Kinds = GUESSED
    ) -> Index:
        """Build the table of a file; records that differ from their checksums are its lost ones.

        Raises EmptySourceError if all records are lost.
        """
        ...
