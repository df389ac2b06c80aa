"""What a container is: a file format with a writer and an indexer. There is one reader, and it is not here."""

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
    """Takes the samples of one shard, batch after batch, each in two steps.

    `encode` may run in any thread, for several batches at once; then comes `place`, for one batch at a time and in the order of the
    samples: a file takes one write after the other anyway, and threads that wait for it burn time.
    """

    def encode(self, batch: Batch) -> Piece:
        """All that can be done without knowing where in the file the batch goes."""
        ...

    def append(self, piece: Piece) -> None:
        """Writes the piece behind the one before, and compares what then stands in the file with what was to be written, as far as
        that can be told so early."""
        ...

    def write(self, batch: Batch) -> None:
        """Both, for a caller who writes batch after batch in one thread."""
        self.append(self.encode(batch))

    def close(self) -> Index | None:
        """Completes the file and compares the rest of what stands there with what was written. Gives the file's index, or None
        when only the container can tell it.

        A writer that is not closed leaves nothing of use.
        """
        ...

    def abandon(self) -> None:
        """Lets go of the file after a failure."""
        ...


class Container(Protocol):
    """A standard file format.

    - name: its key in the registry and in saved indexes; `title`: its name in messages.
    - suffixes: lower-case endings of its files.
    - layouts: values of `FileOptions.layout` that its writer takes.
    - index_options: those of `index_options.RESTRICTED` that it takes.
    - saves_index: whether `open` saves an index beside its files without being asked.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    layouts: tuple[Layout, ...]
    index_options: frozenset[str]
    saves_index: bool

    def recognises(self, head: bytes) -> bool:
        """True when the first 4 KiB of a file look like this format."""
        ...

    def writer(
        self, path: Path, plan: ShardPlan, num_workers: int | None = None
    ) -> Writer[Any]: ...

    def refuse_fields(self, schema: Schema) -> None:
        """Raises SchemaError, before anything is written, for a field that files of this format cannot hold, and names it."""
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
        """The table of a file's samples. With `check`, each record is compared with its checksum.

        - progress: called with the bytes that are done, by formats of which the whole file is read.
        - kinds: what fields are, where the file does not say it; names and kinds that do not fit are passed over.
        """
        ...

    def shard(self, path: Path) -> Shard:
        """What tells the file as it is from the file as it was."""
        ...

    def import_for_fetching(self) -> None:
        """Imports what `fetch` imports: no import may run while others fork."""
        ...

    def fetch(
        self, shard: Shard, field: Field, record_numbers: Sequence[int], files: Files | None = None
    ) -> list[Any]:
        """Blobs that have no span, through the format's own library. `files` is what the index knows of them in a folder.

        Raises ChangedFileError when the file is not the shard any more.
        """
        ...


# What a writer makes of a batch.


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
    """A format of which one file may hold several arrays side by side, or in other files; or that can be taken in several ways."""

    def index_with(
        self, path: Path, options: IndexOptions, limits: Limits = DEFAULT_LIMITS
    ) -> Index: ...

    def explain(self, path: Path) -> list[str]:
        """A line for each array: how it is stored and read, or why it is left out."""
        ...


@runtime_checkable
class FieldSelectingContainer(Protocol):
    """A format of which some fields may be beyond reading while the others are sound."""

    def index_fields(
        self,
        path: Path,
        fields: Collection[str],
        limits: Limits = DEFAULT_LIMITS,
        kinds: Kinds = GUESSED,
    ) -> Index:
        """The table of a file's samples, without such fields as are not among `fields`. All records are compared with their checksums."""
        ...


@runtime_checkable
class DamageTolerantContainer(Protocol):
    """A format whose checksums cover records as a whole, with all of their fields."""

    def index_damaged(
        self, path: Path, limits: Limits = DEFAULT_LIMITS, kinds: Kinds = GUESSED
    ) -> Index:
        """The table of a file of which some records differ from their checksums: those are its `lost` ones.

        Raises EmptySourceError when all do.
        """
        ...
