"""Pipeline: results are in order, memory is bounded, and the first failure is raised."""

import random
import threading
import time

import pytest

from fastpack.packing.pipeline import Pipeline, Stages


class Recorder:
    """Stages that note what happens, and wait a little so that threads mix."""

    def __init__(self, seed=0, fails=(), fails_placing=(), fails_checking=()):
        self.random = random.Random(seed)
        self.fails, self.fails_placing, self.fails_checking = fails, fails_placing, fails_checking
        self.made, self.placed, self.checked = [], [], []
        self.in_memory = self.most_in_memory = self.placing = 0
        self.lock = threading.Lock()

    def stages(self):
        return Stages(self.make, self.place, self.check)

    def make(self, portion):
        with self.lock:
            self.made.append(portion)
            self.in_memory += 1
            self.most_in_memory = max(self.most_in_memory, self.in_memory)
            pause = self.random.random() / 1000
        time.sleep(pause)
        if portion in self.fails:
            raise ValueError(f"made {portion}")
        return portion * 10

    def place(self, portion, piece):
        assert piece == portion * 10
        self.placing += 1
        assert self.placing == 1
        if portion in self.fails_placing:
            raise ValueError(f"placed {portion}")
        self.placed.append(portion)
        self.placing -= 1

    def check(self, portion, piece):
        assert portion in self.placed
        if portion in self.fails_checking:
            raise ValueError(f"checked {portion}")
        with self.lock:
            self.checked.append(portion)
            self.in_memory -= 1


@pytest.mark.parametrize("num_workers", [1, 2, 5])
@pytest.mark.parametrize("num_ahead", [1, 2, 9])
def test_all_are_written_in_order_and_checked_once(num_workers, num_ahead):
    record = Recorder(seed=num_workers)
    Pipeline(range(40), record.stages(), num_workers, num_ahead).run()
    assert record.placed == list(range(40))
    assert sorted(record.checked) == list(range(40))
    assert record.most_in_memory <= num_ahead


def test_no_portions():
    record = Recorder()
    Pipeline([], record.stages(), 3).run()
    assert record.made == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("stage", ["made", "placed", "checked"])
def test_the_first_failure_is_reported_and_nothing_more_is_begun(seed, stage):
    names = {"made": "fails", "placed": "fails_placing", "checked": "fails_checking"}
    record = Recorder(seed, **{names[stage]: (7, 8, 9, 30)})
    with pytest.raises(ValueError, match=f"{stage} 7$"):
        Pipeline(range(40), record.stages(), 3, 4).run()
    assert len(record.made) <= 7 + 2 * 4


@pytest.mark.parametrize("num_workers", [1, 3])
def test_an_interrupt_goes_through(num_workers):
    def interrupt(portion, piece):
        raise KeyboardInterrupt

    made = []
    stages = Stages(
        lambda portion: made.append(portion) or portion + 1, interrupt, lambda portion, piece: None
    )
    with pytest.raises(KeyboardInterrupt):
        Pipeline(range(1000), stages, num_workers, 4).run()
    assert len(made) < 20
