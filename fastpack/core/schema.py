"""What a sample holds: names, kinds and shapes. Pure data, JSON both ways."""

import dataclasses
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from fastpack.errors import SchemaError

Kind = Literal["image", "mask", "pixels", "bytes", "int", "float", "text"]
_AXES = re.compile(r"[NHWC]*")
KINDS: tuple[Kind, ...] = get_args(Kind)
# The axes of an image, in the order that transforms and codecs have them.
IMAGE_AXES = "HWC"
DOUBTFUL = "?"
PLAIN = "-"
# Blobs stay in their files and are read when asked for; the other kinds are columns in memory.
BLOB_KINDS = ("image", "mask", "pixels", "bytes")


@dataclass(frozen=True)
class Field:
    """One field of a sample.

    - name: what users call it.
    - kind: "image" (an encoded image file), "mask" (an image file whose pixels are class numbers), "pixels" (an array),
      "bytes", "int", "float" or "text".
    - shape: of one sample; None where it differs from sample to sample. () is a scalar.
    - dtype: numpy's name for the values of "pixels", "int" and "float".
    - stored_as: the name in the file, where that is another.
    - color: of "pixels": "RGB", "BGR" or "GRAY"; "" when the file does not tell.
    - axes: of "pixels": those of the stored array, such as "NCHW", where they are not samples, height, width, channels. Samples are
      read with these axes; transforms see them as images. "?" is an array whose shape does not tell, "-" one that is not an image:
      transforms leave it as it is.
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
                f"field {self.name!r}: the kind {self.kind!r} is none of {', '.join(KINDS)}"
            )
        if not self.name:
            raise SchemaError("a field needs a name")
        if not _are_axes(self.axes, len(self.shape)):
            raise SchemaError(
                f"field {self.name!r}: {self.axes!r} are not the axes of samples of {len(self.shape)} dimensions"
            )

    @property
    def is_blob(self) -> bool:
        return self.kind in BLOB_KINDS

    @property
    def list_length(self) -> int | None:
        """How many values a sample has in a column of lists of one length, which is read as an array; None in other columns."""
        is_fixed = not self.is_blob and len(self.shape) == 1 and isinstance(self.shape[0], int)
        return self.shape[0] if is_fixed else None

    @property
    def to_image(self) -> tuple[int, ...]:
        """Which axis of a sample is its height, its width and its channels; without channels two axes.

        >>> Field("X", "pixels", (3, 20, 30), axes="NCHW").to_image
        (1, 2, 0)
        """
        axes = self.axes.strip(DOUBTFUL + PLAIN).replace("N", "") or IMAGE_AXES[: len(self.shape)]
        return tuple(axes.index(axis) for axis in IMAGE_AXES if axis in axes)

    @property
    def image_shape(self) -> tuple[int | None, ...]:
        """Height, width and channels of a sample of "pixels", as far as it has them."""
        return tuple(self.shape[axis] for axis in self.to_image)

    @property
    def is_image_file(self) -> bool:
        """True for an encoded image file, of colors or of class numbers."""
        return self.kind in ("image", "mask")

    @property
    def is_picture(self) -> bool:
        """True when a sample has one image here: a file, or an array that is not plain numbers."""
        return self.kind in ("image", "pixels") and self.axes != PLAIN and not self.is_list

    @property
    def is_list(self) -> bool:
        """True when a sample has any number of values: of numbers, texts or blobs. Arrays are "pixels", one value each."""
        return self.kind != "pixels" and self.shape != ()

    @property
    def source_name(self) -> str:
        return self.stored_as or self.name


def _are_axes(axes: str, num_dimensions: int) -> bool:
    if axes in ("", DOUBTFUL, PLAIN):
        return True
    count = num_dimensions + ("N" in axes)
    return bool(_AXES.fullmatch(axes)) and len(set(axes)) == len(axes) == count


@dataclass(frozen=True)
class Schema:
    """The fields of a sample, and the names of the classes that `label` counts.

    >>> schema = Schema((Field("image", "image"), Field("label", "int", dtype="int64")), ("cat", "dog"))
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

    @property
    def blobs(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.is_blob)

    @property
    def columns(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if not field.is_blob)

    @property
    def image_field(self) -> Field | None:
        """The field that is looked at when a sample is: the first image or pixels field."""
        return next((field for field in self.fields if field.is_picture), None)

    def class_name(self, label: int | float | str) -> str:
        """The name of a class, or the label itself when it has none.

        >>> schema = Schema((Field("label", "int", dtype="int64"),), ("cat", "dog"))
        >>> schema.class_name(1), schema.class_name(7)
        ('dog', '7')
        """
        name = (
            self.class_names[label]
            if isinstance(label, int) and 0 <= label < len(self.class_names)
            else ""
        )
        return name or str(label)

    def to_json(self) -> str:
        data = dataclasses.asdict(self)
        for field in data["fields"]:
            if not field["axes"]:  # files that were written before it was known stay as they are
                del field["axes"]
        return json.dumps(data, ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Schema":
        """Raises SchemaError when `text` is not what `to_json` writes."""
        try:
            data = json.loads(text)
            fields = [
                Field(**{**field, "shape": tuple(field["shape"])}) for field in data["fields"]
            ]
            return cls(tuple(fields), tuple(data["class_names"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise SchemaError(f"this is not a schema: {error}") from error


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with as many underscores before it as make it another than those that are taken.

    >>> free_name("image", {"image", "label"})
    '_image'
    """
    while name in taken:
        name = f"_{name}"
    return name


def merge_class_names(pieces: list[tuple[str, ...]]) -> tuple[str, ...]:
    """One list of names out of the shards' lists, where a shard leaves "" for a class it has not seen.

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
