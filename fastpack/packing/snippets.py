"""Drop-in functions with the signatures of the common TFRecord and HDF5 snippets."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastpack.errors import Location, MissingPackageError, SchemaError, with_location
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
    """Write image files unchanged to one TFRecord, with features `image` and `label`.

    Args:
        images_path: paths of the image files.
        labels: integers, one for each file.
        output_file: the file to write.
        overwrite: replace an existing file.

    Raises:
        FastpackError: a file cannot be read, is not an image, or the output exists.

    Example:
        >>> import fastpack
        >>> folder = Path(getfixture("tmp_path"))
        >>> png = fastpack.encode(np.zeros((8, 8, 3), np.uint8), "png")
        >>> _ = (folder / "a.png").write_bytes(png)
        >>> write_tfrecord([folder / "a.png"], [7], folder / "a.tfrecord")
        >>> fastpack.open(folder / "a.tfrecord")[0]["label"]
        7
    """
    source = ImageFiles(images_path, labels)
    pack(source, output_file, format="tfrecord", overwrite=overwrite)


def read_tfrecord(tfrecord_file: str | Path) -> "tf.data.Dataset":
    """Read a TFRecord with TensorFlow alone.

    Args:
        tfrecord_file: a file or a set that `write_tfrecord` or `pack` wrote.

    Returns:
        A tf.data.Dataset of {"image": bytes, "label": int64}.

    Raises:
        MissingPackageError: TensorFlow is not installed.
        MissingFileError: the file does not exist.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        message = "read_tfrecord needs TensorFlow: pip install 'fastpack-io[tensorflow]'"
        raise MissingPackageError(f"{message}; fastpack.open does not need it") from error
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
    """Write decoded images to HDF5, as datasets `images` and `labels`.

    `images` is RGB (N, H, W, 3), uint8, or uint16 for 16-bit files. `labels` is int64 (N,).

    Args:
        images_path: paths of the N image files.
        labels: integers, one for each file.
        output_file: the file to write.
        size: (height, width) in pixels, or one number for both; needed if image sizes differ.
        overwrite: replace an existing file.

    Raises:
        ShapeError: image sizes differ, without a size.
        FastpackError: a file cannot be read, is not an image, or the output exists.

    Example:
        >>> import fastpack
        >>> folder = Path(getfixture("tmp_path"))
        >>> png = fastpack.encode(np.zeros((8, 8, 3), np.uint8), "png")
        >>> _ = (folder / "a.png").write_bytes(png)
        >>> create_hdf5([folder / "a.png"], [7], folder / "a.h5")
        >>> images, labels = read_hdf5(folder / "a.h5")
        >>> images.shape, labels.tolist()
        ((1, 8, 8, 3), [7])
    """
    source = ImageFiles(images_path, labels)
    pack(source, output_file, format="hdf5", layout="pixels", size=size, overwrite=overwrite)


def read_hdf5(hdf5_file: str | Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Read all images and labels of an HDF5 file.

    Args:
        hdf5_file: a file with datasets `images` and `labels`.

    Returns:
        Images (N, H, W, 3), uint8 or uint16, and labels (N,), int64.

    Raises:
        SchemaError: the file has no such datasets.
        MissingFileError: the file does not exist.
    """
    dataset = open_dataset(hdf5_file)
    missing = {"image", "label"} - {field.name for field in dataset.schema.fields}
    if missing:
        names = " and ".join(f"{name}s" for name in sorted(missing))
        message = f"there is no dataset {names}; fastpack.open reads other files"
        raise SchemaError(with_location(message, Location(hdf5_file)))
    batch = dataset.read(np.arange(len(dataset)))
    return batch["image"], batch["label"]
