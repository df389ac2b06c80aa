"""TensorFlow: a Loader of whole batches, as a tf.data.Dataset too, and readers without fastpack.

Text and undecoded images are string tensors; lists of numbers are RaggedTensors.
"""

import json
from collections.abc import Callable
from typing import Any, Unpack

import numpy as np

from fastpack.core import checks
from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Field
from fastpack.errors import FormatError, MissingPackageError, ShapeError
from fastpack.images.batch import Batch
from fastpack.loading.adapter import AdaptedLoader, fields_of
from fastpack.loading.loader import Loader as BatchLoader
from fastpack.loading.options import LoaderKwargs, LoaderOptions
from fastpack.reading.reader import Reader

try:
    import tensorflow as tf
except ImportError as error:
    raise MissingPackageError(
        "fastpack.tensorflow needs TensorFlow: pip install 'fastpack-io[tensorflow]'"
    ) from error

Tensors = dict[str, Any]

# Eigen reads tensors in vectors of this size. TensorFlow ends the process if one is not aligned.
_ALIGNED_BYTES = 64
_NO_END = 2**62  # more steps than any run has


class Loader(AdaptedLoader[Tensors], tf.train.experimental.PythonState):
    """The batches of a fastpack Loader as dicts of tensors.

    Images must have one size, (n, H, W, C), or be undecoded. The loader is trackable:
    tf.train.Checkpoint(loader=loader) saves its position, and restoring continues there. Iterating
    gives the rest of the epoch, then the next ones; `set_epoch` is optional. **`break` and
    `next(iter(loader))` consume batches; `peek` does not.**

    Args:
        dataset: from `fastpack.open`.
        options: how to load.
        changes: fields of LoaderOptions by name: batch_size=256, shuffle=True, rank="auto", ...

    Raises:
        OptionError: an option has a wrong value.
        EmptySourceError: the dataset has no samples.

    Example:
        >>> import fastpack
        >>> loader = Loader(fastpack.open(getfixture("digits")), batch_size=4)
        >>> [batch["label"].numpy().tolist() for batch in loader]
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    """

    def __init__(
        self,
        dataset: Reader,
        options: LoaderOptions | None = None,
        **changes: Unpack[LoaderKwargs],
    ) -> None:
        super().__init__(BatchLoader(dataset, options, **changes))

    def convert(self, batch: Batch) -> Tensors:
        """Return the batch as tensors; aligned arrays share its memory."""
        fields = fields_of(batch, self._added)
        return {name: _to_tensor(name, values) for name, values in fields.items()}

    def serialize(self) -> str:
        """Return the state as text, for tf.train.Checkpoint."""
        return json.dumps(self.state_dict())

    def deserialize(self, string_value: str) -> None:
        """Load a state from text, for tf.train.Checkpoint."""
        self.load_state_dict(json.loads(string_value))

    @property
    def element_spec(self) -> dict[str, Any]:
        """The tf.TensorSpec of each field; drop_last and pad_last fix the number of samples."""
        sample = self.convert(self._loader.dataset.read([0]))
        options = self.options
        skips = self._loader.dataset.options.on_error == "skip"
        count = (
            options.batch_size if (options.drop_last or options.pad_last) and not skips else None
        )
        counts = {name: None if name == "failures" else count for name in sample}
        return {name: _spec_of(value, counts[name]) for name, value in sample.items()}

    def as_dataset(self, epochs: int = 1) -> "tf.data.Dataset":
        """Return a tf.data.Dataset of the steps from here to the end of `epochs` epochs.

        Iterated again, as `fit(epochs=2)` and `repeat` do, it gives the steps after those, with new
        orders and crops. A batch depends on its step alone. So tf.train.Checkpoint(iterator=
        iter(dataset)) saves the step last taken, also after `prefetch`. This Loader does not move.

        Args:
            epochs: at least 1; the current one counts.

        Returns:
            A dataset of known cardinality, with this `element_spec`.

        Example:
            >>> import fastpack
            >>> loader = Loader(fastpack.open(getfixture("digits")), batch_size=5, drop_last=True)
            >>> dataset = loader.as_dataset(epochs=2)
            >>> dataset.element_spec["image"].shape.as_list(), len(dataset)
            ([5, 8, 8, 3], 4)
        """
        epochs, spec = checks.integer("epochs", epochs, 1), self.element_spec
        flat_spec = tf.nest.flatten(spec, expand_composites=True)

        epoch, first, end = self.epoch, self._loader.position, (self.epoch + 1) * len(self)
        # Steps are counted from the first epoch on. In this epoch they are counted back from its
        # end, since it may have started with steps of another size.
        begin = end - self._loader.num_steps_left
        turns = _Turns(begin, (epoch + epochs) * len(self) - begin)

        def read(number: Any) -> list[Any]:
            turns.note(step := int(number))
            if step < end:
                position = first + (step - begin) * self._loader.step_size
                batch = self._loader.replay(epoch, position=position)
            else:
                batch = self._loader.replay(*divmod(step, len(self)))
            values = self.convert(batch).items()
            fitted = {name: _fitted(name, value, spec[name]) for name, value in values}
            components: list[Any] = tf.nest.flatten(fitted, expand_composites=True)
            return components

        def batch_of(number: Any) -> Tensors:
            tensors = tf.py_function(read, [number], [component.dtype for component in flat_spec])
            for tensor, component in zip(tensors, flat_spec, strict=True):
                tensor.set_shape(component.shape)
            batch: Tensors = tf.nest.pack_sequence_as(spec, tensors, expand_composites=True)
            return batch

        batches = turns.steps().map(
            batch_of, num_parallel_calls=max(1, self.options.prefetch), deterministic=True
        )
        return batches.with_options(_pipeline_options())


class _Turns:
    """The steps of each iteration of a tf.data.Dataset: `count` each, from `begin` on."""

    def __init__(self, begin: int, count: int) -> None:
        self._begin, self._count = begin, count
        self._next = 0

    def steps(self) -> "tf.data.Dataset":
        """Return a dataset of step numbers.

        A checkpoint saves the step itself, so a restored iterator continues in its step's turn.
        """
        first = tf.data.Dataset.from_tensors(0).map(
            lambda _: tf.py_function(self._start, [], tf.int64)
        )
        steps = first.flat_map(
            lambda begin: tf.data.Dataset.range(begin, _NO_END).take(self._count)
        )
        return steps.apply(tf.data.experimental.assert_cardinality(self._count))

    def note(self, step: int) -> None:
        """Note a step that is read: the next turn comes after the step's."""
        self._next = max(self._next, (step - self._begin) // self._count + 1)

    def _start(self) -> int:
        self._next += 1
        return self._begin + (self._next - 1) * self._count


def _pipeline_options() -> "tf.data.Options":
    options = tf.data.Options()
    options.experimental_symbolic_checkpoint = True  # saves the step, not buffered batches
    # The batches are already this rank's.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options


def _to_tensor(name: str, values: Any) -> Any:
    if isinstance(values, list):
        raise ShapeError(
            f"{name!r} has images of different sizes; "
            "give a transform such as RandomResizedCrop(224), or decode=False"
        )
    is_bytes = isinstance(values, Ragged) and getattr(values.values, "dtype", None) == np.uint8
    if is_bytes or isinstance(values, Text):
        strings = [values.bytes(row) for row in range(len(values))]
        return tf.constant(strings, tf.string, shape=[len(values)])
    if isinstance(values, Ragged):
        return tf.RaggedTensor.from_row_splits(_to_tensor(name, values.values), values.offsets)
    is_aligned = (
        values.ctypes.data % _ALIGNED_BYTES == 0
        and values.flags.c_contiguous
        and values.flags.writeable
    )
    if is_aligned and values.ndim > 1:
        # The tensor shares the memory and keeps it alive.
        return tf.experimental.dlpack.from_dlpack(values.__dlpack__())
    return tf.convert_to_tensor(values)


def _spec_of(value: Any, num_samples: int | None) -> Any:
    if isinstance(value, tf.RaggedTensor):
        return tf.RaggedTensorSpec(
            [num_samples, None], value.dtype, ragged_rank=1, row_splits_dtype=tf.int64
        )
    return tf.TensorSpec([num_samples, *value.shape[1:]], value.dtype)


def _fitted(name: str, value: Any, spec: Any) -> Any:
    """Return the value if it fits the spec; without samples, give it the spec's shape."""
    if isinstance(value, tf.Tensor) and value.shape[0] == 0:
        return tf.reshape(value, [0, *spec.shape[1:]])
    if not spec.is_compatible_with(value):
        found = f"{value.dtype.name} {value.shape}"
        raise ShapeError(f"{name!r} is {found}, not {spec}; give a transform to one size")
    return value


# TFRecords without fastpack


def stock_features(dataset: Reader) -> dict[str, Any]:
    """Return the features for tf.io.parse_single_example and parse_example.

    Args:
        dataset: a Reader of TFRecords.

    Returns:
        Name in the file -> tf.io.FixedLenFeature or RaggedFeature.

    Raises:
        FormatError: the files are not TFRecords.

    Example:
        >>> import fastpack
        >>> sorted(stock_features(fastpack.open(getfixture("digits"))))
        ['image', 'label']
    """
    return {
        field.source_name: getattr(tf.io, kind)(**_arguments(field, tf.dtypes.as_dtype))
        for field, kind in _parsed(dataset)
    }


def stock_parse(dataset: Reader) -> Callable[[Any], Tensors]:
    """Return a function that parses these TFRecords with TensorFlow's own operations.

    Args:
        dataset: a Reader of TFRecords.

    Returns:
        A function from a serialized tf.train.Example to field name -> tensor. Images stay encoded,
        for tf.io.decode_image. Lists have their own length in each sample.

    Raises:
        FormatError: the files are not TFRecords.

    Example:
        >>> import fastpack
        >>> path = getfixture("digits")
        >>> samples = tf.data.TFRecordDataset([str(path)]).map(stock_parse(fastpack.open(path)))
        >>> [int(sample["label"]) for sample in samples.take(3)]
        [0, 1, 2]
    """
    features = stock_features(dataset)
    names = {field.name: field.source_name for field in dataset.schema.fields}

    def parse(record: Any) -> Tensors:
        parsed = tf.io.parse_single_example(record, features)
        return {name: parsed[stored] for name, stored in names.items()}

    return parse


_STOCK_CODE = '''"""Reads TFRecords that hold {names}, with TensorFlow alone."""

import tensorflow as tf

FEATURES = {{
{features}
}}


def parse(record):
    """Parse a serialized tf.train.Example. Images stay encoded, for tf.io.decode_image."""
    parsed = tf.io.parse_single_example(record, FEATURES)
    return {{
{fields}
    }}


def dataset(paths):
    """Return a tf.data.Dataset of samples, in the order of the files."""
    return tf.data.TFRecordDataset(paths).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
'''


def stock_code(dataset: Reader) -> str:
    """Return `stock_parse` as the text of a Python module that needs only TensorFlow.

    Args:
        dataset: a Reader of TFRecords.

    Returns:
        Python source with FEATURES, parse(record) and dataset(paths).

    Raises:
        FormatError: the files are not TFRecords.

    Example:
        >>> import fastpack
        >>> print(stock_code(fastpack.open(getfixture("digits"))).split("\\n\\n\\n")[0])
        \"\"\"Reads TFRecords that hold image, label, with TensorFlow alone.\"\"\"
        <BLANKLINE>
        import tensorflow as tf
        <BLANKLINE>
        FEATURES = {
            "image": tf.io.FixedLenFeature(shape=[], dtype=tf.string, default_value=""),
            "label": tf.io.FixedLenFeature(shape=[], dtype=tf.int64),
        }
    """
    features = []
    for field, kind in _parsed(dataset):
        given = _arguments(field, _DType).items()
        arguments = ", ".join(f"{name}={_literal(value)}" for name, value in given)
        features.append(f"    {_literal(field.source_name)}: tf.io.{kind}({arguments}),")
    fields = [
        f"        {_literal(field.name)}: parsed[{_literal(field.source_name)}],"
        for field in dataset.schema.fields
    ]
    names = ", ".join(field.name for field in dataset.schema.fields)
    return _STOCK_CODE.format(
        names=ascii(names)[1:-1], features="\n".join(features), fields="\n".join(fields)
    )


class _DType(str):
    """A dtype's name, written as tf.name."""


def _literal(value: Any) -> str:
    if isinstance(value, _DType):
        return f"tf.{value}"
    return json.dumps(value)


def _parsed(dataset: Reader) -> "list[tuple[Field, str]]":
    """Return each field with the name of the tf.io feature that reads it."""
    if dataset.containers != {"tfrecord"}:
        raise FormatError("TensorFlow itself reads only TFRecords; pack the dataset into one first")
    return [
        (field, "FixedLenFeature" if field.shape == () else "RaggedFeature")
        for field in dataset.schema.fields
    ]


def _arguments(field: Field, dtype: Callable[[str], Any]) -> dict[str, Any]:
    kind = {"int": "int64", "float": "float32"}.get(field.kind, "string")
    if field.shape != ():
        return {"dtype": dtype(kind)}
    # A record may lack its blob, which then is empty, as in a Reader.
    return {"shape": [], "dtype": dtype(kind)} | ({"default_value": ""} if field.is_blob else {})
