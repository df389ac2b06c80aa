"""WriteOptions: which files `pack` writes, and how."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from fastpack.core import checks
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.errors import OptionError
from fastpack.files.sizes import parse_size
from fastpack.formats.file_options import FileOptions, Float64, Layout
from fastpack.formats.registry import NAMES
from fastpack.formats.storage import Storage
from fastpack.packing.rejects import OnError

_FLAGS = ("virtual", "seek_points", "sync", "dry_run")


@dataclass(frozen=True)
class WriteOptions:
    """The fields of PackOptions about the files to write; see there.

    Args:
        storage: compression and chunks of pixels.
    """

    format: str | None = None
    layout: Layout = "auto"
    names: Mapping[str, str] = field(default_factory=dict)
    shards: int | None = None
    shard_size: int | str | None = None
    virtual: bool = False
    float64: Float64 = "refuse"
    seek_points: bool = False
    on_error: OnError = "raise"
    num_workers: int | None = None
    memory: int | str | None = None
    sync: bool = True
    scratch: str | os.PathLike[str] | None = None
    dry_run: bool = False
    limits: Limits = DEFAULT_LIMITS
    storage: Storage = field(default_factory=Storage)

    def __post_init__(self) -> None:
        if self.format is not None:
            checks.choice("format", self.format, NAMES)
        checks.choice("float64", self.float64, get_args(Float64))
        checks.choice("on_error", self.on_error, get_args(OnError))
        names = checks.mapping("names", self.names, '{"image": "image/encoded"}')
        checks.texts("names", list(names.values()))
        checks.settle(self, **{name: checks.flag(name, getattr(self, name)) for name in _FLAGS})
        checks.settle(
            self,
            shards=checks.optional_integer("shards", self.shards, 1),
            num_workers=checks.optional_integer("num_workers", self.num_workers, 1),
            shard_size=_num_bytes("shard_size", self.shard_size),
            memory=_num_bytes("memory", self.memory),
        )
        if self.scratch is not None:
            checks.instance("scratch", self.scratch, str | os.PathLike, 'a path, such as "/tmp"')
        if self.shards is not None and self.shard_size is not None:
            raise OptionError("give shards or shard_size, not both")

    @property
    def files(self) -> FileOptions:
        """The options that a container's writer takes."""
        return FileOptions(self.layout, self.storage, self.float64)

    @property
    def is_numbered(self) -> bool:
        """True if the files have numbers in their names, even one file."""
        return self.shards is not None or self.shard_size is not None

    @property
    def shard_bytes(self) -> int | None:
        """Bytes of a file, at most."""
        return None if self.shard_size is None else parse_size(self.shard_size)

    @property
    def memory_bytes(self) -> int | None:
        """Bytes of all batches together, at most."""
        return None if self.memory is None else parse_size(self.memory)


def _num_bytes(name: str, value: Any) -> int | str | None:
    """A size as it was given, but in Python's own type."""
    if value is None:
        return None
    num_bytes = parse_size(value)
    if num_bytes < 1:
        raise OptionError(f"{name} must be positive, not {value}")
    return value if isinstance(value, str) else num_bytes
