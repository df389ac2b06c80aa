"""Store: objects by key, with sizes, identities, ranges and atomic puts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # an import takes 10% longer with it
    from concurrent.futures import Future

# The type of a range: bytes, a memoryview, or memory that the client owns.
Buffer = Any
# Options as a hashable value: they are part of the identity of a store.
Options = tuple[tuple[str, Any], ...]
# (bytes done, bytes in all)
UploadProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class ObjectFacts:
    """Facts of an object in a store.

    Args:
        key: its name below the root.
        size: in bytes.
        etag: the store's identity of this content; "" if it has none.
        mtime_ns: time of the last modification in ns.
    """

    key: str
    size: int
    etag: str
    mtime_ns: int


class Store(Protocol):
    """The objects below one root. Thread-safe; one for each process.

    Errors are FastpackErrors that name the object's URL. No wait is without a deadline.
    """

    @property
    def root(self) -> str:
        """The URL of the root, such as "s3://bucket"."""
        ...

    def facts(self, key: str) -> ObjectFacts:
        """Return the facts of an object. Raises MissingFileError."""
        ...

    def list_objects(self, prefix: str) -> Iterator[ObjectFacts]:
        """Yield all objects whose keys begin with a prefix, sorted by key."""
        ...

    def list_pages(self, folder: str) -> Iterator[list[ObjectFacts]]:
        """Yield all objects below a folder, a page at a time, mostly sorted by key.

        - folder: "" for the root, else with a slash at the end.
        """
        ...

    def list_folder(self, folder: str) -> tuple[list[ObjectFacts], list[str]]:
        """Return the objects directly in a folder, and the names of its folders, both sorted.

        - folder: "" for the root, else with a slash at the end.
        """
        ...

    def read(self, key: str, etag: str = "") -> bytes:
        """Return a whole object. Raises ChangedFileError if it does not have the given etag."""
        ...

    def read_ranges(
        self, key: str, starts: Sequence[int], ends: Sequence[int], etag: str = ""
    ) -> list[Buffer]:
        """Return byte ranges [start, end) of one content of an object.

        Raises ChangedFileError if the object does not have the given etag, and TruncatedFileError
        if it ends before a range does.
        """
        ...

    def start_ranges(
        self, key: str, starts: Sequence[int], ends: Sequence[int], etag: str = ""
    ) -> "Future[list[Buffer]]":
        """Start to read ranges, as `read_ranges` does; cancelling the future ends its requests."""
        ...

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectFacts:
        """Write an object; readers see the old one or the new one.

        Raises OutputExistsError with `if_absent`, ChangedFileError with `if_match`.

        - if_absent: the object must not exist.
        - if_match: the object must have this etag.
        """
        ...

    def upload(
        self, key: str, path: Path, *, progress: UploadProgress | None = None
    ) -> ObjectFacts:
        """Write a local file as an object, in parts; it is visible when it is complete."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects. Missing ones are ignored."""
        ...
