"""Schemas: names, kinds and shapes of a sample's fields, with JSON both ways."""

import dataclasses
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, get_args

import numpy as np

from fastpack.core import checks
from fastpack.core.cached import cached_property
from fastpack.errors import SchemaError

Kind = Literal["image", "mask", "pixels", "bytes", "int", "float", "text"]
_AXES = re.compile(r"[NHWC]*")
KINDS: tuple[Kind, ...] = get_args(Kind)
# The axes of an image, in the order of transforms and codecs.
IMAGE_AXES = "HWC"
DOUBTFUL = "?"
PLAIN = "-"
# Blobs stay in their files until a sample is read; the other kinds are columns in memory.
BLOB_KINDS = ("image", "mask", "pixels", "bytes")
USUAL_NAMES = ("image", "label", "key")


@dataclass(frozen=True)
class Field:
    """One field of a sample.

    Args:
        name: the field's name for users.
        kind: "image" (an encoded image file), "mask" (an image file whose pixels are class
            numbers), "pixels" (an array), "bytes", "int", "float" or "text".
        shape: of one sample; None for a length that varies between samples. () is a scalar.
        dtype: numpy's name of the dtype of "pixels", "int" and "float".
        stored_as: the name in the file, if it differs.
        color: of "pixels": "RGB", "BGR" or "GRAY"; "" if it is unknown.
        axes: of "pixels": the axes of the stored array, such as "NCHW"; "" is NHWC. Batches have
            the stored axes; transforms see images. "?" is a shape that could be several axes. "-"
            is an array that is not an image: transforms ignore it.

    Raises:
        SchemaError: The kind or dtype is unknown, the name is empty, or the axes do not match the
            shape.
        OptionError: A length of the shape is not an integer.

    Example:
        >>> Field("label", "int", dtype="int64").is_blob
        False
    """

    name: str
    kind: Kind
    shape: tuple[int | None, ...] = ()
    dtype: str = ""
    stored_as: str = ""
    color: str = ""
    axes: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SchemaError(
                f"field {self.name!r}: the kind must be one of {', '.join(KINDS)}, "
                f"not {self.kind!r}"
            )
        if not self.name:
            raise SchemaError("a field has an empty name; give it one")
        if not _is_dtype(self.dtype):
            raise SchemaError(f"field {self.name!r}: {self.dtype!r} is not the name of a dtype")
        shape = [checks.optional_integer("shape", length, 0) for length in self.shape]
        checks.settle(self, shape=tuple(shape))
        if not _are_axes(self.axes, len(self.shape)):
            raise SchemaError(
                f"field {self.name!r}: {self.axes!r} are not axes of samples "
                f"of {len(self.shape)} dimensions; use the letters N, H, W and C once each"
            )

    @property
    def is_blob(self) -> bool:
        """True if values stay in their files; False for a column in memory."""
        return self.kind in BLOB_KINDS

    @property
    def list_length(self) -> int | None:
        """The length of each list, in a column of lists of one length; None for other fields."""
        is_fixed = not self.is_blob and len(self.shape) == 1 and isinstance(self.shape[0], int)
        return self.shape[0] if is_fixed else None

    @property
    def to_image(self) -> tuple[int, ...]:
        """The axes of a sample's height, width and channels; without channels two axes.

        >>> Field("X", "pixels", (3, 20, 30), axes="NCHW").to_image
        (1, 2, 0)
        """
        axes = self.axes.strip(DOUBTFUL + PLAIN).replace("N", "") or IMAGE_AXES[: len(self.shape)]
        return tuple(axes.index(axis) for axis in IMAGE_AXES if axis in axes)

    @property
    def image_shape(self) -> tuple[int | None, ...]:
        """Height, width and channels (if any) of a sample of "pixels"."""
        return tuple(self.shape[axis] for axis in self.to_image)

    @property
    def is_image_file(self) -> bool:
        """True for an encoded image file: an image or a mask."""
        return self.kind in ("image", "mask")

    @property
    def is_image(self) -> bool:
        """True if a sample has one image here: a file, or an array with the axes of an image."""
        return self.kind in ("image", "pixels") and self.axes != PLAIN and not self.is_list

    @property
    def is_list(self) -> bool:
        """True if a sample has a list of numbers, texts or blobs. "pixels" are one array each."""
        return self.kind != "pixels" and self.shape != ()

    @property
    def source_name(self) -> str:
        """The name in the file."""
        return self.stored_as or self.name


def _are_axes(axes: str, num_dimensions: int) -> bool:
    if axes in ("", DOUBTFUL, PLAIN):
        return True
    count = num_dimensions + ("N" in axes)
    return bool(_AXES.fullmatch(axes)) and len(set(axes)) == len(axes) == count


def _is_dtype(name: object) -> bool:
    """Return True for the name of a numpy dtype, and for the empty name of a field without one."""
    try:
        return isinstance(name, str) and (not name or np.dtype(name) is not None)
    except TypeError:
        return False


@dataclass(frozen=True)
class Schema:
    """The fields of a sample, and the class names.

    Args:
        fields: the fields, with distinct names.
        class_names: the name of each label, counted from 0; "" for a label without a name.

    Raises:
        SchemaError: Two fields have the same name.

    Example:
        >>> schema = Schema((Field("image", "image"), Field("label", "int")), ("cat", "dog"))
        >>> Schema.from_json(schema.to_json()) == schema
        True
    """

    fields: tuple[Field, ...]
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise SchemaError(f"two fields have the same name: {', '.join(names)}")

    def __contains__(self, name: str) -> bool:
        return any(field.name == name for field in self.fields)

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        known = ", ".join(field.name for field in self.fields)
        raise SchemaError(f"there is no field {name!r}; the fields are {known}")

    def find(self, name: str) -> Field:
        """Return the field with this name here, or in the file. Raises SchemaError without one."""
        if name not in self:
            for field in self.fields:
                if field.source_name in (name, name.strip("/")):
                    return field
        return self[name]  # raises SchemaError, which lists the fields

    def has_fields(self, names: Sequence[str]) -> bool:
        """Return True if each name is a field here, or in the file."""
        known = {name for field in self.fields for name in (field.name, field.source_name)}
        return all(name in known or name.strip("/") in known for name in names)

    @cached_property
    def blobs(self) -> tuple[Field, ...]:
        """The fields whose values stay in their files."""
        return tuple(field for field in self.fields if field.is_blob)

    @cached_property
    def columns(self) -> tuple[Field, ...]:
        """The fields whose values are columns in memory."""
        return tuple(field for field in self.fields if not field.is_blob)

    @cached_property
    def image_field(self) -> Field | None:
        """The main image of a sample: the first field of images or pixels; None without one."""
        return next((field for field in self.fields if field.is_image), None)

    @cached_property
    def has_fixed_sizes(self) -> bool:
        """True if all values of some field must have one size: pixels, or lists of one length."""
        return any(field.kind == "pixels" or field.list_length is not None for field in self.fields)

    def class_name(self, label: int | float | str) -> str:
        """Return the name of a class, or the label as text if it has no name.

        >>> schema = Schema((Field("label", "int", dtype="int64"),), ("cat", "dog"))
        >>> schema.class_name(1), schema.class_name(7)
        ('dog', '7')
        """
        if isinstance(label, Integral) and 0 <= label < len(self.class_names):
            return self.class_names[label] or str(label)
        return str(label)

    def to_json(self) -> str:
        """Return the schema as JSON, with only ASCII characters."""
        data = dataclasses.asdict(self)
        for field in data["fields"]:
            if not field["axes"]:  # so that files are the same as before the key existed
                del field["axes"]
        return json.dumps(data, ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Schema":
        """Return the schema of `to_json`'s text; raise SchemaError for any other text."""
        try:
            data = json.loads(text)
            fields = [
                Field(**{**field, "shape": tuple(field["shape"])}) for field in data["fields"]
            ]
            found = cls(tuple(fields), tuple(data["class_names"]))
            names = {name for field in fields for name in _texts_of(field)}
            if not all(isinstance(name, str) for name in (*names, *found.class_names)):
                raise ValueError("a name is not a text")
            return found
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise SchemaError(f"the text is not a schema: {error}") from error


def _texts_of(field: Field) -> tuple[str, ...]:
    return field.name, field.kind, field.dtype, field.stored_as, field.color, field.axes


def free_name(name: str, taken: Collection[str]) -> str:
    """Return the name, with underscores before it until it is not in `taken`.

    >>> free_name("image", {"image", "label"})
    '_image'
    """
    while name in taken:
        name = f"_{name}"
    return name


def usual_rank(name: str) -> int:
    """Return the rank of a field in a schema: image, label and key come first.

    >>> sorted(["mask", "key", "image"], key=usual_rank)
    ['image', 'key', 'mask']
    """
    return USUAL_NAMES.index(name) if name in USUAL_NAMES else len(USUAL_NAMES)


def merge_class_names(pieces: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Merge the shards' class names; "" stands for a class that a shard does not have.

    >>> merge_class_names([("cat", ""), ("", "dog", "owl")])
    ('cat', 'dog', 'owl')
    """
    merged = [""] * max(map(len, pieces), default=0)
    for piece in pieces:
        for label, name in enumerate(piece):
            if name and merged[label] and name != merged[label]:
                raise SchemaError(
                    f"label {label} is {merged[label]!r} in one shard and {name!r} in another"
                )
            merged[label] = name or merged[label]
    return tuple(merged)
