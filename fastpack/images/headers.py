"""What an image file says of itself in its header, for all formats. Nothing is decoded."""

import re
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c_rows
from fastpack._native.image import probe_many
from fastpack.core import checks
from fastpack.core.dtypes import IMAGE_INFO
from fastpack.core.ragged import Ragged
from fastpack.core.schema import Kind
from fastpack.errors import Place, raise_status

# IMAGE_INFO["format"] counts these.
FORMATS = ("unknown", "jpeg", "png", "webp", "bmp", "tiff", "gif")
JPEG = FORMATS.index("jpeg")
# Words in the names of fields that hold class numbers, whatever their writer called the rest.
_MASK_WORDS = {"annotation", "annotations", "instance", "instances", "label", "labelid", "labelids", "labelmap", "labels"}
_MASK_WORDS |= {"mask", "masks", "panoptic", "seg", "segm", "segmap", "segmentation", "semantic", "trimap"}


class ImageFiles(Ragged):
    """Image files one after the other, and what there is to know of them without decoding: looked for once, when somebody asks, unless
    who read them has found it on the way.

    - crcs: CRC-32C of each, (n,).
    - probed: IMAGE_INFO (n,) and kernel status (n,) of their headers.

    >>> files = ImageFiles.of(Ragged.of_bytes([b"123456789", b""]))
    >>> hex(files.crcs[0]), files.crcs is ImageFiles.of(files).crcs
    ('0xe3069283', True)
    """

    @classmethod
    def of(cls, blobs: Ragged) -> Self:
        """The same bytes."""
        return blobs if isinstance(blobs, cls) else cls(np.ascontiguousarray(blobs.values), blobs.offsets)

    @cached_property
    def crcs(self) -> npt.NDArray[np.uint32]:
        return crc32c_rows(self.values, self.offsets)

    @cached_property
    def probed(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        return _probe(self)


def probe_blobs(blobs: Ragged) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """IMAGE_INFO (n,) and kernel status (n,) of encoded images."""
    return blobs.probed if isinstance(blobs, ImageFiles) else _probe(blobs)


def _probe(blobs: Ragged) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    infos = np.zeros(len(blobs), IMAGE_INFO)
    statuses = np.zeros(len(blobs), np.int32)
    probe_many(np.ascontiguousarray(blobs.values), blobs.offsets[:-1], blobs.lengths, infos, statuses)
    return infos, statuses


def probe(data: bytes, place: Place | None = None) -> npt.NDArray[Any]:
    """What an image's header says: one IMAGE_INFO record.

    Raises UnsupportedImageError when it is no image, CorruptImageError when its header is damaged.
    """
    checks.file_bytes("data", data)
    infos, statuses = probe_blobs(Ragged.of_bytes([data]))
    if statuses[0]:
        raise_probe_status(int(statuses[0]), len(data), place or Place())
    return infos[0]  # type: ignore[no-any-return]


def raise_probe_status(status: int, num_bytes: int, place: Place) -> None:
    raise_status(status, "the image's header cannot be read" if num_bytes else "the file is empty", place)


def guess_kind(name: str, infos: npt.NDArray[Any]) -> Kind:
    """Guess what the image files of a field hold, where the file that has them does not say it.

    A field is a "mask" when a word of its name says so and no picture has more than one channel
    (gray levels or palette indices). Any other field is an "image".

    >>> gray = np.array([(4, 4, 2, 1, 0, 0, 1, 8, 0)], IMAGE_INFO)
    >>> guess_kind("gtFine_labelIds.png", gray), guess_kind("depth.png", gray)
    ('mask', 'image')
    """
    words = {word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", name)}
    readable = infos[infos["width"] > 0]
    is_mask = len(readable) and words & _MASK_WORDS and (readable["components"] == 1).all()
    return "mask" if is_mask else "image"
