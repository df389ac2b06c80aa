"""TFRecord both ways between stock TensorFlow and fastpack."""

import numpy as np
import pytest

import fastpack
from fastpack import PackOptions
from fastpack.core import Ragged, Text
from fastpack.errors import SchemaError, UnsupportedImageError
from fastpack.files.companions import index_path
from fastpack.sources import ImageFiles
from tests.support.images import jpeg, photo, read_pillow, save

tf = pytest.importorskip("tensorflow")

# In the order of folder(): sorted by path.
FILES = [
    "cat/a.jpg",
    "cat/b.jpeg",
    "cat/c.png",
    "cat/d.webp",
    "dog/a.jpg",
    "dog/b.jpg",
    "dog/c.jpg",
    "dog/d.png",
]
FILES += ["owl/a.JPG", "owl/b.bmp", "owl/c.tiff", "owl/d.jpg"]


def ints(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def floats(values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def texts(values):
    return tf.train.Feature(
        bytes_list=tf.train.BytesList(value=[value.encode() for value in values])
    )


def feature(value):
    """A Feature of one number, text or bytes, or the Feature that it is already."""
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    lists = {int: ints, float: floats, str: texts}
    return lists[type(value)]([value]) if type(value) in lists else value


def write_with_tensorflow(path, samples):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for sample in samples:
            features = tf.train.Features(
                feature={name: feature(value) for name, value in sample.items()}
            )
            writer.write(tf.train.Example(features=features).SerializeToString())
    return path


def read_with_tensorflow(paths, features):
    records = tf.data.TFRecordDataset([str(path) for path in paths])
    return list(
        records.map(lambda record: tf.io.parse_single_example(record, features)).as_numpy_iterator()
    )


# Files of fastpack, read by TensorFlow

FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
    "key": tf.io.FixedLenFeature([], tf.string),
    "class_name": tf.io.FixedLenFeature([], tf.string),
}


@pytest.mark.parametrize("shards", [1, 3])
def test_tensorflow_reads_a_packed_folder(photo_folder, tmp_path, shards):
    packed = fastpack.pack(photo_folder, tmp_path / "photos.tfrecord", PackOptions(shards=shards))
    samples = read_with_tensorflow(packed.paths, FEATURES)
    assert [sample["key"].decode() for sample in samples] == FILES
    assert [sample["image"] for sample in samples] == [
        (photo_folder / name).read_bytes() for name in FILES
    ]
    assert [int(sample["label"]) for sample in samples] == [0] * 4 + [1] * 4 + [2] * 4
    assert [sample["class_name"].decode() for sample in samples] == ["cat"] * 4 + ["dog"] * 4 + [
        "owl"
    ] * 4


def test_tensorflow_reads_further_columns(photo_folder, tmp_path):
    columns = {
        "weight": np.linspace(-1, 1, 12, dtype=np.float32),
        "caption": Text.of(f"Löwe {i}" for i in range(12)),
    }
    source = ImageFiles(
        [photo_folder / name for name in FILES], np.arange(-6, 6) * 2**59, columns=columns
    )
    packed = fastpack.pack(source, tmp_path / "x.tfrecord")
    wanted = {
        "label": tf.io.FixedLenFeature([], tf.int64),
        "weight": tf.io.FixedLenFeature([], tf.float32),
        "caption": tf.io.FixedLenFeature([], tf.string),
    }
    samples = read_with_tensorflow(packed.paths, wanted)
    assert [int(sample["label"]) for sample in samples] == [
        number * 2**59 for number in range(-6, 6)
    ]
    assert [float(sample["weight"]) for sample in samples] == columns["weight"].tolist()
    assert [sample["caption"].decode() for sample in samples] == list(columns["caption"])


# Files of TensorFlow, read by fastpack

IMAGES = [jpeg(30 + i, 40 - i, seed=i) for i in range(5)]


def assert_pixels(reader):
    images = reader.read(np.arange(len(IMAGES)))["image"]
    assert all(
        (image == read_pillow(data)).all() for image, data in zip(images, IMAGES, strict=True)
    )
    assert reader.with_options(decode=False).read(range(5))["image"] == Ragged.of_bytes(IMAGES)


def test_plain_names(tmp_path):
    path = write_with_tensorflow(
        tmp_path / "x.tfrecord", [{"image": data, "label": i * i} for i, data in enumerate(IMAGES)]
    )
    reader = fastpack.open(path)
    assert [(field.name, field.kind) for field in reader.schema.fields] == [
        ("image", "image"),
        ("label", "int"),
    ]
    assert reader.columns["label"].tolist() == [0, 1, 4, 9, 16]
    assert_pixels(reader)


def test_names_of_the_object_detection_api(tmp_path):
    samples = [
        {
            "image/encoded": data,
            "image/class/label": i,
            "image/class/text": f"class {i}",
            "image/filename": f"{i}.jpg",
            "image/height": 30 + i,
            "image/format": "jpeg",
            "image/object/bbox/xmin": floats([j / 8 for j in range(i)]),
            "image/object/class/label": ints(range(i)),
            "image/object/class/text": texts(f"thing {j}" for j in range(i)),
        }
        for i, data in enumerate(IMAGES)
    ]
    reader = fastpack.open(write_with_tensorflow(tmp_path / "x.tfrecord", samples))
    assert_pixels(reader)
    assert reader.class_names == tuple(f"class {i}" for i in range(5))
    assert reader.columns["label"].tolist() == list(range(5))
    assert list(reader.columns["key"]) == [f"{i}.jpg" for i in range(5)]
    assert reader.columns["image/height"].tolist() == [30, 31, 32, 33, 34]
    assert list(reader.columns["image/format"]) == ["jpeg"] * 5
    assert [row.tolist() for row in reader.columns["image/object/bbox/xmin"]] == [
        [j / 8 for j in range(i)] for i in range(5)
    ]
    assert [row.tolist() for row in reader.columns["image/object/class/label"]] == [
        list(range(i)) for i in range(5)
    ]
    assert [list(row) for row in reader.columns["image/object/class/text"]] == [
        [f"thing {j}" for j in range(i)] for i in range(5)
    ]
    sample = reader[3]
    assert (sample["label"], sample["key"], sample["image/object/class/label"].tolist()) == (
        3,
        "3.jpg",
        [0, 1, 2],
    )


def test_features_that_only_some_records_have(tmp_path):
    samples = [{"image": data} for data in IMAGES]
    samples[1]["score"] = 0.25
    samples[3] |= {"score": 0.75, "tags": texts(["a", "bc"]), "number": 7}
    reader = fastpack.open(write_with_tensorflow(tmp_path / "x.tfrecord", samples))
    assert [row.tolist() for row in reader.columns["score"]] == [[], [0.25], [], [0.75], []]
    assert [row.tolist() for row in reader.columns["number"]] == [[], [], [], [7], []]
    assert [list(row) for row in reader.columns["tags"]] == [[], [], [], ["a", "bc"], []]
    assert_pixels(reader)


def test_images_that_only_some_records_have(tmp_path):
    samples = [{"label": i} | ({"image": data} if i % 2 else {}) for i, data in enumerate(IMAGES)]
    reader = fastpack.open(write_with_tensorflow(tmp_path / "x.tfrecord", samples))
    blobs = reader.with_options(decode=False).read(range(5))["image"]
    assert [blobs.bytes(i) for i in range(5)] == [
        data if i % 2 else b"" for i, data in enumerate(IMAGES)
    ]
    assert (reader[3]["image"] == read_pillow(IMAGES[3])).all()
    with pytest.raises(UnsupportedImageError, match=r"x\.tfrecord, record 4"):
        reader.read([1, 4])


def test_the_first_record_with_a_value_decides_the_kind(tmp_path):
    samples = [{"image": data, "mask": data} for data in IMAGES]
    samples[0]["mask"] = texts([])
    reader = fastpack.open(write_with_tensorflow(tmp_path / "x.tfrecord", samples), decode=False)
    assert reader.schema["mask"].kind == "image"
    assert reader.read(range(5))["mask"] == Ragged.of_bytes([b"", *IMAGES[1:]])


def test_one_feature_of_two_kinds_is_refused(tmp_path):
    path = write_with_tensorflow(
        tmp_path / "x.tfrecord", [{"image": IMAGES[0], "x": 1}, {"image": IMAGES[1], "x": 1.0}]
    )
    with pytest.raises(SchemaError, match=r"x: .*another kind.*x\.tfrecord, record 1"):
        fastpack.open(path)


def test_renamed_fields(tmp_path):
    samples = [{"picture/bytes": data, "answer": i, "rest": 1.0} for i, data in enumerate(IMAGES)]
    path = write_with_tensorflow(tmp_path / "x.tfrecord", samples)
    reader = fastpack.open(path, fields={"image": "picture/bytes", "label": "answer"})
    assert list(reader.read([0])) == ["image", "label"]
    assert reader.columns["label"].tolist() == list(range(5))
    assert_pixels(reader)


def test_a_file_of_any_ending_is_known_by_its_bytes(tmp_path):
    path = write_with_tensorflow(
        tmp_path / "train-00000-of-00001", [{"image": data} for data in IMAGES]
    )
    assert_pixels(fastpack.open(path))


def test_the_saved_index_gives_the_same(tmp_path):
    samples = [
        {"image": data, "tags": texts(str(j) for j in range(i)), "x": 1.5 * i}
        for i, data in enumerate(IMAGES)
    ]
    path = write_with_tensorflow(tmp_path / "x.tfrecord", samples)
    built, loaded = fastpack.open(path), fastpack.open(path)
    assert index_path(path).exists()
    assert loaded.schema == built.schema
    assert loaded.columns["tags"] == built.columns["tags"]
    assert loaded.columns["x"].tolist() == built.columns["x"].tolist() == [0.0, 1.5, 3.0, 4.5, 6.0]
    assert_pixels(loaded)


def test_records_without_images(tmp_path):
    path = write_with_tensorflow(
        tmp_path / "x.tfrecord", [{"x": floats([i, 2]), "label": i} for i in range(4)]
    )
    batch = fastpack.open(path).read([2, 0])
    assert [row.tolist() for row in batch["x"]] == [[2.0, 2.0], [0.0, 2.0]]
    assert batch["label"].tolist() == [2, 0]


def test_gzip_is_refused_with_a_remedy(tmp_path):
    with tf.io.TFRecordWriter(
        str(tmp_path / "x.tfrecord"), tf.io.TFRecordOptions(compression_type="GZIP")
    ) as writer:
        writer.write(b"anything")
    with pytest.raises(fastpack.FastpackError, match=r"gunzip.*x\.tfrecord"):
        fastpack.open(tmp_path / "x.tfrecord")


# The classic functions


@pytest.fixture
def classic(tmp_path):
    """Paths, labels and the TFRecord of them."""
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for seed, path in enumerate(paths):
        path.write_bytes(save(photo(20, 30, seed=seed), "PNG"))
    fastpack.packing.snippets.write_tfrecord(paths, [3, 1, 4, 1], tmp_path / "classic.tfrecord")
    return paths, [3, 1, 4, 1], tmp_path / "classic.tfrecord"


def snippets_reader(path):
    """As the tutorials have it."""

    def parse(record):
        description = {
            "image": tf.io.FixedLenFeature([], tf.string),
            "label": tf.io.FixedLenFeature([], tf.int64),
        }
        parsed = tf.io.parse_single_example(record, description)
        return tf.io.decode_image(parsed["image"]), parsed["label"]

    return list(tf.data.TFRecordDataset(str(path)).map(parse).as_numpy_iterator())


def test_the_snippets_reader_reads_what_write_tfrecord_writes(classic):
    paths, labels, output = classic
    samples = snippets_reader(output)
    assert [int(label) for _, label in samples] == labels
    assert all(
        (image == read_pillow(path.read_bytes())).all()
        for (image, _), path in zip(samples, paths, strict=True)
    )


def test_read_tfrecord_is_open(classic):
    paths, labels, output = classic
    by_tensorflow = list(fastpack.packing.snippets.read_tfrecord(output).as_numpy_iterator())
    by_fastpack = fastpack.open(output, decode=False)
    assert [sample["image"] for sample in by_tensorflow] == [path.read_bytes() for path in paths]
    assert [sample["image"] for sample in by_fastpack] == [
        sample["image"] for sample in by_tensorflow
    ]
    assert (
        [sample["label"] for sample in by_fastpack]
        == [int(sample["label"]) for sample in by_tensorflow]
        == labels
    )


def test_read_tfrecord_reads_the_snippets_file(tmp_path):
    path = write_with_tensorflow(
        tmp_path / "x.tfrecord", [{"image": data, "label": i} for i, data in enumerate(IMAGES)]
    )
    assert [
        sample["image"]
        for sample in fastpack.packing.snippets.read_tfrecord(path).as_numpy_iterator()
    ] == IMAGES
