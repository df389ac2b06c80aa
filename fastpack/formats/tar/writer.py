"""Writes tar files as WebDataset reads them: adjacent members for the fields of each sample."""

import itertools
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastpack.core.ragged import Text, encoded
from fastpack.core.schema import Field
from fastpack.errors import FormatError, Location, with_location
from fastpack.formats.protocols import ShardPlan, Writer
from fastpack.formats.tar.members import IMAGE_ENDINGS
from fastpack.formats.tar.schema import TarSchema, json_of
from fastpack.images.batch import Batch
from fastpack.images.headers import FORMATS, ProbedFiles

_BLOCK = 512
_END_BLOCKS = 2


@dataclass(frozen=True)
class Members:
    """A batch as members: pairs of ending and bytes.

    Args:
        keys: Keys of the samples; None if the samples have no keys.
        images: The main image of each sample, or None if it is missing.
        others: All other members of each sample.
    """

    keys: list[str] | None
    images: list[tuple[str, bytes] | None]
    others: list[list[tuple[str, bytes]]]


class TarWriter(Writer[Members]):
    """Writes members without owner and time, so that the same samples give the same bytes."""

    def __init__(self, path: Path, plan: ShardPlan) -> None:
        self._path, self._plan = path, plan
        self._described = TarSchema.of(plan.schema, keys_end=False)
        self._has_begun = False
        self._num_samples = 0
        self._seen: dict[str, str] = {}  # names of samples -> their keys
        # `close` and `abandon` close it.
        self._file = open(path, "xb", buffering=2**20)  # noqa: SIM115

    def encode(self, batch: Batch) -> Members:
        keys = list(batch["key"]) if "key" in batch and isinstance(batch["key"], Text) else None
        main, rows = self._described.main, range(batch.num_samples)
        fields = [
            field
            for field in self._described.schema.fields
            if field != main and not (keys is not None and field.name == "key")
        ]
        columns = [self._members_of(field, batch[field.name]) for field in fields]
        others = [[member for column in columns if (member := column(i)) is not None] for i in rows]
        image_of = self._members_of(main, batch[main.name]) if main is not None else lambda i: None
        return Members(keys, [image_of(i) for i in rows], others)

    def _members_of(self, field: Field, values: Any) -> Callable[[int], tuple[str, bytes] | None]:
        """Return a function of i: ending and bytes of sample i, None for a missing image."""
        if field.is_image_file:
            files = ProbedFiles.of(values)
            suffixes = [
                self._described.suffix_of(field, FORMATS[number])
                for number in files.probed[0]["format"].tolist()
            ]
            return lambda i: (suffixes[i], files.bytes(i)) if files.lengths[i] else None
        if field.kind == "bytes" or (field.kind == "text" and not field.is_list):
            return lambda i: (field.stored_as, values.bytes(i))
        if field.is_list and field.kind == "text":
            return lambda i: (field.stored_as, json_of(list(values[i])))
        return lambda i: (field.stored_as, json_of(values[i].tolist()))

    def append(self, piece: Members) -> None:
        if not self._has_begun:
            self._begin(piece)
        for row, (image, others) in enumerate(zip(piece.images, piece.others, strict=True)):
            key = f"{self._num_samples:08d}" if piece.keys is None else piece.keys[row]
            name, ending = self._name_of(key)
            members = others if image is None else [(ending or image[0], image[1]), *others]
            if piece.keys is not None and key != self._key_as_read(
                name, members if image is not None else []
            ):
                members.append((self._key_suffix, encoded(key)))
            for suffix, data in members:
                self._add(f"{name}.{suffix}", data)
            self._num_samples += 1

    def _begin(self, piece: Members) -> None:
        keys_end = bool(piece.keys) and all(_ending_of(key) for key in piece.keys or ())
        self._described = TarSchema(self._described.schema, keys_end)
        self._file.write(self._described.header())
        self._has_begun = True

    def _key_as_read(self, name: str, members: list[tuple[str, bytes]]) -> str:
        """Return the key that readers find for these members, the main image first."""
        return f"{name}.{members[0][0].lower()}" if self._described.keys_end and members else name

    @property
    def _key_suffix(self) -> str:
        return self._described.schema["key"].stored_as

    def _name_of(self, key: str) -> tuple[str, str | None]:
        """Return the name of a sample's members up to the ending, and the ending of its key if any.

        Raises FormatError for a key that a tar cannot have.
        """
        location = Location(self._path, self._num_samples, key=key)
        ending = _ending_of(key)
        name = key[: -len(ending) - 1] if ending else key
        if "\0" in name or {"", ".", ".."} & set(name.split("/")):
            message = f"the key {key!r} is not a path below a folder; nothing was written"
            raise FormatError(with_location(message, location))
        if "." in name.rpartition("/")[2]:
            message = f"a tar's readers end the key {key!r} at its first dot"
            remedy = "extract to a folder; nothing was written"
            raise FormatError(with_location(f"{message}; {remedy}", location))
        is_new = name not in self._seen
        if self._seen.setdefault(name, key) != key:
            message = f"two samples would have the key {name!r} in a tar; extract to a folder"
            raise FormatError(with_location(message, location))
        return (name if is_new else self._other_name(name, key)), ending

    def _other_name(self, name: str, key: str) -> str:
        """Return a free name for a sample whose key an earlier one has.

        Readers would take adjacent members of one name for one sample.
        """
        other = next(
            each for number in itertools.count(2) if (each := f"{name}_{number}") not in self._seen
        )
        self._seen[other] = key
        return other

    def _add(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        self._file.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        self._file.write(data)
        self._file.write(bytes(-len(data) % _BLOCK))

    def close(self) -> None:
        self._file.write(bytes(_END_BLOCKS * _BLOCK))
        self._file.write(bytes(-self._file.tell() % tarfile.RECORDSIZE))
        self._file.close()

    def abandon(self) -> None:
        self._file.close()


def _ending_of(key: str) -> str | None:
    """Return the ending of an image file that a key has, in its own case, or None."""
    stem, dot, ending = key.rpartition(".")
    is_ending = dot and stem and not stem.endswith("/") and ending.lower() in IMAGE_ENDINGS
    return ending if is_ending else None
