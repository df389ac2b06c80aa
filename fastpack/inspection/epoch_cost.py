"""EpochCost: the requests and bytes of an epoch, computed from the plan. Nothing is read."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fastpack.core.dtypes import Rows
from fastpack.loading.options import LoaderOptions
from fastpack.loading.read_ahead import window_plans
from fastpack.loading.schedule import Schedule, StepPartition
from fastpack.reading.order import sampler_of
from fastpack.reading.origins import ranges_of
from fastpack.reading.reader import Reader
from fastpack.stores.ranges import Ranges, join

# AWS S3, us-east-1, 2026. Other stores have similar prices.
_DOLLARS_A_REQUEST = 0.0004 / 1000
# Counting 2**20 samples takes about 3 seconds.
_MAX_SAMPLES = 2**20


@dataclass(frozen=True)
class EpochCost:
    """Requests and bytes of an epoch, from an object store.

    Args:
        num_samples: samples that are read.
        num_requests: GET requests.
        num_bytes: bytes that are read, with the gaps between neighbors that share a request.
        window_bytes: bytes of the largest window. Two windows are in memory at once.
    """

    num_samples: int
    num_requests: int
    num_bytes: int
    window_bytes: int

    @property
    def dollars(self) -> float:
        """The price of the requests; stores may charge for bytes too."""
        return self.num_requests * _DOLLARS_A_REQUEST


def epoch_cost(
    reader: Reader, options: LoaderOptions, max_samples: int = _MAX_SAMPLES
) -> EpochCost:
    """Compute what one rank of a Loader asks of a store in an epoch, without a cache.

    - options: batch size, shuffle, rank and world.
    - max_samples: of a longer epoch, so many samples from its start are counted, and scaled.
    """
    order = sampler_of(options.shuffle).order(reader)
    rank = 0 if options.rank == "auto" else options.rank
    partition = StepPartition.of(order.num_positions, replace(options, rank=rank))
    blobs = [blob.name for blob in reader.schema.blobs]
    samples = reader.samples
    return cost_of(
        Schedule(order, partition),
        lambda rows: ranges_of(samples.entries(rows, blobs)),
        max_samples,
    )


def cost_of(
    schedule: Schedule, ranges_at: Callable[[Rows], Ranges], max_samples: int = _MAX_SAMPLES
) -> EpochCost:
    """Compute what the steps of a schedule ask of a store in epoch 0.

    - ranges_at: the byte ranges of samples (n,), by number of the file.
    """
    partition = schedule.partition
    num_counted = num_requests = num_bytes = largest = 0
    for plan in window_plans(schedule, 0, 0):
        samples = schedule.order.samples_at(0, plan.positions % partition.num_positions).samples
        joined = join(ranges_at(np.sort(samples)))
        num_counted += len(samples)
        num_requests += len(joined)
        num_bytes += joined.num_bytes
        largest = max(largest, joined.num_bytes)
        if num_counted >= max_samples:
            break
    num_samples = -(-partition.num_positions // partition.world)
    scale = num_samples / max(1, num_counted)
    return EpochCost(num_samples, round(num_requests * scale), round(num_bytes * scale), largest)
