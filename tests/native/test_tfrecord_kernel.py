"""TFRecord framing: what plain Python and TensorFlow write is found, and any damage is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack._native.crc32c import crc32c
from fastpack._native.tfrecord import scan
from tests.support.wire import frame, header

LIMIT = 2**31
TRUNCATED, BAD_LENGTH_CRC, BAD_DATA_CRC, RECORD_LIMIT = 3, 4, 5, 6

PAYLOADS = [b"first", b"", b"the third record", b"x"]
FILE = b"".join(map(frame, PAYLOADS))
BOUNDARIES = [
    sum(len(frame(payload)) for payload in PAYLOADS[:count]) for count in range(len(PAYLOADS) + 1)
]


def scan_whole(data, **options):
    return scan(data, len(data), **{"record_limit": LIMIT, **options})


def payloads_in(data, offsets, lengths):
    return [
        data[int(first) : int(first) + int(length)]
        for first, length in zip(offsets, lengths, strict=True)
    ]


def scan_in_windows(file, window_bytes):
    """All payloads, as a reader gets them that looks at `window_bytes` of the file at a time."""
    found, base, wanted = [], 0, 0
    while base < len(file):
        window = file[base : base + max(window_bytes, wanted)]
        offsets, lengths, crcs, consumed, wanted, failure = scan(
            window, len(file) - base, record_limit=LIMIT
        )
        assert failure is None
        assert consumed > 0 or wanted > len(window)  # else the loop would never end
        found += payloads_in(window, offsets, lengths)
        assert [
            crc32c(payload) for payload in payloads_in(window, offsets, lengths)
        ] == crcs.tolist()
        base += consumed
    return found


@given(st.lists(st.binary(max_size=120), max_size=12), st.integers(1, 400))
def test_windows_of_any_size_find_every_record(payloads, window_bytes):
    file = b"".join(map(frame, payloads))
    assert scan_in_windows(file, window_bytes) == payloads


@given(st.lists(st.binary(max_size=120), max_size=12))
def test_one_window_finds_every_record(payloads):
    file = b"".join(map(frame, payloads))
    offsets, lengths, _, consumed, _, failure = scan_whole(file)
    assert (payloads_in(file, offsets, lengths), consumed, failure) == (payloads, len(file), None)


def test_reads_what_tensorflow_writes(tmp_path):
    tf = pytest.importorskip("tensorflow")
    with tf.io.TFRecordWriter(str(tmp_path / "x")) as writer:
        for payload in PAYLOADS:
            writer.write(payload)
    file = (tmp_path / "x").read_bytes()
    assert file == FILE
    assert scan_in_windows(file, 50) == PAYLOADS


@pytest.mark.parametrize("cut", range(len(FILE) + 1))
def test_every_truncation_is_noticed(cut):
    whole = [start for start in BOUNDARIES if start <= cut]
    offsets, lengths, _, consumed, _, failure = scan_whole(FILE[:cut])
    assert payloads_in(FILE, offsets, lengths) == PAYLOADS[: len(whole) - 1]
    assert consumed == whole[-1]
    if cut == whole[-1]:
        assert failure is None  # a file that ends between two records is a whole file
    else:
        status, _, row, offset, _ = failure
        assert (status, row, offset) == (TRUNCATED, len(whole) - 1, whole[-1])


def flipped(bit):
    data = bytearray(FILE)
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def test_every_flipped_bit_is_noticed():
    failures = [scan_whole(flipped(bit))[-1] for bit in range(8 * len(FILE))]
    assert [bit for bit, failure in enumerate(failures) if failure is None] == []
    assert {failure[0] for failure in failures} == {BAD_LENGTH_CRC, BAD_DATA_CRC}
    # Each is laid at the record that has it.
    record_of = [
        next(i for i, end in enumerate(BOUNDARIES[1:]) if bit // 8 < end)
        for bit in range(8 * len(FILE))
    ]
    assert [failure[2] for failure in failures] == record_of


def test_without_check_only_lengths_are_compared():
    in_data, in_length = flipped(8 * 13), flipped(8 * 2)
    assert scan_whole(in_data, check=False)[-1] is None
    assert scan_whole(in_data)[-1][0] == BAD_DATA_CRC
    assert scan_whole(in_length, check=False)[-1][0] == BAD_LENGTH_CRC


@pytest.mark.parametrize(
    "claim",
    [6, 2**31, 2**32, 2**40, 2**63 - 16, 2**63 - 1, 2**63, 2**64 - 17, 2**64 - 16, 2**64 - 1],
)
def test_claims_past_the_end_are_refused(claim):
    data = FILE + header(claim) + b"12345" + b"\0" * 4
    offsets, _, _, consumed, _, failure = scan_whole(data, record_limit=2**64 - 1)
    assert (len(offsets), consumed) == (len(PAYLOADS), len(FILE))
    assert failure[:4] == (TRUNCATED, 0, len(PAYLOADS), len(FILE))


@pytest.mark.parametrize(("limit", "status"), [(16, None), (15, RECORD_LIMIT)])
def test_limit_on_a_record(limit, status):
    failure = scan_whole(FILE, record_limit=limit)[-1]
    assert (failure and failure[:1] + failure[2:4]) == (status and (status, 2, BOUNDARIES[2]))


def test_a_window_inside_a_record_says_how_much_it_wants():
    _, _, _, consumed, wanted, failure = scan(FILE[:14], len(FILE), record_limit=LIMIT)
    assert (consumed, wanted, failure) == (0, BOUNDARIES[1], None)


def test_more_data_than_the_file_has_is_a_mistake():
    with pytest.raises(ValueError, match="bytes_left"):
        scan(FILE, len(FILE) - 1, record_limit=LIMIT)
