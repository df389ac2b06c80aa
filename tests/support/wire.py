"""Plain Python for TFRecord frames and protobuf messages, to hold the kernels against."""

import struct

from fastpack._native.crc32c import crc32c, mask

VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = range(6)


def frame(payload: bytes) -> bytes:
    """One TFRecord record: length, masked CRC of it, data, masked CRC of the data."""
    length = struct.pack("<Q", len(payload))
    return (
        length
        + struct.pack("<I", mask(crc32c(length)))
        + payload
        + struct.pack("<I", mask(crc32c(payload)))
    )


def header(length: int) -> bytes:
    """A record's first 12 bytes, checksum and all, whatever the length claims."""
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", mask(crc32c(packed)))


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def sized(number: int, body: bytes) -> bytes:
    """A field that holds bytes, text or a message."""
    return tag(number, BYTES) + varint(len(body)) + body


def group(number: int, body: bytes) -> bytes:
    return tag(number, GROUP) + body + tag(number, GROUP_END)


def entry(name: bytes, feature: bytes) -> bytes:
    """One entry of an Example's map of features."""
    return sized(1, sized(1, name) + sized(2, feature))


def example(*entries: bytes) -> bytes:
    return sized(1, b"".join(entries))


def bytes_list(*values: bytes) -> bytes:
    return sized(1, b"".join(sized(1, value) for value in values))


def float_list(*values: float) -> bytes:
    return sized(2, sized(1, struct.pack(f"<{len(values)}f", *values)))


def int_list(*values: int) -> bytes:
    return sized(3, sized(1, b"".join(map(varint, values))))
