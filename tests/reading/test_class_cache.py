"""The file beside an index or a manifest that keeps the samples sorted by class."""

import pickle
import shutil

import numpy as np
import pytest

import fastpack
from fastpack import Balanced
from fastpack.reading import samples
from tests.support.samples import numbered_shards


@pytest.fixture
def set_of_two(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "_CACHED_CLASSES", 1)
    for number, shard in enumerate(numbered_shards(tmp_path, 41)):
        shard.rename(tmp_path / f"train-{number:05}-of-00002.tfrecord")
    return tmp_path / "train.tfrecord"


def order_of(dataset):
    return Balanced(3).order(dataset).samples_at(0, np.arange(41)).samples.tolist()


def class_files(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".classes")


def test_classes_are_sorted_once_beside_the_manifest(set_of_two, monkeypatch):
    plain = order_of(fastpack.open(set_of_two, save_index=False))
    fastpack.open(set_of_two)  # which saves the manifest
    assert order_of(fastpack.open(set_of_two)) == plain
    (name,) = class_files(set_of_two.parent)
    assert name.startswith("train.tfrecord.manifest.")
    monkeypatch.setattr("fastpack.reading.class_order._computed", None)
    dataset = fastpack.open(set_of_two.parent)
    assert order_of(dataset) == plain
    assert order_of(pickle.loads(pickle.dumps(dataset))) == plain


def test_classes_of_one_file_lie_beside_its_index(set_of_two):
    path = set_of_two.parent / "train-00000-of-00002.tfrecord"
    fastpack.open(path)
    Balanced().order(fastpack.open(path))
    (name,) = class_files(set_of_two.parent)
    assert name.startswith(f"{path.name}.fpindex.")


def test_parts_and_small_datasets_keep_no_classes(set_of_two, monkeypatch):
    fastpack.open(set_of_two)
    dataset = fastpack.open(set_of_two)
    for part in (dataset[1:], fastpack.concat([dataset, dataset])):
        Balanced().order(part)
    Balanced().order(fastpack.open(set_of_two, save_index=False))
    monkeypatch.setattr(samples, "_CACHED_CLASSES", 42)
    Balanced().order(dataset)
    assert class_files(set_of_two.parent) == []


def test_classes_of_another_set_are_not_used(set_of_two, tmp_path_factory):
    fastpack.open(set_of_two)
    order_of(fastpack.open(set_of_two))
    (name,) = class_files(set_of_two.parent)
    stale = tmp_path_factory.mktemp("stale") / name
    shutil.copy(set_of_two.parent / name, stale)
    last = set_of_two.parent / "train-00001-of-00002.tfrecord"
    shutil.copy(set_of_two.parent / "train-00000-of-00002.tfrecord", last)
    changed = fastpack.open(set_of_two)
    plain = Balanced(3).order(changed).samples_at(0, np.arange(40)).samples.tolist()
    fastpack.open(set_of_two)
    shutil.copy(stale, set_of_two.parent / name)
    again = Balanced(3).order(fastpack.open(set_of_two))
    assert again.samples_at(0, np.arange(40)).samples.tolist() == plain
