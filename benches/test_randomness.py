"""The tables of shuffles have a row for each."""

import sys

import pytest

from benches import randomness


def test_tables(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["randomness", "--samples", "6000", "--classes", "20", "--world", "2"]
    monkeypatch.setattr(sys, "argv", arguments)
    randomness.main()
    printed = capsys.readouterr().out
    assert all(printed.count(f"| {name} |") == 3 for name in randomness.SHUFFLES)
    assert "| image by image | 6,000 |" in printed
