"""What a container is: a file format with a writer and an indexer. There is one reader, and it is not here."""

import dataclasses
import math
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.progress import BytesDone
from fastpack.core.schema import Field, Schema
from fastpack.files.shard import Shard
from fastpack.formats.choice import Choice
from fastpack.formats.index.folder_files import Files
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import GUESSED, Kinds
from fastpack.formats.storage import Storage
from fastpack.images.batch import Batch

Layout = Literal["auto", "encoded", "vlen", "pixels"]
Float64 = Literal[
    "refuse", "round"
]  # what becomes of floats that a format without 64 bits would change
# A file, a glob, a folder of shards, or a list of these.
DatasetPaths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class ShardPlan:
    """What a writer is promised of the shard that it shall write."""

    schema: Schema
    num_samples: int
    num_bytes: int  # of all encoded images together
    layout: Layout = "auto"
    storage: Storage = dataclasses.field(default_factory=Storage)
    float64: Float64 = "refuse"

    @property
    def chunk(self) -> int:
        """Samples that are stored together: a batch begins with such a chunk. 1 where the layout has none."""
        image_field = self.schema.image_field
        if image_field is None or image_field.kind != "pixels" or None in image_field.shape:
            return 1
        sample_bytes = (
            math.prod(size or 1 for size in image_field.shape)
            * np.dtype(image_field.dtype).itemsize
        )
        return self.storage.chunk_for(sample_bytes, self.num_samples)


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
    """A standard file format."""

    name: str
    suffixes: tuple[str, ...]

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
class SelectingContainer(Protocol):
    """A format of which one file may hold several arrays side by side, or in other files; or that can be taken in several ways."""

    def index_chosen(
        self, path: Path, choice: Choice, limits: Limits = DEFAULT_LIMITS
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
