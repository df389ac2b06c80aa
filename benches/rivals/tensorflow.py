"""tf.data over TFRecord shards after its performance guide.

Interleaved files, parallel maps, prefetch, AUTOTUNE.
"""

from importlib.metadata import version
from typing import Any

import tensorflow as tf

from benches.rivals.protocol import (
    Amount,
    Task,
    Workload,
    count_bytes,
    count_pixels,
    packing,
    serve,
)

_SHUFFLED = 1000  # records in the shuffle buffer; files are shuffled too
_NUM_SHARDS = 8
_FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
}


def example(image: bytes, label: int) -> bytes:
    image_feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))
    label_feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    return tf.train.Example(
        features=tf.train.Features(feature={"image": image_feature, "label": label_feature})
    ).SerializeToString()


def write(task: Task, folder: str, num_shards: int) -> list[str]:
    paths = [
        f"{folder}/data-{shard:05d}-of-{num_shards:05d}.tfrecord" for shard in range(num_shards)
    ]
    writers = [tf.io.TFRecordWriter(path) for path in paths]
    for i, (image, label) in enumerate(task.samples()):
        writers[i * num_shards // len(task)].write(example(image, label))
    for writer in writers:
        writer.close()
    return paths


def shuffled_records(paths: list[str], task: Task) -> tf.data.Dataset:
    files = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths))
    records = files.interleave(
        tf.data.TFRecordDataset,
        cycle_length=len(paths),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=False,
    )
    return records.shuffle(_SHUFFLED)


def with_threads(dataset: tf.data.Dataset, task: Task) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = False
    options.threading.private_threadpool_size = task.num_threads
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


def random_crop(record: Any, size: int) -> tuple[Any, Any]:
    """Decode only the crop, like TensorFlow's image models."""
    features = tf.io.parse_single_example(record, _FEATURES)
    begin, extent, _ = tf.image.sample_distorted_bounding_box(
        tf.io.extract_jpeg_shape(features["image"]),
        bounding_boxes=tf.zeros([1, 0, 4]),
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    window = tf.stack([begin[0], begin[1], extent[0], extent[1]])
    crop = tf.image.decode_and_crop_jpeg(features["image"], window, channels=3)
    pixels = tf.image.random_flip_left_right(tf.image.resize(crop, [size, size]))
    return tf.cast(pixels, tf.uint8), features["label"]


def crops(paths: list[str], task: Task) -> tf.data.Dataset:
    samples = shuffled_records(paths, task).map(
        lambda record: random_crop(record, task.size), num_parallel_calls=tf.data.AUTOTUNE
    )
    return with_threads(samples.batch(task.batch), task)


def train(task: Task) -> Workload:
    dataset = crops(write(task, task.fresh_folder("shards"), _NUM_SHARDS), task)
    return Workload(
        lambda: count_pixels((images for images, _ in dataset.as_numpy_iterator()), task.size)
    )


def decode(task: Task) -> Workload:
    jpegs = tf.data.Dataset.from_tensor_slices([jpeg for jpeg, _ in task.samples()])
    dataset = with_threads(
        jpegs.map(
            lambda jpeg: tf.io.decode_jpeg(jpeg, channels=3), num_parallel_calls=tf.data.AUTOTUNE
        ),
        task,
    )
    return Workload(
        lambda: sum((Amount(1, pixels.nbytes) for pixels in dataset.as_numpy_iterator()), Amount())
    )


def batched_records(paths: list[str], task: Task) -> tf.data.Dataset:
    batches = shuffled_records(paths, task).batch(task.batch)
    return with_threads(
        batches.map(
            lambda batch: tf.io.parse_example(batch, _FEATURES), num_parallel_calls=tf.data.AUTOTUNE
        ),
        task,
    )


def records(task: Task) -> Workload:
    dataset = batched_records(write(task, task.fresh_folder("shards"), _NUM_SHARDS), task)
    return Workload(lambda: count_bytes(batch["image"] for batch in dataset.as_numpy_iterator()))


def first_batch(task: Task) -> Workload:
    """Read in file order within the buffer: tf.data has no random access here."""
    paths = write(task, task.fresh_folder("shards"), 1)

    def run() -> Amount:
        batch = next(batched_records(paths, task).as_numpy_iterator())
        return count_bytes([batch["image"]])

    return Workload(run)


def pack(task: Task) -> Workload:
    return packing(task, lambda folder: write(task, folder, 1))


if __name__ == "__main__":
    serve(
        version("tensorflow-cpu"),
        {"train": train, "decode": decode, "records": records, "open": first_batch, "pack": pack},
    )
