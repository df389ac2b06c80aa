"""WebDataset: tar shards in order, shuffled by shard and buffer, batched in workers."""

from importlib.metadata import version
from pathlib import Path

import webdataset as wds

from benches.rivals.protocol import Task, Workload, count_bytes, packing, serve
from benches.rivals.torch_loading import cropped, epochs, workers

_SHUFFLED = 1000  # the shuffle buffer of the documentation's examples
SHARDS_A_WORKER = 4


def write(task: Task, folder: str, num_shards: int) -> None:
    per_shard = -(-len(task) // num_shards)
    with wds.ShardWriter(f"{folder}/shard-%05d.tar", maxcount=per_shard, verbose=0) as writer:
        for i, (jpeg, label) in enumerate(task.samples()):
            writer.write({"__key__": f"{i:08d}", "jpg": jpeg, "cls": label})


def shards(task: Task) -> list[str]:
    folder = task.fresh_folder("shards")
    write(task, folder, task.num_threads * SHARDS_A_WORKER)
    return sorted(map(str, Path(folder).glob("*.tar")))


def samples(urls: list[str]) -> wds.WebDataset:
    return wds.WebDataset(urls, shardshuffle=100).shuffle(_SHUFFLED, initial=_SHUFFLED)


def train(task: Task) -> Workload:
    return crops(task, shards(task))


def crops(task: Task, urls: list[str]) -> Workload:
    dataset = (
        samples(urls).to_tuple("jpg", "cls").map_tuple(lambda jpeg: cropped(jpeg, task.size), int)
    )
    return epochs(
        wds.WebLoader(dataset.batched(task.batch), batch_size=None, **workers(task)), task
    )


def records(task: Task) -> Workload:
    """Read in this process: workers would send each record through a pipe."""
    dataset = (
        samples(shards(task))
        .to_tuple("jpg")
        .batched(task.batch, collation_fn=lambda batch: [jpeg for (jpeg,) in batch])
    )
    return Workload(lambda: count_bytes(dataset))


def pack(task: Task) -> Workload:
    return packing(task, lambda folder: write(task, folder, 1))


if __name__ == "__main__":
    serve(version("webdataset"), {"train": train, "records": records, "pack": pack})
