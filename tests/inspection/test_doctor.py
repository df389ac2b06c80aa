"""`fastpack doctor`: the slowest stage, and its advice. No test depends on a clock."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import fastpack
from fastpack import PackOptions, pack
from fastpack.errors import EmptySourceError, OptionError
from fastpack.inspection.advice import Facts, advise
from fastpack.inspection.doctor import Stage, _binding, _forget, _kept_pages, doctor, timed
from fastpack.sources import ImageFiles
from tests.support.images import jpeg

module = sys.modules["fastpack.inspection.doctor"]
NUM_SAMPLES = 70


@pytest.fixture
def source(tmp_path) -> ImageFiles:
    image = jpeg(40, 60)
    paths = [tmp_path / f"{i}.jpg" for i in range(NUM_SAMPLES)]
    for path in paths:
        path.write_bytes(image)
    return ImageFiles(paths, range(NUM_SAMPLES))


@pytest.fixture
def dataset(source, tmp_path) -> fastpack.Reader:
    pack(source, tmp_path / "all.tfrecord", PackOptions(sync=False))
    return fastpack.open(tmp_path / "all.tfrecord")


class Clock:
    """Stands still unless something takes its time."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(module, "time", stopped)
    return stopped


def names_of(found) -> set[str]:
    return {stage.name for stage in found.stages}


def test_stages_of_a_dataset(dataset):
    found = doctor(dataset, seconds=0.01)
    assert {"memory", "decode", "decode, one core"} <= names_of(found) <= {
        "disk, shuffled", "disk, in order", "memory", "decode", "decode, one core",
    }  # fmt: skip
    assert (found.num_samples, found.num_bytes) == (NUM_SAMPLES, dataset.sizes.sum())
    assert all(
        stage.samples_per_second > 0 and stage.bytes_per_second > 0 for stage in found.stages
    )
    assert found.binding in names_of(found)
    assert found.advice


def test_stages_of_files_that_are_not_packed(source):
    assert {"memory", "decode", "decode, one core"} <= names_of(doctor(source, seconds=0.01))


def test_stored_pixels_are_not_decoded(source, tmp_path):
    pack(source, tmp_path / "all.h5", PackOptions(size=16, sync=False))
    pixels = fastpack.open(tmp_path / "all.h5")
    assert "decode" not in names_of(doctor(pixels, seconds=0.01))
    assert "decode" in names_of(
        doctor(pixels.with_options(transform=fastpack.RandomResizedCrop(8)), seconds=0.01)
    )


def test_a_consumer_of_known_speed(dataset):
    found = doctor(dataset, consumer=3.0, seconds=0.01)
    assert (found.binding, found.ceiling) == ("consumer", 3.0)
    assert "loading is not the limit" in found.advice[0]


def test_a_consumer_is_given_decoded_batches_and_timed_alone(dataset, clock):
    seen = []

    def consume(batch: fastpack.Batch) -> None:
        seen.append(batch)
        clock.now += 10.0

    found = doctor(dataset, consumer=consume, seconds=15.0)
    assert [batch.num_samples for batch in seen] == [64, 6]
    assert seen[0]["image"][0].shape == (40, 60, 3)
    (rate,) = [stage.samples_per_second for stage in found.stages if stage.name == "consumer"]
    assert rate == NUM_SAMPLES / 20.0
    assert found.binding == "consumer"


def test_the_source_is_decoded_by_all_threads_alike(source):
    batch = module._SourceSubject(source).decode(np.arange(5), 3)
    assert all(np.array_equal(pixels, fastpack.decode(jpeg(40, 60))) for pixels in batch["image"])


def test_work_stops_when_the_time_is_over(clock):
    def work(rows) -> None:
        clock.now += 1.0

    took, done = timed(work, np.arange(1000), 2.5)
    assert (took, len(done)) == (3.0, 192)
    assert len(timed(work, np.arange(1000), 1e-9)[1]) == 64


STAGES = (
    Stage("disk, shuffled", 10, 1),
    Stage("memory", 500, 1),
    Stage("decode", 100, 1),
    Stage("decode, one core", 5, 1),
)


@pytest.mark.parametrize(
    ("stages", "fits", "binding"),
    [
        (STAGES, False, "disk, shuffled"),
        (STAGES, True, "decode"),
        ((*STAGES, Stage("consumer", 50, 1)), True, "consumer"),
        ((*STAGES, Stage("consumer", 50, 1)), False, "disk, shuffled"),
        (STAGES[1:2], True, "memory"),
        (STAGES[1:2], False, "memory"),
    ],
)
def test_the_narrow_stage(stages, fits, binding):
    assert _binding(stages, fits).name == binding


@pytest.mark.parametrize(
    ("error", "kept"), [(None, True), (BlockingIOError, False), (OSError, True)]
)
def test_what_the_system_keeps_in_memory(tmp_path, monkeypatch, error, kept):
    def preadv(*arguments) -> int:
        if error:
            raise error
        return 1

    (tmp_path / "x").write_bytes(bytes(100_000))
    monkeypatch.setattr(module.os, "preadv", preadv)
    with open(tmp_path / "x", "rb") as file:
        assert set(_kept_pages(file.fileno(), 100_000)) == {kept}
    assert _forget([tmp_path / "x"]) is not kept


def test_disk_stages_are_left_out_where_files_cannot_be_forgotten(dataset, monkeypatch):
    monkeypatch.setattr(module, "_forget", lambda paths: False)
    assert not {"disk, shuffled", "disk, in order"} & names_of(doctor(dataset, seconds=0.01))


def test_report_as_json(dataset):
    report = json.loads(doctor(dataset, consumer=5.0, seconds=0.01).to_json())
    assert report["binding"] == "consumer"
    assert set(report["stages"][0]) == {"name", "samples_per_second", "bytes_per_second"}


@pytest.mark.parametrize("options", [{"seconds": 0}, {"consumer": 0.0}, {"consumer": -1}])
def test_options_that_make_no_sense(dataset, options):
    with pytest.raises(OptionError):
        doctor(dataset, **options)


def test_nothing_to_measure(dataset):
    with pytest.raises(EmptySourceError):
        doctor(dataset[:0])


def facts(**changes) -> Facts:
    rates = {
        "disk, shuffled": 100,
        "disk, in order": 900,
        "memory": 5000,
        "decode": 1000,
        "decode, one core": 500,
        "consumer": 300,
    }
    usual = {
        "binding": "decode",
        "fits_memory": False,
        "rates": rates,
        "num_workers": 2,
        "formats": {"jpeg": 1.0},
        "megapixels": 0.2,
    }
    return Facts(**(usual | {"is_packed": True} | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"megapixels": 4.0}, "4.0 megapixels"),
        ({"formats": {"jpeg": 1.0, "progressive": 0.5}}, "50% of the images are progressive"),
        ({"formats": {"jpeg": 0.2, "png": 0.8}}, "80% of the images are PNG"),
        ({"formats": {}}, "resampling of stored pixels"),
        ({"num_workers": 8}, "only 2.0 times as fast"),
        ({"binding": "disk, shuffled"}, "9.0 times as fast in order"),
        ({"binding": "disk, shuffled", "fits_memory": True}, "only the first epoch"),
        ({"binding": "memory", "is_packed": False}, "pack them"),
        ({"binding": "consumer", "fits_memory": True}, "3.3 times as fast as the consumer"),
        ({"binding": "consumer"}, "0.3 times"),
    ],
)
def test_advice(changes, said):
    assert said not in " ".join(advise(facts()))
    assert said in " ".join(advise(facts(**changes)))


def test_files_that_a_source_names(source, tmp_path):
    assert module._SourceSubject(source).paths(np.array([3])) == [Path(tmp_path / "3.jpg")]


def test_files_of_a_folder_that_is_opened_where_it_lies(source, tmp_path):
    reader = fastpack.open(tmp_path, save_index=False)
    paths = module._ReaderSubject(reader).paths(np.arange(3))
    assert [path.read_bytes() for path in paths] == [jpeg(40, 60)] * 3
    assert doctor(reader, seconds=0.01).num_samples == NUM_SAMPLES
