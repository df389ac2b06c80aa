"""Headers of image files of all formats: format, size, channels. Pixels are not decoded."""

import re
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c_rows
from fastpack._native.image import probe_many
from fastpack.core import checks
from fastpack.core.cached import cached_property
from fastpack.core.dtypes import IMAGE_INFO
from fastpack.core.ragged import Ragged
from fastpack.core.schema import Kind
from fastpack.errors import Location, Status, UnsupportedImageError, raise_status, with_location
from fastpack.images.codec import CONVERT, Encoded

# IMAGE_INFO["format"] is a position in these.
FORMATS = ("unknown", "jpeg", "png", "webp", "bmp", "tiff", "gif")
JPEG = FORMATS.index("jpeg")
# First bytes of formats that are not supported.
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
    # Palette flag, kind and description of the palette; then origin, size and bits of a pixel.
    "TGA": rb".(?:\x01[\x01\x09]....[\x0f\x10\x18\x20]|\x00[\x02\x03\x0a\x0b]\x00\x00\x00\x00\x00)"
    rb".{8}[\x08\x0f\x10\x18\x20]",
}
_END_OF_TGA = b"TRUEVISION-XFILE.\0"
# Names of fields of images, and words in the names of fields of masks.
_IMAGE_NAME = re.compile("(image|img|jpeg|photo|picture)s?|jpg|png")
_MASK_WORD = re.compile(
    "(annotation|instance|label|labelid|mask)s?|labelmap|panoptic|semantic|trimap"
    "|seg|segm|segmap|segmentation"
)


class ProbedFiles(Ragged):
    """Image files in one array, with their checksums and header facts.

    Both are computed once, at first use, unless the code that read the files has set them.

    >>> files = ProbedFiles.of(Ragged.of_bytes([b"123456789", b""]))
    >>> hex(files.crcs[0]), files.crcs is ProbedFiles.of(files).crcs
    ('0xe3069283', True)
    """

    @classmethod
    def of(cls, blobs: Ragged) -> Self:
        """Return the same rows as ProbedFiles."""
        if isinstance(blobs, cls):
            return blobs
        return cls(np.ascontiguousarray(blobs.values), blobs.offsets)

    @cached_property
    def crcs(self) -> npt.NDArray[np.uint32]:
        """CRC-32C of each file, (n,)."""
        return crc32c_rows(self.values, self.offsets)

    @cached_property
    def probed(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        """IMAGE_INFO (n,) and kernel status (n,) of the headers."""
        return _probe(self)


def probe_blobs(blobs: Ragged) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """Return IMAGE_INFO (n,) and kernel status (n,) of the headers of encoded images."""
    return blobs.probed if isinstance(blobs, ProbedFiles) else _probe(blobs)


def _probe(blobs: Ragged) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    infos = np.zeros(len(blobs), IMAGE_INFO)
    statuses = np.zeros(len(blobs), np.int32)
    probe_many(
        np.ascontiguousarray(blobs.values), blobs.offsets[:-1], blobs.lengths, infos, statuses
    )
    return infos, statuses


def probe(data: Encoded, location: Location | None = None) -> npt.NDArray[Any]:
    """Read the header of an image file; nothing is decoded.

    Args:
        data: the file's bytes, or its first ones, as bytes, bytearray, memoryview or a uint8 array
            (n,).
        location: of the file, for messages.

    Returns:
        A record. `width` and `height` are the stored size in pixels. `format` is a position in
        `fastpack.images.headers.FORMATS`. `components` counts channels, `bits` are of a channel.
        `orientation` is EXIF's, 1 to 8. `progressive` and `subsampling` are for JPEG.

    Raises:
        UnsupportedImageError: The file is not an image of a supported format.
        CorruptImageError: The header is damaged.
        OptionError: `data` is not the bytes of a file.

    Example:
        >>> from fastpack.images.codecs import encode
        >>> info = probe(encode(np.zeros((4, 6, 1), np.uint8), "png"))
        >>> int(info["width"]), int(info["height"]), FORMATS[info["format"]]
        (6, 4, 'png')
    """
    file = checks.encoded("data", data)
    checks.instance("location", location, Location | None, "a Location or None")
    infos, statuses = probe_blobs(Ragged.of_bytes([file]))
    if statuses[0]:
        raise_probe_status(int(statuses[0]), file, location or Location())
    return infos[0]  # type: ignore[no-any-return]


def raise_probe_status(status: int, data: bytes, location: Location) -> None:
    """Raise the error of a kernel's status for an image file."""
    if status == Status.NOT_AN_IMAGE and (name := foreign_format(data)):
        article = "an" if name[0] in "AEIO" else "a"
        raise UnsupportedImageError(
            with_location(f"{article} {name} image is not supported; {CONVERT}", location)
        )
    message = "the image's header cannot be read" if data else "the file is empty"
    raise_status(status, message, location)


def foreign_format(data: bytes) -> str | None:
    """Return the name of an unsupported image format; None if the bytes are of no known one.

    >>> foreign_format(b"P6 640 480 255 "), foreign_format(b"some text")
    ('PPM', None)
    """
    if data.endswith(_END_OF_TGA):
        return "TGA"
    matches = (name for name, first in _FOREIGN.items() if re.match(first, data, re.DOTALL))
    return next(matches, None)


def guess_kind(name: str, infos: npt.NDArray[Any]) -> Kind:
    """Guess the kind of a field of image files: "image" or "mask".

    A field is a "mask" if a word of its name says so and all images have one channel (gray levels
    or palette indices).

    >>> gray = np.array([(4, 4, 2, 1, 0, 0, 1, 8, 0)], IMAGE_INFO)
    >>> guess_kind("gtFine_labelIds.png", gray), guess_kind("depth.png", gray)
    ('mask', 'image')
    """
    readable = infos[infos["width"] > 0]
    is_mask = len(readable) and is_name_of_mask(name) and (readable["components"] == 1).all()
    return "mask" if is_mask else "image"


def guess_kind_of_blobs(name: str, infos: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> Kind:
    """Guess the kind of a field of blobs: "bytes", "image" or "mask".

    They are "bytes" unless the name says "image", or more than half of those that are not empty
    begin like images.

    >>> guess_kind_of_blobs("tokens", np.zeros(3, IMAGE_INFO), np.array([2, 0, 5]))
    'bytes'
    """
    num_filled, num_images = np.count_nonzero(lengths), np.count_nonzero(infos["format"])
    is_named_image = _IMAGE_NAME.fullmatch(name.rpartition("/")[2].lower())
    if num_filled and 2 * num_images <= num_filled and not is_named_image:
        return "bytes"
    return guess_kind(name, infos)


def is_name_of_mask(name: str) -> bool:
    """Return whether a word of a field's name says "mask".

    >>> is_name_of_mask("train_masks"), is_name_of_mask("damask")
    (True, False)
    """
    words = re.findall("[A-Z]?[a-z]+|[A-Z]+", name)
    return any(_MASK_WORD.fullmatch(word.lower()) for word in words)
