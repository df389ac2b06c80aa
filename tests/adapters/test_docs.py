"""The Python code of docs/adapters.md and of the frameworks in README.md runs as written."""

import re
from pathlib import Path

import numpy as np
import pytest

import fastpack

ROOT = Path(__file__).parent.parent.parent
GUIDE = ROOT / "docs" / "adapters.md"
README = (ROOT / "README.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", GUIDE.read_text(), flags=re.S | re.M))
CHECKS = {
    "PyTorch": lambda names: (
        names["loader"].epoch == 2
        and sorted(sum(names["keys"], [])) == list(names["dataset"].columns["key"])
    ),
    "TensorFlow": lambda names: (
        names["loader"].epoch == 1 and names["first"]["image"].shape == (4, 224, 224, 3)
    ),
    "JAX": lambda names: (
        names["loader"].epoch == 1 and names["batch"]["image"].shape == (4, 224, 224, 3)
    ),
    "Hugging Face": lambda names: (
        fastpack.open("again.tfrecord").class_names == ("cat", "dog", "owl")
    ),
}
NEEDED = {
    "PyTorch": ["torch"],
    "TensorFlow": ["tensorflow"],
    "JAX": ["jax", "grain"],
    "Hugging Face": ["datasets"],
}


@pytest.fixture
def train(tmp_path, monkeypatch):
    for i in range(12):
        path = tmp_path / "photos" / ("cat", "dog", "owl")[i % 3] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(fastpack.encode(np.full((30 + i, 40, 3), 20 * i, np.uint8), "jpeg"))
    monkeypatch.chdir(tmp_path)
    fastpack.pack("photos", "train.tfrecord", fastpack.PackOptions(shards=2))


def test_every_section_is_run():
    assert SECTIONS.keys() == NEEDED.keys()


@pytest.mark.parametrize("section", NEEDED)
def test_section(train, section):
    for package in NEEDED[section]:
        pytest.importorskip(package)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", SECTIONS[section], flags=re.S):
        exec(compile(block, f"{GUIDE.name}: {section}", "exec"), names)
    assert CHECKS[section](names)


@pytest.mark.parametrize(
    ("package", "shape"),
    [("torch", (4, 3, 224, 224)), ("tensorflow", (4, 224, 224, 3)), ("jax", (4, 224, 224, 3))],
)
def test_readme_block(train, package, shape):
    pytest.importorskip(package)
    (block,) = re.findall(rf"```python\n(import fastpack\.{package}\n.*?)```", README, flags=re.S)
    crop = fastpack.RandomResizedCrop(224)
    names = {
        "fastpack": fastpack,
        "dataset": fastpack.open("train-*.tfrecord", transform=crop),
        "augmented": fastpack.open(
            "train-*.tfrecord", transform=[crop, fastpack.Normalize((0.5,) * 3, (0.5,) * 3)]
        ),
    }
    exec(compile(block, f"README.md: {package}", "exec"), names)
    assert (tuple(names["images"].shape), tuple(names["labels"].shape)) == (shape, (4,))
