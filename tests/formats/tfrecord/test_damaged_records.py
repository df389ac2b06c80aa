"""TFRecord records with wrong checksums: a reader may skip and report them, and has all others."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastpack
from fastpack.core.ragged import Text
from fastpack.errors import CorruptRecordError
from fastpack.files.companions import index_path
from fastpack.formats.tfrecord import scan as tfrecord_windows
from fastpack.images.crops import RandomResizedCrop
from tests.support.extent import num_examples
from tests.support.images import jpeg
from tests.support.wire import bytes_list, entry, example, float_list, frame, int_list

NUM_SAMPLES = 9
each_policy = pytest.mark.parametrize("on_error", ["mask", "skip"])


def payload(i):
    return example(
        entry(b"image", bytes_list(jpeg(40 + i, 50, seed=i))),
        entry(b"label", int_list(1 + i % 3)),
        entry(b"key", bytes_list(f"sample {i}".encode())),
        entry(b"class_name", bytes_list([b"cat", b"dog", b"owl"][i % 3])),
        entry(b"boxes", float_list(*range(4 * (i % 3)))),
        entry(b"tags", bytes_list(*[b"tag"] * (i % 4))),
    )


def flipped(data, offset, bits=4):
    return data[:offset] + bytes([data[offset] ^ bits]) + data[offset + 1 :]


DAMAGES = {
    "in the image": lambda data: flipped(data, len(data) // 2),
    "no example any more": lambda data: b"\xff" * len(data),
    "names another feature": lambda data: data.replace(b"label", b"lable"),
    "lacks its name": lambda data: data.replace(b"class_name", b"class_nome"),
    "zeros": lambda data: bytes(len(data)),
}


def damaged_frame(data, damage):
    whole = frame(data)
    return whole[:12] + damage(data) + whole[-4:]


def write(path, damages):
    """`damages`: record -> function that changes its bytes, but not its checksum."""
    path.write_bytes(
        b"".join(
            damaged_frame(payload(i), damages.get(i, lambda data: data)) for i in range(NUM_SAMPLES)
        )
    )
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return fastpack.open(write(tmp_path_factory.mktemp("good") / "x.tfrecord", {}))


def assert_equal(ours, theirs):
    """Values of some samples."""
    if isinstance(theirs, fastpack.core.Ragged):
        assert ours == theirs
    else:
        assert len(ours) == len(theirs)
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


@each_policy
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("bad", [[4], [0, 1, 8]], ids=["one", "first and last"])
def test_the_others_are_read_and_the_lost_are_reported(good, tmp_path, damage, bad, on_error):
    path = write(tmp_path / "x.tfrecord", dict.fromkeys(bad, damage))
    with pytest.raises(CorruptRecordError, match=f"record {bad[0]}, byte"):
        fastpack.open(path)
    reader = fastpack.open(path, on_error=on_error)
    assert reader.schema == good.schema
    assert reader.class_names == ("", "cat", "dog", "owl")
    kept = [row for row in range(NUM_SAMPLES) if row not in bad]
    batch, expected = reader.read(range(NUM_SAMPLES)), good.read(kept)
    rows = kept if on_error == "mask" else range(len(kept))
    assert all(
        f"record {row}" in str(failure) for row, failure in zip(bad, batch.failures, strict=True)
    )
    assert batch.sample_numbers.tolist() == (
        list(range(NUM_SAMPLES)) if on_error == "mask" else kept
    )
    for name in batch:
        values = batch[name]
        taken = (
            values.take(np.array(rows))
            if isinstance(values, fastpack.core.Ragged)
            else [values[row] for row in rows]
        )
        assert_equal(taken, expected[name])
    assert not index_path(path).exists()  # else a later open would not raise


@pytest.mark.parametrize(
    "options",
    [{}, {"check": False}, {"decode": False}, {"decode": False, "check": False}],
    ids=repr,
)
@pytest.mark.parametrize("fields", [None, ["image"], ["label", "boxes"]], ids=repr)
def test_whatever_is_read_of_them_is_an_error(tmp_path, options, fields):
    reader = fastpack.open(
        write(tmp_path / "x.tfrecord", {3: DAMAGES["zeros"]}),
        on_error="mask",
        fields=fields,
        **options,
    )
    assert reader.read([2, 3, 4, 3]).mask.tolist() == [True, False, True, False]
    for policy in ("skip", "raise"):
        assert reader.with_options(on_error=policy).read([2, 4]).num_samples == 2
    assert reader.with_options(on_error="skip").read([2, 3]).num_samples == 1
    for read in (lambda: reader[3], lambda: reader.with_options(on_error="raise").read([2, 3])):
        with pytest.raises(ValueError, match="record 3"):
            read()


@pytest.mark.parametrize("window_bytes", [1, 2**20])
def test_columns_have_nothing_for_them(good, tmp_path, monkeypatch, window_bytes):
    monkeypatch.setattr(tfrecord_windows, "_WINDOW_BYTES", window_bytes)
    bad, kept = [2, 5], np.array([0, 1, 3, 4, 6, 7, 8])
    columns = fastpack.open(
        write(tmp_path / "x.tfrecord", dict.fromkeys(bad, DAMAGES["in the image"])), on_error="skip"
    ).columns
    for name, column in good.columns.items():
        assert_equal(columns[name].take(kept), column.take(kept))
    assert columns["label"][bad].tolist() == columns["width"][bad].tolist() == [0, 0]
    assert columns["key"].take(np.array(bad)) == Text.of(["", ""])
    assert columns["boxes"].lengths[bad].tolist() == columns["tags"].lengths[bad].tolist() == [0, 0]


def test_parts_and_other_files_carry_them_along(good, tmp_path):
    write(tmp_path / "a.tfrecord", {})
    write(tmp_path / "b.tfrecord", {1: DAMAGES["zeros"]})
    reader = fastpack.open(str(tmp_path / "*.tfrecord"), on_error="skip")
    lost = NUM_SAMPLES + 1
    assert len(reader.read(range(2 * NUM_SAMPLES)).failures) == 1
    parts = [
        reader[8:13],
        reader.take([lost, 0]),
        pickle.loads(pickle.dumps(reader)),
        fastpack.concat([reader[:9], reader[9:]]),
    ]
    assert [part.read(range(len(part))).num_samples for part in parts] == [4, 1, 17, 17]
    assert [index_path(tmp_path / name).exists() for name in ("a.tfrecord", "b.tfrecord")] == [
        True,
        False,
    ]
    with fastpack.Loader(
        reader.with_options(transform=RandomResizedCrop(16)), batch_size=5, shuffle=3
    ) as loader:
        assert sum(batch.num_samples for batch in loader) == 2 * NUM_SAMPLES - 1


def test_a_file_cut_between_two_records_is_no_shorter_dataset(tmp_path):
    path = write(tmp_path / "x.tfrecord", {})
    fastpack.open(path)
    size = sum(len(frame(payload(i))) for i in range(7))
    path.write_bytes(path.read_bytes()[:size])
    uses = [
        lambda path: fastpack.convert(path, tmp_path / "x.h5"),
        fastpack.open,
        fastpack.open,
        fastpack.build_indexes,
    ]
    for use in uses:
        with pytest.warns(
            fastpack.errors.FastpackWarning, match="7 records, and its saved index 9"
        ):
            use(path)
    fastpack.build_indexes(path, rebuild=True)
    assert len(fastpack.open(path)) == 7


def test_all_of_them(tmp_path):
    path = write(
        tmp_path / "x.tfrecord", dict.fromkeys(range(NUM_SAMPLES), DAMAGES["in the image"])
    )
    with pytest.raises(CorruptRecordError, match="record 0"):
        fastpack.open(path, on_error="skip")


@pytest.mark.parametrize(
    "ending", [lambda data: data[:-5], lambda data: data + b"\1" * 40], ids=["cut", "no frame"]
)
def test_after_a_damaged_frame_nothing_is_found(tmp_path, ending):
    path = write(tmp_path / "x.tfrecord", {3: DAMAGES["zeros"]})
    path.write_bytes(ending(path.read_bytes()))
    with pytest.raises(CorruptRecordError, match=r"fastpack verify.*record [89]"):
        fastpack.open(path, on_error="skip")


def test_verify_and_repair_know_them_too(tmp_path):
    path = write(tmp_path / "x.tfrecord", {3: DAMAGES["zeros"]})
    fastpack.open(path, on_error="skip")
    (problem,) = fastpack.verify(path).problems
    assert "record 3" in problem
    fastpack.repair(path, tmp_path / "mended.tfrecord")
    assert len(fastpack.open(tmp_path / "mended.tfrecord")) == NUM_SAMPLES - 1


@settings(max_examples=num_examples(25))
@given(
    st.dictionaries(
        st.integers(0, NUM_SAMPLES - 1),
        st.tuples(st.integers(0, 10**6), st.integers(1, 255)),
        max_size=NUM_SAMPLES - 1,
    )
)
def test_any_byte_of_any_record(good, tmp_path_factory, changes):
    def change(offset, bits):
        return lambda data: flipped(data, offset % len(data), bits)

    path = write(
        tmp_path_factory.mktemp("any") / "x.tfrecord",
        {row: change(*where) for row, where in changes.items()},
    )
    batch = fastpack.open(path, on_error="skip", decode=False).read(range(NUM_SAMPLES))
    kept = [row for row in range(NUM_SAMPLES) if row not in changes]
    assert batch.sample_numbers.tolist() == kept
    assert batch["image"] == good.with_options(decode=False).read(kept)["image"]
    assert batch["label"].tolist() == good.columns["label"][kept].tolist()
    assert len(batch.failures) == len(changes)
