"""vahidk/tfrecord: TFRecord without TensorFlow, with an index file beside it."""

import itertools
from importlib.metadata import version

import tfrecord
from tfrecord.tools import tfrecord2idx

from benches.rivals.protocol import Amount, Task, Workload, count_bytes, packing, serve

_SHUFFLED = 1000  # records in the shuffle buffer


def write(task: Task, folder: str) -> tuple[str, str]:
    path = f"{folder}/data.tfrecord"
    writer = tfrecord.TFRecordWriter(path)
    for image, label in task.samples():
        writer.write({"image": (image, "byte"), "label": (label, "int")})
    writer.close()
    return path, f"{folder}/data.index"


def records(task: Task) -> Workload:
    """Shuffle in a buffer, in this process: workers would send each record through a pipe."""
    path, index = write(task, task.fresh_folder("tfrecord"))
    tfrecord2idx.create_index(path, index)

    def run() -> Amount:
        samples = tfrecord.tfrecord_loader(path, index, {"image": "byte"})
        return count_bytes(
            [sample["image"]]
            for sample in tfrecord.iterator_utils.shuffle_iterator(samples, _SHUFFLED)
        )

    return Workload(run)


def first_batch(task: Task) -> Workload:
    path, index = write(task, task.fresh_folder("tfrecord"))
    tfrecord2idx.create_index(path, index)

    def run() -> Amount:
        samples = tfrecord.tfrecord_loader(path, index, {"image": "byte"})
        return count_bytes([[sample["image"] for sample in itertools.islice(samples, task.batch)]])

    return Workload(run)


def pack(task: Task) -> Workload:
    return packing(task, lambda folder: write(task, folder))


if __name__ == "__main__":
    serve(version("tfrecord"), {"records": records, "open": first_batch, "pack": pack})
