"""Work of training processes, which run beside their parent."""

import hashlib
from collections.abc import Sequence
from multiprocessing.queues import SimpleQueue
from typing import Any

import numpy as np

from fastpack import Loader, Reader
from fastpack.loading import LoaderOptions


def digests_of(reader: Reader, options: LoaderOptions) -> list[str]:
    """Returns a digest of each batch of two epochs: of all fields, bit for bit."""
    with Loader(reader, options) as loader:
        return [digest(batch) for _ in range(2) for batch in loader]


def digest(batch: Any) -> str:
    found = hashlib.sha256()
    for name in sorted(batch.keys()):
        values = batch[name]
        for value in values if isinstance(values, Sequence) else [values]:
            found.update(f"{name} {np.shape(value)}".encode())
            found.update(np.ascontiguousarray(value).tobytes() if name == "image" else b"")
            found.update(str(value).encode() if name != "image" else b"")
    return found.hexdigest()


def read_all(reader: Reader, options: LoaderOptions, answers: "SimpleQueue[Any]") -> None:
    """Puts the digests of an epoch, or the error."""
    try:
        answers.put(digests_of(reader, options))
    except BaseException as error:
        answers.put(f"{type(error).__name__}: {error}")
