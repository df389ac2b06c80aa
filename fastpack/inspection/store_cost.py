"""Requests of an epoch from an object store, by order, counted from the plan of a Loader."""

import math
from dataclasses import dataclass
from itertools import islice

from fastpack.loading.loader import Loader
from fastpack.loading.read_ahead import window_plans
from fastpack.reading.order import Sampler, Shuffle
from fastpack.reading.origins import ranges_of
from fastpack.reading.reader import Reader
from fastpack.stores.ranges import MAX_REQUEST, join

# GET requests of S3 Standard in us-east-1, in dollars: https://aws.amazon.com/s3/pricing
DOLLARS_A_GET = 0.0004 / 1000
_NUM_WINDOWS = 4  # that are counted; the others are like them
_NUM_ROWS = 100_000


@dataclass(frozen=True)
class EpochCost:
    """What an epoch takes from a store.

    Args:
        name: of the order, and of the cache if it has one.
        num_requests: of an epoch.
        num_bytes: of an epoch, with gaps between neighbors that are read together.
        num_ahead: samples of a window, which are requested together.
    """

    name: str
    num_requests: int
    num_bytes: int
    num_ahead: int

    @property
    def request_bytes(self) -> float:
        """Mean bytes of a request."""
        return self.num_bytes / max(self.num_requests, 1)

    @property
    def dollars(self) -> float:
        """Price of the requests at AWS."""
        return self.num_requests * DOLLARS_A_GET


def epoch_costs(reader: Reader, batch_size: int = 256) -> tuple[EpochCost, ...]:
    """Return what an epoch takes: in the order of the files, shuffled as a whole, and in blocks."""
    orders: dict[str, Sampler | None] = {
        "order of the files": None,
        "shuffled as a whole": Shuffle(0),
        "shuffled in blocks": Shuffle(0, block=MAX_REQUEST),
    }
    return tuple(_epoch_cost(name, reader, order, batch_size) for name, order in orders.items())


def cached_cost(reader: Reader) -> EpochCost:
    """Return what the first epoch with a cache takes. Later epochs take nothing."""
    sizes = [shard.size for shard in reader.shards]
    requests = sum(-(-size // MAX_REQUEST) for size in sizes)
    return EpochCost("with a cache, first epoch", requests, sum(sizes), 0)


def _epoch_cost(name: str, reader: Reader, order: Sampler | None, batch_size: int) -> EpochCost:
    """Count the requests of a few windows of an epoch, as the loader joins them."""
    schedule = Loader(reader, batch_size=batch_size, shuffle=order, num_workers=1).schedule
    blobs = [field.name for field in reader.schema.blobs]
    num_rows = num_requests = num_bytes = num_ahead = 0
    # The first window has one batch only, so that it comes soon.
    for plan in islice(window_plans(schedule, 0, 0), 1 + _NUM_WINDOWS):
        positions = plan.positions % schedule.partition.num_positions
        samples = schedule.order.samples_at(0, positions).samples
        joined = join(ranges_of(reader.samples.entries(samples, blobs)))
        num_rows, num_requests = num_rows + len(samples), num_requests + len(joined)
        num_bytes, num_ahead = num_bytes + joined.num_bytes, max(num_ahead, len(samples))
        if num_rows > _NUM_ROWS:
            break
    share = len(reader) / max(num_rows, 1)
    return EpochCost(name, math.ceil(num_requests * share), int(num_bytes * share), num_ahead)
