"""MosaicML Streaming: MDS shards with a JSON index, shuffled by its default algorithm."""

from importlib.metadata import version
from typing import Any

from benches.rivals.protocol import Task, Workload, packing, reading, serve
from benches.rivals.pure_torchvision import imported
from benches.rivals.torch_loading import cropped, epochs, loader_of

streaming = imported("streaming")


class Photos(streaming.StreamingDataset):
    def __init__(self, task: Task, folder: str, remote: str | None = None) -> None:
        super().__init__(local=folder, remote=remote, shuffle=True, batch_size=task.batch)
        self.size_of_crop = task.size

    def __getitem__(self, at: Any) -> Any:
        sample = super().__getitem__(at)
        return cropped(sample["image"], self.size_of_crop), sample["label"]


def write(task: Task, folder: str) -> None:
    with streaming.MDSWriter(
        out=folder, columns={"image": "bytes", "label": "int"}, exist_ok=True
    ) as writer:
        for jpeg, label in task.samples():
            writer.write({"image": jpeg, "label": label})


def written_folder(task: Task) -> str:
    folder = task.fresh_folder("mds")
    write(task, folder)
    return folder


def train(task: Task) -> Workload:
    return epochs(loader_of(Photos(task, written_folder(task)), task), task)


def records(task: Task) -> Workload:
    """Read by number, in this process: workers would send each record through a pipe."""
    dataset = streaming.StreamingDataset(local=written_folder(task), batch_size=task.batch)
    return reading(task, lambda batch: [dataset[i]["image"] for i in batch])


def pack(task: Task) -> Workload:
    return packing(task, lambda folder: write(task, folder))


if __name__ == "__main__":
    serve(version("mosaicml-streaming"), {"train": train, "records": records, "pack": pack})
