"""An epoch that ranks interrupt: another number of ranks goes on each time."""

import json

import numpy as np
from hypothesis import strategies as st

from fastpack import Loader
from fastpack.loading import LoaderOptions


def labels_of(batches):
    return [label for batch in batches for label in batch["label"].tolist()]


def order_of(dataset, shuffle, epoch):
    """The sample numbers of an epoch, in their order."""
    order = shuffle.order(dataset)
    return order.samples_at(epoch, np.arange(order.num_positions)).samples.tolist()


def without_repeats(labels):
    """Drops repeats: with fewer samples than ranks, some ranks get the same sample in a row."""
    return [label for i, label in enumerate(labels) if i == 0 or label != labels[i - 1]]


def interrupted_epoch(data, dataset, shuffle, epoch):
    """The labels that all ranks together got in an epoch, and the state after it.

    Ranks stop after some steps; another number of ranks continues, until the epoch ends.
    """
    first = Loader(dataset, shuffle=shuffle)
    first.set_epoch(epoch)
    state, delivered = first.state_dict(), []
    while state["epoch"] == epoch:
        world = data.draw(st.sampled_from([1, 2, 4, 8]), "world")
        options = LoaderOptions(
            data.draw(st.integers(1, 9), "batch"),
            shuffle,
            world=world,
            prefetch=data.draw(st.sampled_from([0, 3])),
        )
        steps, states, by_rank = data.draw(st.integers(1, 6), "steps"), [], []
        for rank in range(world):
            loader = Loader(dataset, options, rank=rank)
            loader.load_state_dict(state)
            by_rank.append([batch for _, batch in zip(range(steps), loader, strict=False)])
            states.append(loader.state_dict())
        assert all(other == states[0] for other in states)
        delivered += [label for step in zip(*by_rank, strict=True) for label in labels_of(step)]
        state = json.loads(json.dumps(states[0]))
    return without_repeats(delivered), state
