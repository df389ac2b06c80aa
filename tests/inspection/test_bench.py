"""`fastpack bench`: measurements and report. No test depends on a clock."""

import json
import re
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import fastpack
from fastpack import cli
from fastpack.errors import EmptySourceError, OptionError
from fastpack.inspection.bench import _thread_counts, bench
from tests.support.images import jpeg

NUM_SAMPLES = 70
module = sys.modules["fastpack.inspection.bench"]


@pytest.fixture
def source(tmp_path) -> fastpack.sources.ImageFiles:
    paths = [tmp_path / f"{i}.jpg" for i in range(NUM_SAMPLES)]
    for path in paths:
        path.write_bytes(jpeg(40, 60))
    return fastpack.sources.ImageFiles(paths, range(NUM_SAMPLES))


@pytest.fixture(params=["tfrecord", "h5"])
def dataset(request, source, tmp_path):
    output = tmp_path / f"all.{request.param}"
    fastpack.pack(source, output, fastpack.PackOptions(sync=False))
    return output


@pytest.fixture
def pixels(source, tmp_path):
    fastpack.pack(source, tmp_path / "pixels.h5", fastpack.PackOptions(size=16, sync=False))
    return tmp_path / "pixels.h5"


def measured(path, **options):
    return bench(fastpack.open(path), size=8, seconds=0.01, **options)


def test_each_work_is_measured_with_each_number_of_threads(dataset):
    found = measured(dataset, num_workers=[1, 3])
    assert [(speed.name, speed.num_workers) for speed in found.speeds] == [
        (name, count) for count in (1, 3) for name in ("records", "decode", "train", "loader")
    ]
    assert all(
        0 < speed.slowest <= speed.samples_per_second <= speed.fastest for speed in found.speeds
    )
    assert (found.num_samples, found.num_bytes) == (NUM_SAMPLES, NUM_SAMPLES * len(jpeg(40, 60)))
    assert found.diagnosis.binding in {stage.name for stage in found.diagnosis.stages}
    assert found.diagnosis.num_workers == 3


def test_stored_pixels_are_not_decoded(pixels):
    assert [speed.name for speed in measured(pixels, num_workers=[1]).speeds] == [
        "records",
        "train",
        "loader",
    ]


def test_works_take_turns(dataset, monkeypatch):
    order = []

    def spy(reader, rows, seconds):
        order.append((reader.options.decode, reader.options.num_workers))
        return 1.0, 10 * len(order)

    monkeypatch.setattr(module, "_read", spy)
    found = measured(dataset, num_workers=[1, 2])
    assert order == order[:6] * 4  # one to warm up, three that count
    assert {(decode, count) for decode, count in order} == {
        (decode, count) for decode in (True, False) for count in (1, 2)
    }
    first = found.speeds[0]
    assert (first.slowest, first.samples_per_second, first.fastest) == (70, 130, 190)


def test_the_loader_delivers_whole_epochs(dataset):
    reader = fastpack.open(dataset, transform=fastpack.RandomResizedCrop(8))
    epochs = module._Epochs(reader, np.arange(NUM_SAMPLES))
    assert epochs(1.0)[1] == 64
    epochs._rate = 1e9
    assert epochs(1.0)[1] == NUM_SAMPLES


@pytest.mark.parametrize(
    ("cores", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])]
)
def test_numbers_of_threads(cores, counts):
    assert _thread_counts(cores) == counts


@pytest.mark.parametrize("options", [{"seconds": 0}, {"num_workers": []}, {"num_workers": [0]}])
def test_options_that_make_no_sense(dataset, options):
    with pytest.raises(OptionError):
        bench(fastpack.open(dataset), **options)


def test_nothing_to_measure(dataset):
    with pytest.raises(EmptySourceError):
        bench(fastpack.open(dataset)[:0])


def run(*arguments):
    result = CliRunner().invoke(cli.main, ["bench", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def test_the_command_shows_a_table_and_what_binds(dataset):
    result = run(dataset, "--size", "8x9", "--seconds", 0.01, "-j", 1, "-j", 2)
    assert result.exit_code == 0, result.output
    for said in ("crops of 8 x 9", "images/s", "loader/s", "<- bottleneck", "ceiling:"):
        assert said in result.stdout
    first, second = [
        line.split() for line in result.stdout.splitlines() if re.match(r" +\d+ +[\d,]+ ", line)
    ]
    assert (first[0], len(first), second[0], len(second)) == ("1", 5, "2", 9)
    assert all(times.startswith("x") for times in second[2::2])


def test_the_command_prints_json(pixels):
    report = json.loads(run(pixels, "--seconds", 0.01, "-j", 1, "--json").stdout)
    assert report["num_samples"] == NUM_SAMPLES
    assert {"fastpack", "python", "system", "cores"} <= report.keys()
    assert report["speeds"][0].keys() == {
        "name",
        "num_workers",
        "samples_per_second",
        "slowest",
        "fastest",
    }
    assert report["diagnosis"]["binding"] in ("memory", "decode", "disk, shuffled")


def test_a_folder_of_images_is_measured_where_it_lies(source, tmp_path):
    assert run(tmp_path, "--seconds", 0.01, "-j", 1, "--size", 8).exit_code == 0


def test_nothing_there(tmp_path):
    assert run(tmp_path / "nowhere").exit_code == 2
