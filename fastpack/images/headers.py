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
from fastpack.errors import Location, UnsupportedImageError, raise_status, with_location
from fastpack.images.codec import CONVERT, Encoded

# IMAGE_INFO["format"] counts these.
FORMATS = ("unknown", "jpeg", "png", "webp", "bmp", "tiff", "gif")
JPEG = FORMATS.index("jpeg")
_NOT_AN_IMAGE = 8
# How files of formats begin that are not read here.
_FOREIGN = {
    "BigTIFF": rb"II\x2b\x00|MM\x00\x2b",
    "AVIF": rb".{4}ftypavi[fs]",
    "HEIF": rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
    "JPEG 2000": rb"\x00\x00\x00\x0cjP  \r\n|\xff\x4f\xff\x51",
    "JPEG XL": rb"\x00\x00\x00\x0cJXL \r\n|\xff\x0a",
    "PBM": rb"P[14]\s",
    "PGM": rb"P[25]\s",
    "PPM": rb"P[36]\s",
    "PAM": rb"P7\s",
    "ICO": rb"\x00\x00[\x01\x02]\x00[^\x00]",
    "PSD": rb"8BPS\x00",
    "EXR": rb"\x76\x2f\x31\x01",
    "DDS": rb"DDS \x7c\x00",
    # Palette or not, kind, description of the palette, origin; then the size and the bits of a pixel.
    "TGA": rb".(?:\x01[\x01\x09]....[\x0f\x10\x18\x20]|\x00[\x02\x03\x0a\x0b]\x00\x00\x00\x00\x00).{8}[\x08\x0f\x10\x18\x20]",
}
_END_OF_TGA = b"TRUEVISION-XFILE.\0"
# Words in the names of fields that hold class numbers, whatever their writer called the rest.
_IMAGE_NAMES = {
    "image",
    "images",
    "img",
    "imgs",
    "jpeg",
    "jpegs",
    "jpg",
    "photo",
    "photos",
    "picture",
    "pictures",
    "png",
}
_MASK_WORDS = {
    "annotation",
    "annotations",
    "instance",
    "instances",
    "label",
    "labelid",
    "labelids",
    "labelmap",
    "labels",
}
_MASK_WORDS |= {
    "mask",
    "masks",
    "panoptic",
    "seg",
    "segm",
    "segmap",
    "segmentation",
    "semantic",
    "trimap",
}


class ProbedFiles(Ragged):
    """Image files one after the other, and what there is to know of them without decoding: looked for once, when somebody asks, unless
    who read them has found it on the way.

    - crcs: CRC-32C of each, (n,).
    - probed: IMAGE_INFO (n,) and kernel status (n,) of their headers.

    >>> files = ProbedFiles.of(Ragged.of_bytes([b"123456789", b""]))
    >>> hex(files.crcs[0]), files.crcs is ProbedFiles.of(files).crcs
    ('0xe3069283', True)
    """

    @classmethod
    def of(cls, blobs: Ragged) -> Self:
        """The same bytes."""
        return (
            blobs
            if isinstance(blobs, cls)
            else cls(np.ascontiguousarray(blobs.values), blobs.offsets)
        )

    @cached_property
    def crcs(self) -> npt.NDArray[np.uint32]:
        return crc32c_rows(self.values, self.offsets)

    @cached_property
    def probed(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        return _probe(self)


def probe_blobs(blobs: Ragged) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """IMAGE_INFO (n,) and kernel status (n,) of encoded images."""
    return blobs.probed if isinstance(blobs, ProbedFiles) else _probe(blobs)


def _probe(blobs: Ragged) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    infos = np.zeros(len(blobs), IMAGE_INFO)
    statuses = np.zeros(len(blobs), np.int32)
    probe_many(
        np.ascontiguousarray(blobs.values), blobs.offsets[:-1], blobs.lengths, infos, statuses
    )
    return infos, statuses


def probe(data: Encoded, location: Location | None = None) -> npt.NDArray[Any]:
    """What an image's header says: one IMAGE_INFO record.

    Raises UnsupportedImageError when it is no image, CorruptImageError when its header is damaged.
    """
    file = checks.encoded("data", data)
    checks.instance("location", location, Location | None, "a Location or None")
    infos, statuses = probe_blobs(Ragged.of_bytes([file]))
    if statuses[0]:
        raise_probe_status(int(statuses[0]), file, location or Location())
    return infos[0]  # type: ignore[no-any-return]


def raise_probe_status(status: int, data: bytes, location: Location) -> None:
    """Raises what the kernel's status of an image file means."""
    if status == _NOT_AN_IMAGE and (name := foreign_format(data)):
        article = "an" if name[0] in "AEIO" else "a"
        raise UnsupportedImageError(
            with_location(f"{article} {name} image is not read; {CONVERT}", location)
        )
    raise_status(
        status, "the image's header cannot be read" if data else "the file is empty", location
    )


def foreign_format(data: bytes) -> str | None:
    """The name of an image format that is not read here, by the first bytes, or by the last ones of a TGA.

    >>> foreign_format(b"P6 640 480 255 "), foreign_format(b"some text")
    ('PPM', None)
    """
    if data.endswith(_END_OF_TGA):
        return "TGA"
    return next(
        (name for name, beginning in _FOREIGN.items() if re.match(beginning, data, re.DOTALL)), None
    )


def guess_kind(name: str, infos: npt.NDArray[Any]) -> Kind:
    """Guess what the image files of a field hold, where the file that has them does not say it.

    A field is a "mask" when a word of its name says so and no image has more than one channel
    (gray levels or palette indices). Any other field is an "image".

    >>> gray = np.array([(4, 4, 2, 1, 0, 0, 1, 8, 0)], IMAGE_INFO)
    >>> guess_kind("gtFine_labelIds.png", gray), guess_kind("depth.png", gray)
    ('mask', 'image')
    """
    readable = infos[infos["width"] > 0]
    is_mask = len(readable) and is_name_of_mask(name) and (readable["components"] == 1).all()
    return "mask" if is_mask else "image"


def guess_kind_of_blobs(name: str, infos: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> Kind:
    """Guess what the blobs of a field hold, where they may not be images: "bytes" unless its name says that they are, or more than
    half of those that are not empty begin as images do.

    >>> guess_kind_of_blobs("tokens", np.zeros(3, IMAGE_INFO), np.array([2, 0, 5]))
    'bytes'
    """
    num_filled, num_images = np.count_nonzero(lengths), np.count_nonzero(infos["format"])
    is_other = (
        num_filled
        and 2 * num_images <= num_filled
        and name.rpartition("/")[2].lower() not in _IMAGE_NAMES
    )
    return "bytes" if is_other else guess_kind(name, infos)


def is_name_of_mask(name: str) -> bool:
    """True when a word of the name says that its images are masks.

    >>> is_name_of_mask("train_masks"), is_name_of_mask("damask")
    (True, False)
    """
    return bool({word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", name)} & _MASK_WORDS)
