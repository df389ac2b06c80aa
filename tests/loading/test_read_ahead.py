"""Windows of steps whose bytes are requested ahead."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastpack.loading.read_ahead import window_plans
from fastpack.loading.schedule import Schedule, StepPartition


@given(
    st.integers(1, 300),
    st.integers(1, 40),
    st.integers(1, 4),
    st.data(),
    st.none() | st.integers(1, 120),
)
def test_windows_have_each_sample_of_each_step_once(num_positions, batch, world, data, width):
    rank = data.draw(st.integers(0, world - 1))
    pad_last = data.draw(st.booleans())
    first = data.draw(st.integers(0, num_positions - 1))
    partition = StepPartition(num_positions, batch, rank, world, False, pad_last)
    order = SimpleNamespace(
        **({} if width is None else {"windows_of": lambda positions: positions // width})
    )
    schedule = Schedule(order, partition)
    plans = list(window_plans(schedule, 0, first))
    num_steps = partition.num_steps(first)
    steps = [partition.mine(first + step * partition.step_size) for step in range(num_steps)]
    wanted = np.concatenate(steps).tolist()
    assert np.concatenate([plan.positions for plan in plans]).tolist() == wanted
    assert plans[-1].num_complete == num_steps
    seen = set()
    for plan in plans:
        seen |= set(plan.positions.tolist())
        assert all(seen.issuperset(steps[step].tolist()) for step in range(plan.num_complete))
        of_steps = {position for step in plan.steps for position in steps[step].tolist()}
        assert of_steps.issuperset(plan.positions.tolist())
        for step in plan.steps:
            assert set(steps[step].tolist()) & set(plan.positions.tolist())
        if width is not None:
            assert len(set((plan.positions % num_positions // width).tolist())) == 1
    assert [plan.num_complete for plan in plans] == sorted(plan.num_complete for plan in plans)


def test_the_first_step_is_a_window_of_its_own():
    partition = StepPartition(100, 10, 0, 1, False)
    plans = list(window_plans(Schedule(SimpleNamespace(), partition), 0, 0))
    assert [len(plan.positions) for plan in plans] == [10, 20, 20, 20, 20, 10]
