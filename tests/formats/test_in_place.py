"""Files that others wrote, opened where they are: each value equals what their own reader gives."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastpack
from fastpack.core.ragged import Text
from fastpack.files.escapes import escaped_name
from fastpack.formats.tfrecord.idx import read_offsets
from tests.support.extent import num_examples
from tests.support.paths import GOLDEN
from tests.support.wire import (
    VARINT,
    bytes_list,
    entry,
    example,
    float_list,
    frame,
    int_list,
    sized,
    tag,
    varint,
)

OTHERS = GOLDEN / "others"


def plain(dataset):
    """Field as the file has it -> the values of each sample, bytes as bytes."""
    batch = dataset.with_options(decode=False).read(np.arange(len(dataset)))
    found = {}
    for field in dataset.schema.fields:
        values = batch[field.name]
        found[field.source_name] = [
            _blobs(field, values, i) if field.is_blob else _plain(values[i])
            for i in range(len(dataset))
        ]
    return found


def _blobs(field, values, i):
    return (
        [values[i].bytes(number) for number in range(len(values[i]))]
        if field.is_list
        else values.bytes(i)
    )


def _plain(value):
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, Text):
        return [_plain(each) for each in value]
    return value.tolist()


# Files that vahidk/tfrecord 1.14.6 and webdataset 1.0.2 wrote, with what their own readers say


def expected(name):
    values = json.loads((OTHERS / name).read_text())
    return {
        field: [bytes.fromhex(v["hex"]) if isinstance(v, dict) else v for v in column]
        for field, column in values.items()
    }


def test_what_vahidk_tfrecord_wrote():
    dataset = fastpack.open(OTHERS / "vahidk.tfrecord", save_index=False)
    assert plain(dataset) == expected("vahidk.json")
    assert read_offsets(OTHERS / "vahidk.tfrecord", OTHERS / "vahidk.idx").tolist() == [0, 1, 2]


def test_what_webdataset_wrote():
    dataset = fastpack.open(OTHERS / "webdataset.tar", save_index=False)
    found = plain(dataset)
    found["cls"] = [b"%d" % label for label in found["cls"]]
    assert found == expected("webdataset.json")


def test_vahidk_tfrecord_now(tmp_path):
    """With the package at hand: what it writes now, and that it reads our index text."""
    tfrecord = pytest.importorskip("tfrecord")
    path = tmp_path / "x.tfrecord"
    writer = tfrecord.TFRecordWriter(str(path))
    for i in range(5):
        writer.write(
            {
                "data": (bytes([255, i]), "byte"),
                "number": (i, "int"),
                "scores": ([i / 2, 1.5], "float"),
            }
        )
    writer.close()
    fastpack.formats.tfrecord.idx.write_offsets(path, tmp_path / "x.idx")
    theirs = list(tfrecord.tfrecord_loader(str(path), str(tmp_path / "x.idx")))
    theirs.sort(key=lambda row: row["number"].item())  # with an index it begins anywhere
    ours = plain(fastpack.open(path))
    assert ours["data"] == [
        row["data"] if isinstance(row["data"], bytes) else row["data"].tobytes() for row in theirs
    ]
    assert ours["number"] == [row["number"].item() for row in theirs]
    assert ours["scores"] == [row["scores"].tolist() for row in theirs]


def test_webdataset_now(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "x.tar")) as writer:
        for i in range(5):
            writer.write({"__key__": f"a/{i}", "cls": i, "txt": f"Löwe {i}", "npy": np.arange(i)})
    theirs = list(webdataset.WebDataset(str(tmp_path / "x.tar"), shardshuffle=False))
    ours = plain(fastpack.open(tmp_path / "x.tar"))
    assert ours["key"] == [row["__key__"].encode() for row in theirs]
    assert ours["cls"] == [int(row["cls"]) for row in theirs]
    assert (ours["txt"], ours["npy"]) == (
        [row["txt"] for row in theirs],
        [row["npy"] for row in theirs],
    )


# Whole TFRecords by stock TensorFlow

KINDS = {
    "bytes": st.lists(st.binary(max_size=40), max_size=3),
    "float": st.lists(st.floats(width=32, allow_nan=False), max_size=4),
    "int": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
}
names = st.sampled_from(["image", "image/encoded", "label", "key", "x", "Löwe", ""])


@st.composite
def tables(draw):
    """Records whose features may be missing; each feature has one kind."""
    kinds = draw(st.dictionaries(names, st.sampled_from(list(KINDS)), min_size=1, max_size=5))
    rows = [
        {name: draw(KINDS[kind]) for name, kind in kinds.items() if draw(st.booleans())}
        for _ in range(draw(st.integers(1, 8)))
    ]
    return kinds, rows


def serialise(tf, kinds, row):
    made = {}
    for name, values in row.items():
        lists = {
            "bytes": lambda v: {"bytes_list": tf.train.BytesList(value=v)},
            "float": lambda v: {"float_list": tf.train.FloatList(value=v)},
            "int": lambda v: {"int64_list": tf.train.Int64List(value=v)},
        }
        made[name] = tf.train.Feature(**lists[kinds[name]](values))
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


@settings(max_examples=num_examples(60))
@given(tables())
def test_tables_of_any_features(tmp_path_factory, table):
    tf = pytest.importorskip("tensorflow")
    kinds, rows = table
    path = tmp_path_factory.mktemp("t") / "x.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            writer.write(serialise(tf, kinds, row))
    seen = {name for row in rows for name in row}
    found = plain(fastpack.open(path, save_index=False))
    assert set(found) == {name or "unnamed" for name in seen}
    for name in seen:
        for row, values in zip(rows, found[name or "unnamed"], strict=True):
            wanted = row.get(name, []) or ([b""] if isinstance(values, bytes) else [])
            wanted = (
                [_escaped(each) for each in wanted] if name in ("key", "class_name") else wanted
            )
            assert (values if isinstance(values, list) else [values]) == wanted


def _escaped(value):
    """Names that are not UTF-8 are read as text that is."""
    if not isinstance(value, bytes):
        return value
    text = value.decode("utf-8", "surrogateescape")
    return (
        value
        if not any("\udc80" <= letter <= "\udcff" for letter in text)
        else escaped_name(text).encode()
    )


def raw(tf, i):
    return {
        "image_raw": bytes_list(np.random.default_rng(i).bytes(3072)),
        "label": int_list(i),
        "height": int_list(32),
    }


def masks(tf, i):
    """Several encoded masks in one feature, as detection sets have them."""
    return {
        "image/object/mask": bytes_list(
            *[b"\x89PNG\r\n\x1a\n" + bytes([i, j]) * 20 for j in range(i)]
        ),
        "image/object/score": float_list(*range(i)),
    }


def unpacked(tf, i):
    """Numbers one by one, a name twice, and unknown fields."""
    one_by_one = sized(3, b"".join(tag(1, VARINT) + varint(n) for n in range(i)))
    return {
        "numbers": one_by_one,
        "twice": int_list(1) + int_list(2, 3),
        "odd": float_list(i) + sized(9, b"unknown"),
    }


@pytest.mark.parametrize("make", [raw, masks, unpacked])
def test_schemas_as_tensorflow_reads_them(tmp_path, make):
    tf = pytest.importorskip("tensorflow")
    payloads = []
    for i in range(4):
        entries = [entry(name.encode(), body) for name, body in make(tf, i).items()]
        if make is unpacked:
            entries = [entry(b"label", float_list(9.0)), *entries, entry(b"label", int_list(i))]
        payloads.append(
            example(*entries) + (sized(77, b"later version") if make is unpacked else b"")
        )
    path = tmp_path / "x.tfrecord"
    path.write_bytes(b"".join(map(frame, payloads)))
    records = [
        tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))
    ]
    found = plain(fastpack.open(path, save_index=False))
    assert set(found) == set(records[0].features.feature)
    for name, column in found.items():
        for record, values in zip(records, column, strict=True):
            feature = record.features.feature[name]
            assert (values if isinstance(values, list) else [values]) == list(
                getattr(feature, feature.WhichOneof("kind")).value
            )


def test_sequence_examples_are_refused(tmp_path):
    tf = pytest.importorskip("tensorflow")
    feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
    lists = tf.train.FeatureLists(feature_list={"frames": tf.train.FeatureList(feature=[feature])})
    record = tf.train.SequenceExample(
        context=tf.train.Features(feature={"label": feature}), feature_lists=lists
    )
    (tmp_path / "x.tfrecord").write_bytes(frame(record.SerializeToString()))
    with pytest.raises(
        fastpack.errors.FormatError, match=r"SequenceExample.*x\.tfrecord, record 0"
    ):
        fastpack.open(tmp_path / "x.tfrecord")
