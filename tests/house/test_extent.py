"""Long tests run in part by default, and in full with `--all`."""

import pytest

from tests.support import extent


@pytest.fixture(params=[False, True], ids=["part", "all"])
def is_full(request, monkeypatch):
    monkeypatch.delenv(extent.VARIABLE, raising=False)
    if request.param:
        monkeypatch.setenv(extent.VARIABLE, "1")
    return request.param


@pytest.mark.parametrize(("count", "part"), [(2500, 500), (40, 10), (4, 4)])
def test_number_of_examples(is_full, count, part):
    assert extent.num_examples(count) == (count if is_full else part)


def test_stride(is_full):
    assert [*extent.every(3, range(8))] == ([*range(8)] if is_full else [0, 3, 6])


def test_the_option_decides(request):
    assert extent.is_full() == request.config.getoption("--all")
