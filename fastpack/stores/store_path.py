"""StorePath: an object or a folder in a store, with the interface of pathlib.Path that we use."""

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar, cast

from fastpack.errors import MissingFileError, StoreError
from fastpack.stores.registry import options_for, store_at
from fastpack.stores.store import ObjectFacts, Options, Store
from fastpack.stores.url import is_url, joined_url, split_url

Result = TypeVar("Result")

__all__ = ["StorePath", "StoreStat", "as_object", "as_path", "is_in_store", "is_url", "path_named"]


@dataclass(frozen=True)
class StoreStat:
    """Size and time of an object, under the names of os.stat_result."""

    st_size: int
    st_mtime_ns: int


class StorePath:
    """The URL of an object or a folder. Immutable; pickles as its URL and options.

    It has no `__fspath__`: a function for local files refuses it.

    Args:
        root: the URL of the store.
        key: the name below it; "" for the root.
        options: of the store's client. They may have secrets, so no message shows them.

    >>> path = StorePath.of("s3://bucket/train/a.tfrecord")
    >>> path.name, path.with_name("b.tar").key, str(path.parent)
    ('a.tfrecord', 'train/b.tar', 's3://bucket/train')
    """

    __slots__ = ("_known", "key", "options", "root")

    def __init__(self, root: str, key: str, options: Options = ()) -> None:
        self.root, self.key, self.options = root, key.rstrip("/"), options
        self._known: ObjectFacts | None = None

    @classmethod
    def of(cls, url: str, options: Mapping[str, Any] | Options = ()) -> "StorePath":
        """Return the path of a URL. Raises OptionError for another text."""
        return cls(*split_url(url), options_for(url, options))

    def __reduce__(self) -> Any:
        return StorePath, (self.root, self.key, self.options)

    def with_facts(self, facts: ObjectFacts) -> "StorePath":
        """Return the path with known facts, such as those of a listing: `facts` returns them."""
        path = StorePath(self.root, self.key, self.options)
        path._known = facts
        return path

    @property
    def store(self) -> Store:
        """The store, made at first use in this process."""
        return store_at(self.root, self.options)

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(self.key)

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        return self._pure.stem

    @property
    def suffix(self) -> str:
        return self._pure.suffix

    @property
    def suffixes(self) -> list[str]:
        return self._pure.suffixes

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.root, *filter(None, self.key.split("/")))

    @property
    def parent(self) -> "StorePath":
        return StorePath(self.root, self.key.rpartition("/")[0], self.options)

    @property
    def prefix(self) -> str:
        """The beginning of the keys below this folder."""
        return f"{self.key}/" if self.key else ""

    def with_name(self, name: str) -> "StorePath":
        return self.parent / name

    def __truediv__(self, name: str) -> "StorePath":
        key = f"{self.key}/{name}" if self.key else name
        return StorePath(self.root, key, self.options)

    def joinpath(self, *names: str) -> "StorePath":
        path = self
        for name in names:
            path = path / name
        return path

    def relative_to(self, folder: "StorePath") -> PurePosixPath:
        """Return the key below a folder. Raises ValueError if it is not below it."""
        if self.root != folder.root:
            raise ValueError(f"{self} is not below {folder}")
        return PurePosixPath(self.key).relative_to(folder.key or ".")

    def absolute(self) -> "StorePath":
        return self

    def resolve(self) -> "StorePath":
        return self

    def facts(self) -> ObjectFacts:
        """Return the known facts of the object, or ask its store. Raises MissingFileError."""
        return self.store.facts(self.key) if self._known is None else self._known

    def stat(self) -> StoreStat:
        facts = self.facts()
        return StoreStat(facts.size, facts.mtime_ns)

    def is_file(self) -> bool:
        try:
            return bool(self.key) and self.facts() is not None
        except MissingFileError:
            return False

    def is_dir(self) -> bool:
        """Return True if some key begins with this one and a slash."""
        return next(iter(self.store.list_pages(self.prefix)), None) is not None

    def if_visible(self, read: Callable[["StorePath"], Result]) -> Result | None:
        """Return read(self); None if the object is missing, or if the store hides that it is.

        S3 refuses access to missing objects if the user may not list the bucket.
        """
        try:
            return read(self)
        except MissingFileError:
            return None
        except StoreError as error:
            if error.errno == errno.EACCES:
                return None
            raise

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def __str__(self) -> str:
        return joined_url(self.root, self.key)

    def __repr__(self) -> str:
        return f"StorePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StorePath):
            return NotImplemented
        return (self.root, self.key, self.options) == (other.root, other.key, other.options)

    def __lt__(self, other: "StorePath") -> bool:
        return (self.root, self.key) < (other.root, other.key)

    def __hash__(self) -> int:
        return hash((self.root, self.key))


def is_in_store(path: object) -> bool:
    """Return True for a StorePath.

    Functions for both files and objects declare their paths as Path: a StorePath has the part of
    its interface that they use.
    """
    return isinstance(path, StorePath)


def path_named(text: str, options: Options = ()) -> Path:
    """Return the path of a name or a URL in a saved file."""
    return as_path(StorePath.of(text, options)) if is_url(text) else Path(text)


def as_path(path: object) -> Path:
    """Return a StorePath with the type that functions for both kinds of paths declare."""
    return cast(Path, path)


def as_object(path: object) -> StorePath:
    """Return a path that is known to be a StorePath, with its own type."""
    return cast(StorePath, path)


def path_at(value: Any, options: Mapping[str, Any] | Options = ()) -> Any:
    """Return a URL as a StorePath, in lists too; other values unchanged."""
    if isinstance(value, list | tuple):
        return [path_at(each, options) for each in value]
    return StorePath.of(value, options) if is_url(value) else value
