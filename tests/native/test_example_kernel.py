"""Reading tf.train.Example from the wire, held against protobuf's own parser."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastpack._native.features import Features
from fastpack.core.ragged import Ragged, offsets_of
from tests.support.examples import (
    feature_of,
    floats,
    int64s,
    names,
    parsed,
    serialised,
    value_lists,
    values_of,
)
from tests.support.extent import num_examples
from tests.support.wire import (
    BYTES,
    FIXED32,
    FIXED64,
    GROUP,
    GROUP_END,
    VARINT,
    bytes_list,
    entry,
    example,
    float_list,
    group,
    int_list,
    sized,
    tag,
    varint,
)

tf = pytest.importorskip("tensorflow")
from google.protobuf.message import DecodeError  # noqa: E402 - it comes with TensorFlow
from google.protobuf.unknown_fields import UnknownFieldSet  # noqa: E402

RECORD_LIMIT, BAD_PROTO, WRONG_KIND = 6, 7, 16


def in_one_buffer(examples):
    buffer = Ragged.of_bytes(examples)
    return (
        np.frombuffer(b"".join(examples), np.uint8),
        buffer.offsets[:-1].astype(np.uint64),
        buffer.lengths.astype(np.uint64),
    )


def read_examples(examples):
    """Feature name -> (kind, values of each example), or (status, row) of the failure."""
    features = Features(100)
    data, offsets, lengths = in_one_buffer(examples)
    if failure := features.add(data, offsets, lengths):
        return failure[:3:2]
    return {
        features.name(number): (features.kind(number), rows_of(features, number, data))
        for number in range(len(features))
    }


def rows_of(features, number, data):
    _, counts = features.counts(number)
    rows = offsets_of(counts)
    if features.kind(number) in ("int", "float"):
        return [row.tolist() for row in Ragged(features.copy_numbers(number), rows)]
    texts = Ragged(*features.copy_bytes(number))
    placed = [
        data[start : start + size].tobytes()
        for start, size in zip(*features.places(number), strict=True)
    ]
    found = [[texts.bytes(j) for j in range(rows[i], rows[i + 1])] for i in range(len(counts))]
    assert placed == [value for row in found for value in row]
    return found


def assert_same(data, expected):
    read = read_examples([data])
    assert {name: kind for name, (kind, _) in read.items()} == {
        name: kind for name, (kind, _) in expected.items()
    }
    for name, (kind, values) in expected.items():
        found = read[name][1][0]
        assert np.array_equal(found, values, equal_nan=True) if kind == "float" else found == values


# Messages that protobuf makes


@given(st.dictionaries(names, value_lists, max_size=5))
def test_reads_what_protobuf_writes(features):
    data = serialised(features)
    assert_same(data, features)


@given(st.lists(st.dictionaries(st.sampled_from("ab"), value_lists), min_size=1, max_size=5))
def test_features_of_many_examples(examples):
    """A feature has the kind of its first value; another kind fails. Empty lists have no kind."""
    kinds = {}
    filled = [
        {name: kind for name, (kind, values) in features.items() if len(values)}
        for features in examples
    ]
    odd = [
        row
        for row, features in enumerate(filled)
        if any(kinds.setdefault(name, kind) != kind for name, kind in features.items())
    ]
    for features in examples:
        for name, (kind, _) in features.items():
            kinds.setdefault(name, kind)
    expected = {
        name: (kind, [features.get(name, (kind, []))[1] for features in examples])
        for name, kind in kinds.items()
    }
    assert read_examples([serialised(features) for features in examples]) == (
        (WRONG_KIND, odd[0]) if odd else expected
    )


@given(
    st.lists(st.dictionaries(st.text("abc", max_size=3), st.integers(0, 9)), max_size=12),
    st.integers(1, 4),
)
def test_pieces_of_a_file_share_their_features(examples, piece):
    """In whatever order and company the names come."""
    features = Features(100)
    found = {}
    for first in range(0, len(examples), piece):
        data, offsets, lengths = in_one_buffer(
            [
                serialised({name: ("int", [n]) for name, n in each.items()})
                for each in examples[first : first + piece]
            ]
        )
        assert features.add(data, offsets, lengths) is None
        for number in range(len(features)):
            rows = np.flatnonzero(features.counts(number)[0]) + first
            found.setdefault(features.name(number), {}).update(
                zip(rows.tolist(), features.copy_numbers(number).tolist(), strict=True)
            )
    names_seen = {name for each in examples for name in each}
    assert found == {
        name: {row: each[name] for row, each in enumerate(examples) if name in each}
        for name in names_seen
    }


def test_an_empty_list_differs_from_no_feature():
    examples = [
        serialised({"a": ("int", [])}),
        serialised({}),
        example(entry(b"a", b"")),
        serialised({"a": ("int", [5])}),
    ]
    features = Features(9)
    assert features.add(*in_one_buffer(examples)) is None
    assert [each.tolist() for each in features.counts(0)] == [[1, 0, 0, 1], [0, 0, 0, 1]]


def test_more_names_than_the_limit():
    examples = [serialised({f"x{i}": ("int", [1])}) for i in range(40)]
    assert Features(40).add(*in_one_buffer(examples)) is None
    assert Features(39).add(*in_one_buffer(examples))[:3:2] == (RECORD_LIMIT, 39)


def sequence(**lists):
    made = {
        name: tf.train.FeatureList(feature=[feature_of("int", [n]) for n in range(count)])
        for name, count in lists.items()
    }
    context = tf.train.Features(feature={"label": feature_of("int", [1])})
    return tf.train.SequenceExample(
        context=context, feature_lists=tf.train.FeatureLists(feature_list=made)
    ).SerializeToString()


@pytest.mark.parametrize("lists", [{"frames": 3}, {"a": 1, "b": 0}])
def test_sequence_examples_are_distinguished(lists):
    failure = Features(9).add(*in_one_buffer([serialised({}), sequence(**lists)]))
    assert failure[:3:2] == (BAD_PROTO, 1)
    assert "SequenceExample" in failure[4]


def test_a_sequence_example_without_lists_reads_as_an_example():
    assert_same(sequence(), {"label": ("int", [1])})


@pytest.mark.parametrize(
    "body", [b"", b"\x08\x01", sized(1, b""), sized(1, sized(1, b"name")), sized(2, b"x"), b"text"]
)
def test_an_unknown_field_two_makes_no_sequence(body):
    assert_same(serialised({"a": ("int", [4])}) + sized(2, body), {"a": ("int", [4])})


# Messages that protobuf reads, but no writer makes: in pieces, out of order, with unknown fields

any_varint = int64s.map(varint)
scalar_bodies = {
    VARINT: any_varint,
    FIXED64: st.binary(min_size=8, max_size=8),
    FIXED32: st.binary(min_size=4, max_size=4),
}


def unknown_fields(numbers):
    scalars = [
        st.tuples(numbers, body).map(lambda field, wire=wire: tag(field[0], wire) + field[1])
        for wire, body in scalar_bodies.items()
    ]
    texts = st.tuples(numbers, st.binary(max_size=9)).map(lambda field: sized(*field))
    flat = st.one_of(*scalars, texts)
    groups = st.recursive(
        flat,
        lambda inner: st.tuples(numbers, st.lists(inner, max_size=2)).map(
            lambda g: group(g[0], b"".join(g[1]))
        ),
    )
    return flat | groups


unknown = unknown_fields(st.integers(4, 2**29 - 1))


def joined(*pieces):
    return st.lists(st.one_of(*pieces), max_size=4).map(b"".join)


packed_ints = st.lists(any_varint, max_size=4).map(lambda numbers: sized(1, b"".join(numbers)))
one_int = any_varint.map(lambda number: tag(1, VARINT) + number)
float_bytes = floats.map(lambda number: struct.pack("<f", number))
packed_floats = st.lists(float_bytes, max_size=4).map(lambda numbers: sized(1, b"".join(numbers)))
one_float = float_bytes.map(lambda number: tag(1, FIXED32) + number)
one_text = st.binary(max_size=12).map(lambda text: sized(1, text))
# A known number with another wire type is an unknown field too.
fixed64 = st.binary(min_size=8, max_size=8).map(lambda body: tag(1, FIXED64) + body)
bytes_lists = joined(one_text, unknown, fixed64, one_int, one_float).map(
    lambda body: sized(1, body)
)
float_lists = joined(packed_floats, one_float, unknown, fixed64, one_int).map(
    lambda body: sized(2, body)
)
int_lists = joined(packed_ints, one_int, unknown, fixed64, one_float).map(
    lambda body: sized(3, body)
)
feature_bodies = joined(bytes_lists, float_lists, int_lists, unknown)
key_fields = st.sampled_from([b"", b"a", b"b"]).map(lambda name: sized(1, name))
value_fields = feature_bodies.map(lambda body: sized(2, body))
entries = joined(key_fields, value_fields).map(lambda body: sized(1, body))
features = joined(entries, unknown).map(lambda body: sized(1, body))
examples_in_pieces = joined(features, unknown, one_int)


@settings(max_examples=num_examples(300))
@given(examples_in_pieces)
def test_reads_what_protobuf_reads(data):
    assert_same(data, parsed(data))


def test_the_last_of_two_entries_counts():
    data = example(entry(b"a", int_list(1, 2)), entry(b"a", float_list(3.0)))
    assert_same(data, {"a": ("float", [3.0])})


def test_lists_of_one_kind_are_joined_and_of_another_are_dropped():
    assert_same(example(entry(b"a", int_list(1) + int_list(2, 3))), {"a": ("int", [1, 2, 3])})
    assert_same(
        example(entry(b"a", int_list(1, 2, 3) + bytes_list(b"x") + int_list(4))),
        {"a": ("int", [4])},
    )
    # The dropped list is larger than what is kept of its kind.
    assert_same(
        example(entry(b"a", bytes_list(b"x" * 99, b"y") + int_list(1) + bytes_list(b"z", b""))),
        {"a": ("bytes", [b"z", b""])},
    )
    assert_same(
        example(entry(b"a", int_list(*range(9)) + float_list(1.5, 2.5))),
        {"a": ("float", [1.5, 2.5])},
    )


# Bytes that are no message

valid_examples = (
    st.dictionaries(st.sampled_from(["a", "b"]), value_lists, max_size=3).map(serialised)
    | examples_in_pieces
)


@settings(max_examples=num_examples(300))
@given(
    valid_examples,
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=3),
    st.integers(0, 200),
)
def test_damaged_messages_are_refused_when_protobuf_refuses(data, changes, cut):
    damaged = bytearray(data[: max(cut, 1)])
    for at, byte in changes:
        if damaged:
            damaged[at % len(damaged)] = byte
    check_garbage(bytes(damaged))


@settings(max_examples=num_examples(200))
@given(st.binary(max_size=60))
def test_garbage_is_refused_when_protobuf_refuses(data):
    check_garbage(data)


def is_entry_put_aside(message):
    """Python's protobuf makes an unknown field of a map entry with unknown fields; C++ does not."""
    return any(
        field.field_number == 1 and field.wire_type == BYTES
        for field in UnknownFieldSet(message.features)
    )


def seems_sequence(data):
    try:
        return len(tf.train.SequenceExample.FromString(data).feature_lists.feature_list) > 0
    except DecodeError:
        return False


def check_garbage(data):
    try:
        message = tf.train.Example.FromString(data)
        expected = (
            None if is_entry_put_aside(message) or seems_sequence(data) else values_of(message)
        )
    except DecodeError:
        expected = None
    read = read_examples([data])
    if isinstance(read, tuple):
        assert expected is None
    elif (
        expected is not None
    ):  # where protobuf is stricter (names in UTF-8, say), not to crash is enough
        assert_same(data, expected)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",  # ends after a tag
        b"\x0a\x05abc",  # ends inside a field
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # claims 2**64 - 1 bytes
        b"\x80" * 11,  # a varint without end
        tag(0, VARINT) + b"\x01",  # field 0
        tag(9, 6) + b"\x01",  # no such wire type
        tag(9, GROUP),  # a group without end
        tag(9, GROUP_END),  # an end without a group
        tag(9, GROUP) + tag(8, GROUP_END),  # another group's end
        tag(9, GROUP) * 200 + tag(9, GROUP_END) * 200,  # nested deeper than protobuf goes
        example(entry(b"a", sized(2, sized(1, b"\0" * 7)))),  # floats of four bytes, seven of them
        example(entry(b"a", sized(3, sized(1, b"\x80")))),  # packed numbers that end inside one
    ],
)
def test_no_message(data):
    with pytest.raises(DecodeError):
        tf.train.Example.FromString(data)
    assert read_examples([b"", data]) == (BAD_PROTO, 1)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 11), (11, 0), (5, 6), (2**64 - 1, 2), (1, 2**64 - 1)]
)
def test_examples_outside_the_data_are_a_mistake(offset, length):
    with pytest.raises(ValueError, match="outside"):
        Features(9).add(bytes(10), np.array([offset], np.uint64), np.array([length], np.uint64))


@pytest.mark.parametrize("number", [-1, 1])
def test_a_feature_that_is_not_there(number):
    features = Features(9)
    features.add(*in_one_buffer([serialised({"a": ("int", [1])})]))
    for ask in (
        features.name,
        features.kind,
        features.counts,
        features.places,
        features.copy_numbers,
        features.copy_bytes,
    ):
        with pytest.raises(IndexError):
            ask(number)
