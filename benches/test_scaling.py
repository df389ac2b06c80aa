"""Tests of the scaling benchmarks; none depends on a clock."""

import json

import pytest

from benches import memory, scaling
from benches.curves import Curve, Point, measured
from benches.provenance import command
from tests.support.extent import only_in_full
from tests.support.images import jpeg


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(jpeg(60 + number, 80, seed=number))
    return folder


def curves_of(subject, photos, *options):
    written = photos.parent / "curves.json"
    small = ["--rounds", "2", "--images", "6", "--max-samples", "1000", "--max-megapixels", "0.1"]
    scaling.main([subject, "--photos", str(photos), "--json", str(written), *small, *options])
    result = json.loads(written.read_text())
    assert {"machine", "revision", "data", "command"} <= result.keys()
    return {curve.name: curve for curve in map(Curve.from_json, result["curves"])}


@pytest.mark.parametrize(
    ("subject", "names", "line", "position"),
    [
        ("threads", {"threads"}, "random crops", 1),
        ("batch", {"batch"}, "encoded records", 4),
        pytest.param(
            "dataset",
            {"dataset", "dataset-memory", "dataset-open"},
            "shuffled",
            1000,
            marks=only_in_full(),
        ),
        pytest.param("image", {"image"}, "whole, new memory", 0.1, marks=only_in_full()),
    ],
)
def test_each_question_is_answered(photos, subject, names, line, position):
    curves = curves_of(subject, photos)
    assert set(curves) == names
    figures = curves[subject].lines[line][position]
    assert len(figures) == 2
    assert min(figures) > 0


@pytest.mark.parametrize("evicts", [True, False])
def test_cold_is_skipped_if_nothing_is_evicted(photos, monkeypatch, evicts):
    monkeypatch.setattr(scaling, "evict", lambda paths: evicts)
    curves = curves_of("cache", photos)
    if not evicts:
        assert curves == {}
    else:
        assert curves["cache"].lines.keys() == {"warm", "cold"}
        assert "random crops, HDF5" in curves["cache"].lines["cold"]


def test_points_are_interleaved():
    order = []
    points = [
        Point("a", 1, lambda: float(order.append("a") or len(order))),
        Point("b", 1, lambda: float(order.append("b") or len(order))),
    ]
    assert measured(points, 2) == {"a": {1: [3.0, 5.0]}, "b": {1: [4.0, 6.0]}}
    assert order == ["a", "b"] * 3


def test_a_curve_survives_json():
    curve = Curve(
        "threads",
        "Threads",
        "threads",
        "images/s",
        {"a": {1: [1.0, 2.0], 2: [3.0]}, "b": {"cold": [4.0]}},
    )
    assert Curve.from_json(json.loads(json.dumps(curve.to_json()))) == curve


def test_a_large_photo_has_the_requested_pixels():
    import numpy as np

    photo = np.arange(30 * 40 * 3, dtype=np.uint8).reshape(30, 40, 3)
    for megapixels in (0.0003, 0.01):
        height, width = scaling.photo_of(photo, megapixels).shape[:2]
        assert height * width == pytest.approx(megapixels * 1e6, rel=0.1)
        assert width / height == pytest.approx(4 / 3, rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["/somewhere/benches/scaling.py", "all", "--rounds", "3"],
            "python -m benches.scaling all --rounds 3",
        ),
        (["/somewhere/benches/report/__main__.py", "a.json"], "python -m benches.report a.json"),
        (
            ["benches/scaling.py", "--scratch", "/some/folder here"],
            "python -m benches.scaling --scratch 'folder here'",
        ),
    ],
)
def test_the_command_has_no_folder_of_the_machine(arguments, said):
    assert command(arguments) == said


@pytest.mark.parametrize("subject", ["decodes", pytest.param("pack", marks=only_in_full())])
def test_memory_is_recorded(photos, subject):
    written = photos.parent / "memory.json"
    memory.main(
        [
            subject,
            "--photos",
            str(photos),
            "--decodes",
            "300",
            "--samples",
            "3",
            "6",
            "--json",
            str(written),
        ]
    )
    (curve,) = map(Curve.from_json, json.loads(written.read_text())["curves"])
    assert curve.name == f"memory-{subject}"
    for points in curve.lines.values():
        assert list(points) == ([256, 512] if subject == "decodes" else [3, 6])
        assert min(map(min, points.values())) > 1
