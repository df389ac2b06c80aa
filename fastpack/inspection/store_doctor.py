"""StoreDiagnosis: what a store can deliver, and which order, window and cache training needs."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fastpack.core.units import readable_size
from fastpack.errors import StoreError
from fastpack.inspection.epoch_cost import EpochCost, epoch_cost
from fastpack.inspection.store_speed import StoreSpeed, measure
from fastpack.loading.options import LoaderOptions
from fastpack.reading.order import Sampler, Shuffle
from fastpack.reading.reader import Reader
from fastpack.stores.block_file import BLOCK_BYTES
from fastpack.stores.limiter import GREATEST_LIMIT
from fastpack.stores.probe import probe
from fastpack.stores.ranges import MAX_REQUEST
from fastpack.stores.store_path import StorePath, as_object, is_in_store

Conditions = Literal["honored", "ignored", "read-only"]
# Samples of each order that are counted: about 0.2 s.
_COUNTED_SAMPLES = 2**16
_ORDERS: dict[str, Sampler | None] = {
    "order of the files": None,
    "shuffled as a whole": Shuffle(0),
    "shuffled in blocks": Shuffle(0, block=MAX_REQUEST),
}
_RESERVE = 1.2  # a rate with this factor is enough for training


@dataclass(frozen=True)
class StoreOrder:
    """An order of samples, and what it takes from a store.

    Args:
        name: of the order, and of the cache if it has one.
        samples_per_second: that the store allows at most.
        num_requests: of an epoch.
        num_bytes: of an epoch.
        dollars: price of the requests at AWS, $0.0004 for 1,000.
        at_once: requests at once that the rate of training needs, by Little's law.
        window_bytes: bytes that are requested together. Two such windows are in memory.
    """

    name: str
    samples_per_second: float
    num_requests: int
    num_bytes: int
    dollars: float
    at_once: int
    window_bytes: int


@dataclass(frozen=True)
class StoreDiagnosis:
    """Speed of a store from this machine, and how to read a dataset from it.

    Args:
        url: of the first file.
        num_files: files of the dataset.
        num_bytes: their bytes.
        speed: latency and bandwidth.
        conditions: whether conditional puts are "honored" or "ignored", as packing needs them;
            "read-only" if nothing can be written here.
        samples_per_second: rate of training that the plan is for.
        samples_ahead: samples that must be under way to hide the latency at this rate.
        orders: what each order takes.
        advice: the order and the cache that training needs.
    """

    url: str
    num_files: int
    num_bytes: int
    speed: StoreSpeed
    conditions: Conditions
    samples_per_second: float
    samples_ahead: int
    orders: tuple[StoreOrder, ...]
    advice: tuple[str, ...]


def diagnose_store(reader: Reader, rate: float, *, seconds: float, seed: int = 0) -> StoreDiagnosis:
    """Measure the store of a dataset, and plan how to read it.

    Args:
        reader: a dataset whose files are in a store.
        rate: samples per second that training takes.
        seconds: approximate time.
        seed: chooses the ranges.
    """
    shards = [shard for shard in reader.shards if is_in_store(shard.path)]
    speed = measure(shards, seconds, seed)
    orders = tuple(_order(name, cost, speed, rate) for name, cost in costs_of(reader).items())
    mean_bytes = reader.mean_bytes
    return StoreDiagnosis(
        url=str(shards[0].path),
        num_files=len(shards),
        num_bytes=sum(shard.size for shard in shards),
        speed=speed,
        conditions=conditions_of(as_object(shards[0].path)),
        samples_per_second=rate,
        samples_ahead=max(1, round(rate * speed.seconds(mean_bytes))),
        orders=orders,
        advice=tuple(advise(orders, speed, rate, rate * mean_bytes)),
    )


def conditions_of(path: StorePath) -> Conditions:
    """Write a small object twice beside a file, and delete it again."""
    if path.root.startswith("http"):
        return "read-only"
    try:
        return "honored" if probe(path.parent).honors_conditions else "ignored"
    except StoreError as error:
        if error.errno != errno.EACCES:
            raise
        return "read-only"


def costs_of(reader: Reader) -> dict[str, EpochCost]:
    """Return what an epoch takes by order, and what the first one with a cache takes at most."""
    costs = {}
    for name, order in _ORDERS.items():
        options = LoaderOptions(shuffle=order)
        costs[name] = epoch_cost(reader, options, _COUNTED_SAMPLES)
    sizes = [shard.size for shard in reader.shards if is_in_store(shard.path)]
    num_blocks = sum(-(-size // BLOCK_BYTES) for size in sizes)
    costs["with a cache, first epoch"] = EpochCost(len(reader), num_blocks, sum(sizes), 0)
    return costs


def _order(name: str, cost: EpochCost, speed: StoreSpeed, rate: float) -> StoreOrder:
    request_bytes = cost.num_bytes / max(cost.num_requests, 1)
    bytes_a_sample = cost.num_bytes / cost.num_samples
    allowed = speed.rate(request_bytes, GREATEST_LIMIT) / bytes_a_sample
    at_once = speed.at_once(request_bytes, min(rate, allowed) * bytes_a_sample)
    return StoreOrder(
        name,
        allowed,
        cost.num_requests,
        cost.num_bytes,
        cost.dollars,
        at_once,
        cost.window_bytes,
    )


def advise(
    orders: tuple[StoreOrder, ...], speed: StoreSpeed, rate: float, demand: float
) -> Iterator[str]:
    """Yield the order and the cache that training needs, the most effective first."""
    _, whole, blocks, cached = orders
    size = readable_size(cached.num_bytes)
    if speed.bandwidth < demand:
        yield (
            f"the store delivers {readable_size(int(speed.bandwidth))}/s, and training takes "
            f"{readable_size(int(demand))}/s: only a cache of {size} on a local disk makes later "
            "epochs faster; or pack smaller images"
        )
    elif whole.samples_per_second >= _RESERVE * rate:
        yield (
            "any order is fast enough without a cache: shuffle=True sends "
            f"{whole.num_requests:,} requests an epoch, about {whole.at_once} at once"
        )
    elif blocks.samples_per_second >= rate:
        yield (
            "a request for each sample is too slow here: shuffle in blocks, with "
            f"Shuffle(seed, block='8MiB'), or give a cache of {size}"
        )
    saved = whole.num_requests / max(blocks.num_requests, 1)
    if saved > 2:
        yield (
            f"blocks take {saved:,.0f} times fewer requests than the whole shuffle: "
            f"{price(blocks.dollars)} instead of {price(whole.dollars)} an epoch at AWS's price"
        )
    yield f"with cache=FOLDER and room for {size}, epochs after the first send no requests"


def price(dollars: float) -> str:
    """Format a price that may be a fraction of a cent.

    >>> price(0.5125), price(0.0000032)
    ('$0.51', '$0.0000032')
    """
    return f"${dollars:.2f}" if dollars >= 0.1 else f"${dollars:.7f}".rstrip("0").rstrip(".")
