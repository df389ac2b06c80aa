"""The four functions of the common TFRecord and HDF5 snippets, with the snippets' signatures and meanings."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastpack.errors import Location, MissingPackageError, SchemaError, with_location
from fastpack.packing.options import PackOptions
from fastpack.packing.pack import pack
from fastpack.reading.open import open as open_dataset
from fastpack.sources import ImageFiles

if TYPE_CHECKING:
    import tensorflow as tf

ImagePaths = Sequence[str | os.PathLike[str]]
Labels = Sequence[int] | npt.NDArray[np.integer[Any]]


def write_tfrecord(
    images_path: ImagePaths, labels: Labels, output_file: str | Path, *, overwrite: bool = False
) -> None:
    """Writes image files, as they are, to one TFRecord with the features `image` (bytes) and `label` (int64)."""
    pack(
        ImageFiles(images_path, labels),
        output_file,
        PackOptions(format="tfrecord"),
        overwrite=overwrite,
    )


def read_tfrecord(tfrecord_file: str | Path) -> "tf.data.Dataset":
    """A tf.data.Dataset of {'image': bytes, 'label': int64}, read by TensorFlow alone.

    Raises MissingPackageError without TensorFlow, MissingFileError without the file.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise MissingPackageError(
            "read_tfrecord needs TensorFlow: pip install 'fastpack-io[tensorflow]'; fastpack.open does not"
        ) from error
    from fastpack.formats.discovery import find_shards

    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }
    records = tf.data.TFRecordDataset([str(path) for path in find_shards(tfrecord_file)])
    return records.map(lambda record: tf.io.parse_single_example(record, features))


def create_hdf5(
    images_path: ImagePaths,
    labels: Labels,
    output_file: str | Path,
    size: int | tuple[int, int] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Writes decoded images to HDF5: `images` uint8 (N, H, W, 3), RGB, uint16 for files of 16 bits, and `labels` int64 (N,).

    Images of differing sizes need a `size` (height, width) to be resampled to.
    """
    options = PackOptions(format="hdf5", layout="pixels", size=size)
    pack(ImageFiles(images_path, labels), output_file, options, overwrite=overwrite)


def read_hdf5(hdf5_file: str | Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """`images` and `labels` of an HDF5 file as arrays. Raises SchemaError when it has no such datasets."""
    dataset = open_dataset(hdf5_file)
    missing = {"image", "label"} - {field.name for field in dataset.schema.fields}
    if missing:
        names = " and ".join(f"{name}s" for name in sorted(missing))
        raise SchemaError(
            with_location(
                f"there is no dataset {names}; fastpack.open reads other files", Location(hdf5_file)
            )
        )
    batch = dataset.read(np.arange(len(dataset)))
    return batch["image"], batch["label"]
