"""The bytes alone: the fastest plain download of a TFRecord set, in ranges of 8 MiB.

It decodes nothing. It shows what the network and the server allow at most.
"""

import asyncio
from importlib.metadata import version
from pathlib import Path

import obstore

from benches.rivals.protocol import Amount, Task, Workload, serve
from benches.rivals.stores.fastpack import write_shards
from benches.rivals.stores.sets import url_of

_RANGE, _AT_ONCE = 2**23, 16


def train(task: Task) -> Workload:
    """Count each image as pixels, as the other rivals do."""
    url = url_of(task, "tfrecord", lambda folder: write_shards(task, folder, "tfrecord"))
    store = obstore.store.from_url(url)
    sizes = {meta["path"]: meta["size"] for page in obstore.list(store) for meta in page}
    spans = [
        (name, start, min(start + _RANGE, size))
        for name, size in sizes.items()
        if Path(name).suffix == ".tfrecord"
        for start in range(0, size, _RANGE)
    ]

    async def get(turn: asyncio.Semaphore, name: str, start: int, end: int) -> None:
        async with turn:
            await obstore.get_range_async(store, name, start=start, end=end)

    async def all_spans() -> None:
        turn = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(get(turn, *span) for span in spans))

    def run() -> Amount:
        asyncio.run(all_spans())
        return Amount(len(task), len(task) * task.size**2 * 3)

    return Workload(run)


if __name__ == "__main__":
    serve(version("obstore"), {"train": train})
