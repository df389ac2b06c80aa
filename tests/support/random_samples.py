"""Random samples with fields of every kind; values to compare after they went through files."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from fastpack import Batch
from fastpack.core import Field, Schema
from fastpack.core.ragged import Ragged, Text, offsets_of
from fastpack.errors import Location
from tests.support.images import jpeg, photo, save

PNG, JPEG, GRAY = (
    save(photo(5, 4, seed=1), "PNG"),
    jpeg(6, 5, seed=2),
    save(photo(5, 4, 1, seed=3), "PNG"),
)
IMAGES = st.sampled_from([PNG, JPEG, save(photo(3, 7, seed=4), "WEBP")])
NAMES = [
    "caption",
    "seg",
    "seg.bin",
    "bin",
    "_seg",
    "seg.jpg",
    "image/encoded",
    "a_b",
    "a/b",
    "größe",
    "x.y",
    "images",
    "values",
    "A",
    "a",
    "seg.png",
    "txt",
    "nul\0",
    "image/width",
    "jpg",
    "cls",
]
KEYS = ["cat/0.png", "cat/1.jpg", "ü 1", "a.b", "dog/deep/2", "0", "A", "x.PNG"]

_FLOAT32 = st.floats(width=32)
_VALUES: Mapping[str, Any] = {
    "image": IMAGES,
    "mask": st.sampled_from([GRAY, b""]),
    "bytes": st.one_of(st.binary(max_size=20), st.just(PNG)),
    "int": st.integers(-(2**63), 2**63 - 1),
    "float": _FLOAT32,
    "float64": st.floats(),
    "text": st.one_of(
        st.text(max_size=9), st.sampled_from(["GIF89a was a format", "x" * 3000, "end\0", ""])
    ),
}


class Samples:
    """A Source of what lies in memory."""

    def __init__(
        self,
        fields: tuple[Field, ...],
        values: Mapping[str, Any],
        class_names: tuple[str, ...] = (),
    ) -> None:
        self.schema, self.values = Schema(fields, class_names), dict(values)
        self._num_samples = len(next(iter(self.values.values())))

    @property
    def sizes(self) -> np.ndarray:
        image_field = self.schema.image_field
        return (
            np.zeros(len(self), np.int64)
            if image_field is None
            else self.read(np.arange(len(self)))[image_field.name].lengths
        )

    def __len__(self) -> int:
        return self._num_samples

    def location(self, row: int) -> Location:
        return Location(record=row, key=self.values["key"][row] if "key" in self.values else None)

    def read(self, rows: Any) -> Batch:
        fields = {
            field.name: column_of(field, [self.values[field.name][row] for row in rows])
            for field in self.schema.fields
        }
        return Batch(fields, len(rows))

    def altered(self, name: str, row: int, value: Any) -> "Samples":
        values = {each: list(of_each) for each, of_each in self.values.items()}
        values[name][row] = value
        return Samples(self.schema.fields, values, self.schema.class_names)


def column_of(field: Field, rows: list[Any]) -> Any:
    """The values of some samples as a batch has them."""
    if field.is_list:
        flat = [value for row in rows for value in row]
        return Ragged(
            column_of(Field(field.name, field.kind, (), field.dtype), flat),
            offsets_of([len(row) for row in rows]),
        )
    if field.kind == "text":
        return Text.of(rows)
    if field.kind in ("image", "mask", "bytes"):
        return Ragged.of_bytes(rows)
    return np.array(rows, field.dtype).reshape(len(rows), *field.shape)


def plain(value: Any) -> Any:
    """A sample's value as what compares by `==`: NaN too."""
    if isinstance(value, np.ndarray):
        return [plain(each) for each in value.tolist()]
    if isinstance(value, (list, Ragged)):
        return (
            [plain(value.bytes(i)) for i in range(len(value))]
            if _is_bytes(value)
            else [plain(each) for each in value]
        )
    return _digits(value) if isinstance(value, float) else value


def _digits(value: float) -> str:
    """As 32 bits spell it where they can: a TFRecord keeps such digits."""
    with np.errstate(over="ignore"):
        narrow = np.float32(value)
    return str(narrow) if value in (float(str(narrow)), float(narrow)) else repr(value)


def _is_bytes(value: Any) -> bool:
    is_flat = (
        isinstance(value, Ragged)
        and not isinstance(value, Text)
        and isinstance(value.values, np.ndarray)
    )
    return is_flat and value.values.dtype == np.uint8


@st.composite
def fields_and_values(draw: Any, name: str, num_samples: int) -> tuple[Field, list[Any]]:
    kind = draw(st.sampled_from([*_VALUES, "pixels"]))
    if kind == "pixels":
        field = Field(name, "pixels", (2, 3), "<f4")
        return field, [
            np.array(draw(st.lists(_FLOAT32, min_size=6, max_size=6)), "<f4").reshape(2, 3)
            for _ in range(num_samples)
        ]
    dtype = {"int": "int64", "float": "float32", "float64": "float64"}.get(kind, "")
    values = _VALUES[kind]
    shape: tuple[None, ...] = ()
    if draw(st.booleans()):
        values, shape = st.lists(values, max_size=3), (None,)
    return Field(name, "float" if kind == "float64" else kind, shape, dtype), [
        draw(values) for _ in range(num_samples)
    ]


@st.composite
def samples(draw: Any) -> Samples:
    num_samples = draw(st.integers(1, 4))
    found = {"image": (Field("image", "image"), [draw(IMAGES) for _ in range(num_samples)])}
    class_names: tuple[str, ...] = ()
    if draw(st.booleans()):
        found["key"] = Field("key", "text"), draw(st.permutations(KEYS))[:num_samples]
    if draw(st.booleans()):
        found["label"] = (
            Field("label", "int", dtype="int64"),
            [draw(st.integers(0, 1)) for _ in range(num_samples)],
        )
        class_names = draw(st.sampled_from([(), ("cat", "dög\0")]))
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True)):
        found[name] = draw(fields_and_values(name, num_samples))
    return Samples(
        tuple(field for field, _ in found.values()),
        {name: values for name, (_, values) in found.items()},
        class_names,
    )
