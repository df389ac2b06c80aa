"""How fast is a list of files packed into one, beside cat?"""

from typing import Any

import pytest

import fastpack
from benches.workloads import Packing


@pytest.mark.benchmark(group="pack a list of files")
@pytest.mark.parametrize("name", ["out.tfrecord", "out.h5"])
def test_fastpack(benchmark: Any, packing: Packing, name: str) -> None:
    benchmark.pedantic(packing.fastpack, (name,), setup=packing.remove, rounds=5)
    reader = fastpack.open(packing.output(name), decode=False)
    assert len(reader) == len(packing.paths)
    last = len(reader) - 1
    assert reader[last]["image"] == packing.paths[last].read_bytes()


@pytest.mark.benchmark(group="pack a list of files")
def test_cat(benchmark: Any, packing: Packing) -> None:
    benchmark.pedantic(packing.cat, setup=packing.remove, rounds=5)
    assert packing.output("cat").stat().st_size == sum(path.stat().st_size for path in packing.paths)
