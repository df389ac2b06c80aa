"""2% of 1,000 files are broken, in ten ways: the report names exactly these.

A pack that skips no sample names the first one.
"""

import json
import subprocess
import sys

import pytest

from tests.support import broken_set
from tests.support.paths import ROOT


@pytest.fixture(scope="module", params=["out.tfrecord", "out.h5"])
def results(request, tmp_path_factory):
    """Results of packing the set."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "out").mkdir()
    command = [
        sys.executable,
        "-m",
        broken_set.__name__,
        folder / "in",
        folder / "out" / request.param,
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_two_percent_in_ten_ways():
    numbers = [number for pair in broken_set.NUMBERS.values() for number in pair]
    assert len(broken_set.NUMBERS) == 10
    assert len(set(numbers)) == broken_set.NUM_FILES * 2 // 100


@pytest.mark.parametrize("check", ["header", "decode"])
def test_the_report_is_exact(results, check):
    bad = broken_set.expected(decoding=check == "decode")
    found = results[check]
    assert [(number, reason) for number, reason, *_ in found["rejects"]] == bad
    assert [(line["sample"], line["reason"]) for line in found["report"]] == bad
    for line in found["report"]:
        assert line["key"] == broken_set.name_of(line["sample"])
        assert line["path"].endswith(line["key"])
        assert line["message"].endswith(line["path"])


@pytest.mark.parametrize("check", ["header", "decode"])
def test_all_others_are_packed(results, check):
    """A PNG named .JPEG and CMYK among them."""
    bad = dict(broken_set.expected(decoding=check == "decode"))
    assert results[check]["labels"] == [
        number for number in range(broken_set.NUM_FILES) if number not in bad
    ]
    assert results[check]["is_sound"]


def test_each_is_named_when_it_is_the_first(results):
    assert [tuple(one) for one in results["named"]] == broken_set.expected(decoding=True)


def test_unreadable_files_are_refused_by_the_system(results):
    """Not by a test that pretends."""
    messages = {line["sample"]: line["message"] for line in results["decode"]["report"]}
    assert all(
        "Permission denied" in messages[number] for number in broken_set.NUMBERS["unreadable"]
    )
