"""tf.data: TFRecord shards in a store, through the file system of tensorflow-io."""

from importlib import import_module
from importlib.metadata import version

from benches.rivals.protocol import Task, Workload, count_pixels, serve
from benches.rivals.stores.sets import local_copy, url_of
from benches.rivals.tensorflow import crops, write

_NUM_SHARDS = 8
import_module("tensorflow_io")  # it registers s3://


def train(task: Task) -> Workload:
    def shards(folder: str) -> None:
        write(task, folder, _NUM_SHARDS)

    folder = local_copy(task, "tensorflow", shards)
    place = folder if task.variant == "local" else url_of(task, "tensorflow", shards)
    dataset = crops([f"{place}/{path.name}" for path in sorted(folder.iterdir())], task)
    return Workload(
        lambda: count_pixels((images for images, _ in dataset.as_numpy_iterator()), task.size)
    )


if __name__ == "__main__":
    serve(version("tensorflow-cpu"), {"train": train})
