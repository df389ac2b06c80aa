"""Removes metadata from image files. Coded pixels and the orientation stay the same.

References: JPEG: ITU T.81, annex B. PNG: 3rd edition, 4.7 and 11.3. WebP: RFC 9649, 2.
"""

import re
import struct
import zlib

from fastpack.errors import CorruptImageError

# The next marker. Decoders skip other bytes before it, so these are removed.
_MARKER = re.compile(rb"\xff+[^\x00\xff]")
# The marker after a scan's data, which contains 0xFF00 (a data byte) and restart markers.
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_SOS, _EOI, _COM, _APP0, _APP14 = 0xDA, 0xD9, 0xFE, 0xE0, 0xEE
_JFIF_BYTES = 14
# Transparency and animation; all critical chunks are kept too.
_PNG_KEPT = {b"tRNS", b"acTL", b"fcTL", b"fdAT"}
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}
_WEBP_ICC, _WEBP_EXIF, _WEBP_XMP = 0x20, 0x08, 0x04


def strip_metadata(data: bytes, format: str, orientation: int) -> bytes:
    """Remove comments, EXIF, XMP, color profiles, thumbnails and trailing bytes.

    Keeps JFIF, Adobe's marker and transparency, since decoders need them. An orientation other
    than 1 is kept in a minimal EXIF. Returns other formats than JPEG, PNG and WebP unchanged.
    Raises CorruptImageError for an image whose parts cannot be parsed to the end.

    >>> strip_metadata(b"\\xff\\xd8\\xff\\xfe\\x00\\x04hi\\xff\\xd9 and more", "jpeg", 1)
    b'\\xff\\xd8\\xff\\xd9'
    """
    strip = {"jpeg": _strip_jpeg, "png": _strip_png, "webp": _strip_webp}.get(format)
    try:
        return strip(data, orientation) if strip else data
    except (IndexError, struct.error) as error:
        message = f"the {format} ends in its header; restore it from its source, or leave it out"
        raise CorruptImageError(message) from error


def _tiff(orientation: int) -> bytes:
    """Return a TIFF header with EXIF's tag 0x0112, the orientation (Exif 2.32, 4.6.4)."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def _strip_jpeg(data: bytes, orientation: int) -> bytes:
    pieces, at = [data[:2]], 2
    while at < len(data):
        found = _MARKER.search(data, at)
        if not found:
            message = "a marker is missing in the JPEG; restore it from its source"
            raise CorruptImageError(f"{message}, or leave it out")
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
        first = 2 if len(pieces) > 1 and pieces[1][:2] == b"\xff\xe0" else 1  # after JFIF
        pieces.insert(first, b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body)
    return b"".join(pieces)


def _kept_segment(marker: int, segment: bytes) -> bytes:
    """Keep JFIF and Adobe's segment, which define the colors; drop the others."""
    body = segment[4:]
    if marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= _JFIF_BYTES:
        length, no_thumbnail = struct.pack(">H", _JFIF_BYTES + 2), b"\0\0"
        return segment[:2] + length + body[: _JFIF_BYTES - 2] + no_thumbnail
    if marker == _APP14 and body.startswith(b"Adobe"):
        return segment
    return b"" if marker == _COM or 0xE0 <= marker <= 0xEF else segment


def _strip_png(data: bytes, orientation: int) -> bytes:
    pieces, at = [data[:8]], 8
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        if not name[0] & 0x20 or name in _PNG_KEPT:  # bit 5: not critical
            pieces.append(data[at:end])
        if name == b"IHDR" and orientation > 1:
            chunk = b"eXIf" + _tiff(orientation)
            length, crc = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
            pieces.append(length + chunk + crc)
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
            flags = chunk[8] & ~(_WEBP_ICC | _WEBP_EXIF | _WEBP_XMP)
            flags |= _WEBP_EXIF if orientation > 1 else 0
            chunk = chunk[:8] + bytes([flags]) + chunk[9:]
        if name in _WEBP_KEPT:
            pieces.append(chunk)
        at = end
    if orientation > 1:
        pieces.append(struct.pack("<4sI", b"EXIF", len(_tiff(orientation))) + _tiff(orientation))
    body = b"WEBP" + b"".join(pieces)
    return b"RIFF" + struct.pack("<I", len(body)) + body
