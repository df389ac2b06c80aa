"""TensorFlow: memory, tf.data, checkpoints, and TFRecords without us."""

import ast
import runpy

import numpy as np
import pytest

from tests.support.images import jpeg
from tests.support.wire import bytes_list, entry, example, frame, int_list

tf = pytest.importorskip("tensorflow")

import fastpack  # noqa: E402
import fastpack.tensorflow as ftf  # noqa: E402
from fastpack.errors import FormatError, ShapeError  # noqa: E402
from fastpack.loading.loader import Loader  # noqa: E402

OPTIONS = {"batch_size": 4, "shuffle": 3}


def keys_of(batches):
    return [[key.decode() for key in batch["key"].numpy()] for batch in batches]


def expected(reader, epochs=1, **options):
    loader = Loader(reader, **(OPTIONS | options))
    return [batch for _ in range(epochs) for batch in loader]


def assert_same(got, batch):
    assert (got["image"].numpy() == batch["image"]).all()
    assert got["label"].numpy().tolist() == batch["label"].tolist()
    assert keys_of([got]) == [list(batch["key"])]
    assert got["boxes"].to_list() == [row.tolist() for row in batch["boxes"]]


def test_aligned_images_share_memory_with_the_batch(reader):
    memory = np.zeros(4 * 16 * 12 * 3 + 64, np.uint8)
    start = -memory.ctypes.data % 64
    for offset in (start, start + 16 if start < 48 else start - 16):
        pixels = memory[offset : offset + 4 * 16 * 12 * 3].reshape(4, 16, 12, 3)
        pixels[:] = 1
        tensor = ftf.Loader(reader).convert(fastpack.Batch({"image": pixels}, 4))["image"]
        pixels[:] = 2
        # TensorFlow cannot look at what is not aligned: that is copied.
        assert tensor[0, 0, 0, 0].numpy() == (2 if offset == start else 1)


def test_a_kept_tensor_outlives_the_batch(reader):
    large = reader.with_options(transform=fastpack.Resize(256))
    loader = ftf.Loader(large, batch_size=13, prefetch=1)
    first = next(iter(loader))["image"]
    kept = first.numpy().copy()
    for _ in range(6):
        list(loader)
    assert (first.numpy() == kept).all()


def test_images_of_differing_sizes(reader):
    with pytest.raises(ShapeError, match="RandomResizedCrop"):
        next(iter(ftf.Loader(reader.with_options(transform=None))))


# tf.data


def test_element_spec(reader):
    spec = ftf.Loader(reader, **OPTIONS).as_dataset().element_spec
    assert spec == {
        "image": tf.TensorSpec([None, 16, 12, 3], tf.uint8),
        "label": tf.TensorSpec([None], tf.int64),
        "key": tf.TensorSpec([None], tf.string),
        "boxes": tf.RaggedTensorSpec([None, None], tf.float32, 1, tf.int64),
        "raw": tf.TensorSpec([None], tf.string),
        "tags": tf.RaggedTensorSpec([None, None], tf.string, 1, tf.int64),
        "weight": tf.TensorSpec([None], tf.float32),
    }


def test_element_spec_of_full_batches(reader):
    loader = ftf.Loader(reader, **OPTIONS, drop_last=True, on_error="mask")
    dataset = loader.as_dataset()
    assert dataset.element_spec["image"].shape.as_list() == [4, 16, 12, 3]
    assert dataset.element_spec["mask"] == tf.TensorSpec([4], tf.bool)
    assert dataset.element_spec["failures"] == tf.TensorSpec([None], tf.string)
    assert [batch["image"].shape.as_list() for batch in dataset] == [[4, 16, 12, 3]] * 6


def test_dataset(reader):
    dataset = ftf.Loader(reader, **OPTIONS).as_dataset(epochs=2)
    assert int(dataset.cardinality()) == 14
    for first in (0, 14):  # gone through again, it gives the epochs after those
        for got, batch in zip(dataset, expected(reader, 4)[first : first + 14], strict=True):
            assert_same(got, batch)


def test_dataset_begins_where_the_loader_stands(reader):
    loader = ftf.Loader(reader, **OPTIONS)
    batches = iter(loader)
    next(batches), next(batches)
    for got, batch in zip(loader.as_dataset(), expected(reader)[2:], strict=True):
        assert_same(got, batch)


@pytest.mark.parametrize("drop_last", [True, False])
def test_dataset_begins_within_a_step_after_a_resume_with_another_batch_size(reader, drop_last):
    """26 samples: 5 of them in another batch size, then steps of 4 for two epochs."""
    before = Loader(reader, **(OPTIONS | {"batch_size": 5}))
    next(iter(before))
    options = OPTIONS | {"drop_last": drop_last}
    loader, plain = ftf.Loader(reader, **options), Loader(reader, **options)
    loader.load_state_dict(before.state_dict())
    plain.load_state_dict(before.state_dict())
    dataset, wanted = loader.as_dataset(epochs=2), [batch for _ in range(2) for batch in plain]
    assert int(dataset.cardinality()) == len(wanted)
    for got, batch in zip(dataset, wanted, strict=True):
        assert_same(got, batch)


def test_two_ranks_share_the_last_sample(reader):
    """25 samples are 12 for each of two ranks, in steps of 4 and 4, and one for both."""
    counts = [
        [
            batch["image"].shape
            for batch in ftf.Loader(reader[:25], batch_size=4, rank=rank, world=2).as_dataset()
        ]
        for rank in (0, 1)
    ]
    assert [shapes[-1] for shapes in counts] == [(1, 16, 12, 3), (1, 16, 12, 3)]


def test_bad_images_in_a_dataset(broken):
    mask = ftf.Loader(broken, batch_size=13, on_error="mask").as_dataset()
    assert [np.flatnonzero(~batch["mask"].numpy()).tolist() for batch in mask] == [[3], [4]]
    assert ["pic/17.jpg" in batch["failures"].numpy()[0].decode() for batch in mask] == [
        False,
        True,
    ]
    skip = ftf.Loader(broken, batch_size=13, on_error="skip").as_dataset()
    assert [batch["image"].shape[0] for batch in skip] == [12, 12]
    with pytest.raises(tf.errors.OpError, match=r"record 3.*pic/03\.jpg"):
        list(ftf.Loader(broken, batch_size=13).as_dataset())


@pytest.mark.parametrize(
    "rows", [[0, 15, 1, 2], [0, 15, 1, 16]], ids=["in a batch", "between batches"]
)
def test_images_that_turn_out_to_differ(shards, rows):
    reader = fastpack.open(shards, fields=["image"]).take(rows)
    dataset = ftf.Loader(reader, batch_size=2).as_dataset()
    with pytest.raises(tf.errors.OpError, match="transform"):
        list(dataset)


# State


@pytest.mark.parametrize("taken", [0, 3, 7, 9])
def test_checkpoint_of_a_loader(reader, tmp_path, taken):
    loader = ftf.Loader(reader, **OPTIONS)
    batches = (batch for _ in range(2) for batch in loader)
    for _ in range(taken):
        next(batches)
    path = tf.train.Checkpoint(loader=loader).save(tmp_path / "model")
    resumed = ftf.Loader(reader, **OPTIONS)
    tf.train.Checkpoint(loader=resumed).restore(path).assert_consumed()
    rest = [batch for _ in range(resumed.epoch, 2) for batch in resumed]
    for got, batch in zip(rest, expected(reader, 2)[taken:], strict=True):
        assert_same(got, batch)


@pytest.mark.parametrize("buffered", [False, True], ids=["plain", "buffered"])
def test_checkpoint_of_an_iterator(reader, tmp_path, buffered):
    """Batches that wait in buffers have not been seen: they come again."""
    dataset = ftf.Loader(reader, **OPTIONS).as_dataset(epochs=2)
    dataset = (
        dataset.map(lambda batch: batch, num_parallel_calls=2).prefetch(4) if buffered else dataset
    )
    batches = iter(dataset)
    for _ in range(3):
        next(batches)
    path = tf.train.Checkpoint(batches=batches).save(tmp_path / "model")
    assert sum(file.stat().st_size for file in tmp_path.glob("model*")) < 4096
    resumed = iter(dataset)
    tf.train.Checkpoint(batches=resumed).restore(path).assert_consumed()
    for got, batch in zip(resumed, expected(reader, 2)[3:], strict=True):
        assert_same(got, batch)


@pytest.mark.parametrize("taken", [0, 3, 6])
def test_checkpoint_of_a_later_turn(reader, tmp_path, taken):
    """Also in another process, whose own turns begin with the first."""
    dataset = ftf.Loader(reader, **OPTIONS).as_dataset()
    list(dataset), list(dataset)
    batches = iter(dataset)
    for _ in range(taken):
        next(batches)
    path = tf.train.Checkpoint(batches=batches).save(tmp_path / "model")
    dataset = ftf.Loader(reader, **OPTIONS).as_dataset()
    resumed = iter(dataset)
    tf.train.Checkpoint(batches=resumed).restore(path).assert_consumed()
    if taken:  # one that has not begun belongs to no turn
        for got, batch in zip(resumed, expected(reader, 3)[14 + taken :], strict=True):
            assert_same(got, batch)
        for got, batch in zip(dataset, expected(reader, 4)[21:], strict=True):
            assert_same(got, batch)


def test_a_repeated_dataset_goes_on_with_the_next_epochs(reader):
    dataset = ftf.Loader(reader, **OPTIONS).as_dataset().repeat(3)
    for got, batch in zip(dataset, expected(reader, 3), strict=True):
        assert_same(got, batch)


def pairs(dataset, seen=None):
    """Images and labels; the sums of the images are written down."""

    def pair(batch):
        images = tf.cast(batch["image"], tf.float32) / 255
        if seen is not None:
            noted = tf.py_function(
                lambda total: seen.append(float(total)), [tf.reduce_sum(images)], []
            )
            with tf.control_dependencies([noted]):
                images = tf.identity(images)
        return images, batch["label"]

    return dataset.map(pair)


def model_of_one_layer():
    model = tf.keras.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(7)])
    model.compile("sgd", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def sums(batches):
    return [float((batch["image"].astype(np.float32) / 255).sum()) for batch in batches]


@pytest.mark.parametrize("steps", [None, 7])
def test_keras_epochs(reader, steps):
    """Training sees one epoch after the other; validation sees all samples each time."""
    trained, validated, plain = [], [], reader.with_options(transform=fastpack.Resize((16, 12)))
    training = ftf.Loader(reader, **OPTIONS).as_dataset()
    validation = ftf.Loader(plain, batch_size=13).as_dataset()
    training = training.repeat() if steps else training
    model_of_one_layer().fit(
        pairs(training, trained),
        validation_data=pairs(validation, validated),
        epochs=2,
        steps_per_epoch=steps,
        shuffle=False,
        verbose=0,
    )
    assert trained[:14] == pytest.approx(sums(expected(reader, 2)), rel=1e-4)
    assert validated == pytest.approx(sums(Loader(plain, batch_size=13)) * 2, rel=1e-4)


def test_keras_evaluates_and_predicts(reader):
    dataset = pairs(
        ftf.Loader(
            reader.with_options(transform=fastpack.Resize((16, 12))), batch_size=4
        ).as_dataset()
    )
    model = model_of_one_layer()
    assert model.evaluate(dataset, verbose=0) == model.evaluate(dataset, verbose=0)
    assert model.predict(dataset, verbose=0).shape == (26, 7)


def test_keras_trains_from_a_dataset(reader):
    dataset = ftf.Loader(reader, **OPTIONS).as_dataset(epochs=2)
    pairs = dataset.map(lambda batch: (tf.cast(batch["image"], tf.float32) / 255, batch["label"]))
    model = tf.keras.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(7)])
    model.compile("sgd", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(pairs, steps_per_epoch=7, epochs=2, shuffle=False, verbose=0)
    assert len(history.history["loss"]) == 2


# The stock path


def test_stock_parse(reader, shards):
    parse = ftf.stock_parse(reader)
    samples = list(tf.data.TFRecordDataset([str(path) for path in shards]).map(parse))
    whole = reader.with_options(decode=False).read(range(26))
    assert list(samples[0]) == list(whole)
    for i, sample in enumerate(samples):
        assert sample["image"].numpy() == whole["image"].bytes(i)
        assert sample["raw"].numpy() == whole["raw"].bytes(i)
        assert sample["boxes"].numpy().tolist() == whole["boxes"][i].tolist()
        assert [tag.decode() for tag in sample["tags"].numpy()] == list(whole["tags"][i])
        assert (int(sample["label"]), float(sample["weight"])) == (
            whole["label"][i],
            whole["weight"][i],
        )
        assert sample["key"].numpy().decode() == whole["key"][i]


def test_stock_features_read_batches_of_examples(reader, shards):
    records = tf.data.TFRecordDataset([str(path) for path in shards]).batch(26)
    parsed = tf.io.parse_example(next(iter(records)), ftf.stock_features(reader))
    assert parsed["label"].numpy().tolist() == reader.columns["label"].tolist()
    assert parsed["boxes"].to_list() == [row.tolist() for row in reader.columns["boxes"]]


def test_stock_code_needs_tensorflow_alone(shards, tmp_path):
    names = {"image": "image", "answer": "label", "name \\ \"'\n": "key", "boxes": "boxes"}
    reader = fastpack.open(shards, fields=names)
    code = ftf.stock_code(reader)
    imports = [
        node for node in ast.walk(ast.parse(code)) if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    assert [ast.unparse(node) for node in imports] == ["import tensorflow as tf"]
    (tmp_path / "reading.py").write_text(code)
    module = runpy.run_path(str(tmp_path / "reading.py"))
    samples = list(module["dataset"]([str(path) for path in shards]))
    assert list(samples[0]) == list(names)
    encoded = reader.with_options(decode=False)
    for sample, wanted in zip(samples, encoded, strict=True):
        assert sample["image"].numpy() == wanted["image"]
        assert int(sample["answer"]) == wanted["answer"]
        assert sample["name \\ \"'\n"].numpy().decode() == wanted["name \\ \"'\n"]
        assert sample["boxes"].numpy().tolist() == wanted["boxes"].tolist()


def test_blobs_that_only_some_records_have(tmp_path):
    whole, empty = (entry(b"label", int_list(label)) for label in (0, 1))
    records = [
        frame(example(whole, entry(b"image", bytes_list(jpeg(8, 8))))),
        frame(example(empty)),
    ]
    (tmp_path / "x.tfrecord").write_bytes(b"".join(records))
    reader = fastpack.open(tmp_path / "x.tfrecord", decode=False)
    samples = tf.data.TFRecordDataset([str(tmp_path / "x.tfrecord")]).map(ftf.stock_parse(reader))
    assert (
        [sample["image"].numpy() for sample in samples]
        == [sample["image"] for sample in reader]
        == [jpeg(8, 8), b""]
    )


def test_stock_path_of_other_files(reader, tmp_path):
    fastpack.pack(
        fastpack.open(
            [shard.path for shard in reader.index.shards], fields=["image", "label"], decode=False
        ),
        tmp_path / "x.h5",
    )
    with pytest.raises(FormatError, match="TFRecord"):
        ftf.stock_parse(fastpack.open(tmp_path / "x.h5"))
