"""The header of a tar that fastpack writes: a comment in a pax header. See docs/formats.md."""

import json
import os
import tarfile
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from fastpack.core.schema import Field, Schema
from fastpack.errors import FormatError, SchemaError
from fastpack.formats.tar.members import IMAGE_ENDINGS

FORMAT_VERSION = 1
_UNKNOWN_ENDING = "bin"  # of image files of unknown format, and of other files
_FILE_ENDINGS = frozenset({*IMAGE_ENDINGS, _UNKNOWN_ENDING})  # of image files
_BLOCK = 512
_SIZE, _TYPE = slice(124, 136), slice(156, 157)
_COMMENT = b" comment="
_MAX_BYTES = 1_000_000  # readers accept headers of at most 1 MiB
_MAX_SUFFIX_BYTES = 200
_FLOAT_BYTES = 8  # programs read numbers of JSON as 64-bit floats


@dataclass(frozen=True)
class TarSchema:
    """The fields of a tar.

    Args:
        schema: Each field's `stored_as` is the ending of its members. Image files have the ending
            of their format after it.
        keys_end: A key is the whole name of the main image's member, else the name up to its first
            dot. Other keys have members of their own.
    """

    schema: Schema
    keys_end: bool

    @classmethod
    def of(cls, schema: Schema, *, keys_end: bool) -> Self:
        """Assign endings to all fields. Raises SchemaError for a field that a tar cannot hold."""
        taken = set(_FILE_ENDINGS)  # the main image's members have no other ending
        fields = tuple(_with_ending(field, schema, taken) for field in schema.fields)
        return cls(replace(schema, fields=fields), keys_end)

    def header(self) -> bytes:
        """Return the first blocks of the archive. Raises SchemaError if they are too many."""
        schema = json.loads(self.schema.to_json())
        about = {
            "format": "fastpack",
            "format_version": FORMAT_VERSION,
            "keys_end": self.keys_end,
            "schema": schema,
        }
        text = json.dumps(about)
        if len(text) > _MAX_BYTES:
            message = f"the names of fields and classes take {len(text):,} bytes in a tar's header"
            raise SchemaError(f"{message}, at most {_MAX_BYTES:,}; choose HDF5 or TFRecord")
        return tarfile.TarInfo.create_pax_global_header({"comment": text})

    @classmethod
    def read(cls, descriptor: int) -> Self | None:
        """Read the header of an open archive; return None for archives of other programs.

        Raises FormatError if the header is damaged or of a newer version.
        """
        head = os.pread(descriptor, _BLOCK, 0)
        if head[_TYPE] != b"g":
            return None
        try:
            _, found, text = os.pread(
                descriptor, min(int(head[_SIZE].strip(b"\0 "), 8), 2 * _MAX_BYTES), _BLOCK
            ).partition(_COMMENT)
            if not found or b'"fastpack"' not in text[:_BLOCK]:  # such as git's
                return None
            about = json.loads(text)
            if about["format_version"] != FORMAT_VERSION:
                version = about["format_version"]
                message = f"a newer fastpack wrote this archive (version {version})"
                raise FormatError(f"{message}; install that fastpack")
            return cls(Schema.from_json(json.dumps(about["schema"])), bool(about["keys_end"]))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise FormatError(
                f"the archive's header is damaged ({error}); restore it from its source"
            ) from error

    def field_of(self, suffix: str) -> Field | None:
        """Return the field whose members have this ending."""
        stem, _, ending = suffix.rpartition(".")
        for field in self.schema.fields:
            own = "" if field == self.main else field.stored_as
            if field.is_image_file and stem == own and ending in _FILE_ENDINGS:
                return field
            if not field.is_image_file and suffix == field.stored_as:
                return field
        return None

    @property
    def main(self) -> Field | None:
        """The field whose members have no ending but that of their format."""
        files = [field for field in self.schema.fields if field.is_image_file]
        return next(
            (field for field in files if field.kind == "image"), files[0] if files else None
        )

    def suffix_of(self, field: Field, format: str) -> str:
        """Return the ending of a member with an image file of this format."""
        ending = {"jpeg": "jpg", "unknown": _UNKNOWN_ENDING}.get(format, format)
        return ending if field == self.main else f"{field.stored_as}.{ending}"


def refuse_fields(schema: Schema) -> None:
    """Raise SchemaError for a field that a tar cannot hold."""
    TarSchema.of(schema, keys_end=False).header()


def _with_ending(field: Field, schema: Schema, taken: set[str]) -> Field:
    if field.kind == "pixels" or (field.is_list and field.is_blob):
        what = "arrays" if field.kind == "pixels" else "lists of files"
        message = f"a tar cannot hold {field.name!r}, which has {what}"
        raise SchemaError(f"{message}; choose HDF5, or leave it out with fields=...")
    if field.kind == "float" and field.dtype and np.dtype(field.dtype).itemsize > _FLOAT_BYTES:
        message = f"a tar holds floats of 64 bits at most, and {field.name!r} is {field.dtype}"
        raise SchemaError(f"{message}; choose HDF5, or leave it out with fields=...")
    stem = (field.stored_as or field.name).lower().replace("/", "_").strip(".") or "unnamed"
    above, _, ending = stem.rpartition(".")
    if field.is_image_file:
        stem = above if above and ending in IMAGE_ENDINGS else stem
    elif field.name == "label" and field.kind == "int" and not field.is_list:
        stem = "cls"
    else:
        own = {"text": "txt", "bytes": _UNKNOWN_ENDING}.get(
            "" if field.is_list else field.kind, "json"
        )
        stem = stem if ending == own or (field.kind == "bytes" and above) else f"{stem}.{own}"
    while not taken.isdisjoint(_endings(field, stem)):
        stem = f"_{stem}"
    if (
        "\0" in stem
        or len(stem.encode("utf-8", "surrogatepass")) > _MAX_SUFFIX_BYTES
        or not _is_text(stem)
    ):
        message = f"the field {field.name!r} cannot be the ending of a name"
        raise SchemaError(f"{message}; choose another name with names=...")
    taken |= _endings(field, stem)
    return replace(field, stored_as=stem)


def _endings(field: Field, stem: str) -> set[str]:
    """Return the endings that no other field may have: an image file adds that of its format."""
    if not field.is_image_file:
        return {stem}
    return {stem, *(f"{stem}.{ending}" for ending in _FILE_ENDINGS)}


def _is_text(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def json_of(value: Any) -> bytes:
    """Return the JSON of a number, or of a list of numbers or texts."""
    return json.dumps(value).encode()
