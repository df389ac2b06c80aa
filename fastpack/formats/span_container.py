"""SpanContainer: base of containers whose files hold every blob in one piece."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from fastpack.core.schema import Field
from fastpack.errors import FormatError, Location, os_errors_at, with_location
from fastpack.files.shard import Shard
from fastpack.formats.file_options import Layout
from fastpack.formats.index.folder_files import Files


class SpanContainer:
    """A file format whose blobs all have spans: the reader needs nothing else of it."""

    name: str
    title: str
    layouts: tuple[Layout, ...] = ("auto", "encoded")
    index_options: frozenset[str] = frozenset()
    saves_index = True
    reads_objects = False

    def shard(self, path: Path) -> Shard:
        """Return the identity of a file as it is now."""
        return Shard.of(path, self.name)

    @contextmanager
    def opened(self, path: Path) -> Iterator[tuple[FileIO, Shard]]:
        """Open a file once, for its identity and its contents."""
        with os_errors_at(path, "read"):
            file = open(path, "rb", buffering=0)  # noqa: SIM115  # closed below
        with file:
            with os_errors_at(path, "read"):
                shard = Shard.of_open(file.fileno(), path, self.name)
            yield file, shard

    def import_for_fetching(self) -> None:
        """Import nothing: blobs with spans are not fetched."""

    def fetch(
        self, shard: Shard, field: Field, record_numbers: Sequence[int], files: Files | None = None
    ) -> list[Any]:
        """Raise FormatError: only a damaged index has a blob without a span."""
        message = (
            f"every blob of a {self.title} file has a span; delete its index, and it is rebuilt"
        )
        raise FormatError(with_location(message, Location(shard.path)))
