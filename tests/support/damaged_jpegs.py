"""JPEGs with damaged data, endings, restart markers and Huffman tables."""

import struct

from hypothesis import assume
from hypothesis import strategies as st

from tests.support.decoder_pair import start_of_frame
from tests.support.images import factored_jpeg, jpeg

SOUND = {
    "4:4:4": jpeg(40, 56, subsampling=0, optimize=True),
    "4:2:0": jpeg(40, 56, subsampling=2),
    "restarts": jpeg(40, 56, subsampling=2, restart_marker_blocks=1),
    "gray": jpeg(40, 56, channels=1),
    "gray with factors": factored_jpeg(40, 56, ((1, 2),)),
    "4:1:0": factored_jpeg(40, 56, ((4, 2), (1, 1), (1, 1))),
    "four rows at once": factored_jpeg(40, 56, ((1, 4), (1, 2), (1, 2))),
}


@st.composite
def damaged_jpegs(draw):
    """Bytes changed, inserted, deleted or replaced by markers; also in headers, except the size."""
    data = bytearray(draw(st.sampled_from([*SOUND.values()])))
    frame = start_of_frame(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(2, len(data) - 1))
        assume(not frame <= at < frame + 9)
        new = draw(
            st.one_of(
                st.binary(max_size=3), st.integers(0xC0, 0xFF).map(lambda code: bytes([0xFF, code]))
            )
        )
        end = draw(st.integers(at, min(at + 3, len(data)))) if at > frame else at + len(new)
        if at > frame or end <= frame:
            data[at:end] = new
    return bytes(data)


ENDINGS = {
    "bytes before the end": lambda data: data[:-2] + b"\0\0\0" + data[-2:],
    "no end": lambda data: data[:-2],
    "half an end": lambda data: data[:-1],
    "a fill byte": lambda data: data[:-2] + b"\xff" + data[-2:],
    "another marker": lambda data: data[:-2] + b"\xff\xfe\0\4ab" + data[-2:],
    "a restart": lambda data: data[:-2] + b"\xff\xd0" + data[-2:],
    "bytes after the end": lambda data: data + b"behind",
    "another image": lambda data: data + data,
}
RESTARTS = {
    "wrong": (b"\xff\xd1", b"\xff\xd4"),
    "missing": (b"\xff\xd1", b""),
    "twice": (b"\xff\xd1", b"\xff\xd1\xff\xd1"),
    "filled": (b"\xff\xd1", b"\xff\xff\xd1"),
    "bytes before": (b"\xff\xd1", b"\0\0\xff\xd1"),
    "bytes behind": (b"\xff\xd1", b"\xff\xd1\0\0"),
}


def with_table(data, number, counts, symbols):
    """The DHT segment that defines this table (class << 4 | number) replaced."""
    at = 2
    while not (data[at + 1] == 0xC4 and data[at + 4] == number):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    body = bytes([number, *counts, *symbols])
    return data[:at] + b"\xff\xc4" + struct.pack(">H", 2 + len(body)) + body + data[end:]


TABLES = {
    "nothing": ([0] * 16, []),
    "one code": ([1] + [0] * 15, [0]),
    "all ones": ([2] + [0] * 15, [0, 1]),
    "more than fit": ([0, 0, 9] + [0] * 13, range(9)),
    "sizes beyond 15": ([0, 1, 1] + [0] * 13, [16, 0]),
    "the longest codes": ([0] * 15 + [200], range(200)),
}
