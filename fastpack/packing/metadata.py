"""Takes out of an image file what its pixels do not need, without touching what they are coded in; the orientation stays.

JPEG: ITU T.81, annex B. PNG: 3rd edition, 4.7 and 11.3. WebP: RFC 9649, 2.
"""

import re
import struct
import zlib

from fastpack.errors import CorruptImageError

# The next marker. Decoders skip other bytes before it, so they are left out.
_MARKER = re.compile(rb"\xff+[^\x00\xff]")
# The marker behind a scan's data; 0xFF00 is a byte of data, and restarts are among it.
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_SOS, _EOI, _COM, _APP0, _APP14 = 0xDA, 0xD9, 0xFE, 0xE0, 0xEE
_JFIF_BYTES = 14
_PNG_KEPT = {
    b"tRNS",
    b"acTL",
    b"fcTL",
    b"fdAT",
}  # beside what no image is without: transparency and animation
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}
_WEBP_ICC, _WEBP_EXIF, _WEBP_XMP = 0x20, 0x08, 0x04


def strip_metadata(data: bytes, format: str, orientation: int) -> bytes:
    """The same image without comments, EXIF, XMP, colour profiles, thumbnails and whatever stands behind its end.

    An orientation other than 1 stands in a minimal EXIF; what decoders go by (JFIF, Adobe's marker, transparency) stays. JPEG,
    PNG and WebP; other formats are given back as they are. Raises CorruptImageError where no image can be followed to its end.

    >>> strip_metadata(b"\\xff\\xd8\\xff\\xfe\\x00\\x04hi\\xff\\xd9 and more", "jpeg", 1)
    b'\\xff\\xd8\\xff\\xd9'
    """
    strip = {"jpeg": _strip_jpeg, "png": _strip_png, "webp": _strip_webp}.get(format)
    try:
        return strip(data, orientation) if strip else data
    except (IndexError, struct.error) as error:
        raise CorruptImageError(
            f"the {format} ends in its header; restore it from its source, or leave it out"
        ) from error


def _tiff(orientation: int) -> bytes:
    """EXIF's one tag, 0x0112 (Exif 2.32, 4.6.4)."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def _strip_jpeg(data: bytes, orientation: int) -> bytes:
    pieces, at = [data[:2]], 2
    while at < len(data):
        found = _MARKER.search(data, at)
        if not found:
            raise CorruptImageError(
                "the JPEG has no marker where one should be; restore it from its source, or leave it out"
            )
        at = found.end()
        marker, first = data[at - 1], at - 2
        if marker in _STANDALONE or marker == _EOI:
            pieces.append(data[first:at])
            if marker == _EOI:
                break
            continue
        end = at + struct.unpack_from(">H", data, at)[0]
        pieces.append(_kept_segment(marker, data[first:end]))
        at = end
        if marker == _SOS:
            found = _AFTER_SCAN.search(data, at)
            at = found.start() if found else len(data)
            pieces.append(data[end:at])
    if orientation > 1:
        body = b"Exif\0\0" + _tiff(orientation)
        location = 2 if len(pieces) > 1 and pieces[1][:2] == b"\xff\xe0" else 1  # JFIF comes first
        pieces.insert(location, b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body)
    return b"".join(pieces)


def _kept_segment(marker: int, segment: bytes) -> bytes:
    """Of JFIF and Adobe, which say in which colours the image is, what is needed; nothing of other applications."""
    body = segment[4:]
    if marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= _JFIF_BYTES:
        return (
            segment[:2] + struct.pack(">H", _JFIF_BYTES + 2) + body[: _JFIF_BYTES - 2] + b"\0\0"
        )  # of no thumbnail
    if marker == _APP14 and body.startswith(b"Adobe"):
        return segment
    return b"" if marker == _COM or 0xE0 <= marker <= 0xEF else segment


def _strip_png(data: bytes, orientation: int) -> bytes:
    pieces, at = [data[:8]], 8
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        if not name[0] & 0x20 or name in _PNG_KEPT:  # bit 5 says that it may be left out
            pieces.append(data[at:end])
        if name == b"IHDR" and orientation > 1:
            chunk = b"eXIf" + _tiff(orientation)
            pieces.append(
                struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
            )
        if name == b"IEND":
            break
        at = end
    return b"".join(pieces)


def _strip_webp(data: bytes, orientation: int) -> bytes:
    pieces, at = [], 12
    last = min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    while at < last:
        name, size = struct.unpack_from("<4sI", data, at)
        end = at + 8 + size + size % 2
        chunk = data[at:end]
        if name == b"VP8X":
            flags = chunk[8] & ~(_WEBP_ICC | _WEBP_EXIF | _WEBP_XMP) | (
                _WEBP_EXIF if orientation > 1 else 0
            )
            chunk = chunk[:8] + bytes([flags]) + chunk[9:]
        if name in _WEBP_KEPT:
            pieces.append(chunk)
        at = end
    if orientation > 1:
        pieces.append(struct.pack("<4sI", b"EXIF", len(_tiff(orientation))) + _tiff(orientation))
    body = b"WEBP" + b"".join(pieces)
    return b"RIFF" + struct.pack("<I", len(body)) + body
