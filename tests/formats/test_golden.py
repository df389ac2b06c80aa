"""Committed files of each format version, which must always read the same.

`python -m tests.formats.test_golden` rewrites them. Do so only when a format version changes.
"""

import numpy as np
import pytest

from fastpack import PackOptions, encode, pack, verify
from fastpack import open as open_dataset
from fastpack.sources import ImageFiles
from tests.support.paths import GOLDEN

LABELS = [2, 0, 1]
KEYS = ["owl/a.png", "cat/Löwe.png", "dog/c.png"]
CLASS_NAMES = ["cat", "dog", "owl"]
INPUTS = [GOLDEN / "input" / f"{i}.png" for i in range(3)]
FILES = {
    "v1.tfrecord": PackOptions(),
    "v1-names.tfrecord": PackOptions(
        names={"image": "image/encoded", "label": "image/class/label", "key": "image/filename"}
    ),
    "v1-encoded.h5": PackOptions(),
    "v1-pixels.h5": PackOptions(layout="pixels"),
}


def source() -> ImageFiles:
    weights = np.array([0.5, -1.0, 3.25], np.float32)
    return ImageFiles(
        INPUTS, LABELS, keys=KEYS, class_names=CLASS_NAMES, columns={"weight": weights}
    )


def pixels(i: int) -> np.ndarray:
    """8 x 6, a ramp a channel: what the committed PNGs hold."""
    y, x = np.mgrid[0:8, 0:6]
    return np.stack([30 * x, 30 * y, np.full_like(x, 80 * i)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("name", FILES)
def test_golden_file_reads_the_same(name):
    dataset = open_dataset(GOLDEN / name, save_index=False)
    batch = dataset.read([0, 1, 2])
    assert batch["label"].tolist() == LABELS
    assert list(batch["key"]) == KEYS
    assert batch["weight"].tolist() == [0.5, -1.0, 3.25]
    assert dataset.class_names == tuple(CLASS_NAMES)
    assert (np.stack(list(batch["image"])) == np.stack([pixels(i) for i in range(3)])).all()
    assert verify(GOLDEN / name, decode=True).is_sound


@pytest.mark.parametrize("name", ["v1.tfrecord", "v1-encoded.h5"])
def test_golden_file_holds_the_files_that_went_in(name):
    images = open_dataset(GOLDEN / name, save_index=False, decode=False).read([0, 1, 2])["image"]
    assert [images.bytes(i) for i in range(3)] == [path.read_bytes() for path in INPUTS]


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".tfrecord")])
def test_we_still_write_these_bytes(name, tmp_path):
    pack(source(), tmp_path / name, FILES[name])
    assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_two_runs_give_the_same_bytes(name, tmp_path):
    """HDF5's own bytes may change with its library's version, never from run to run."""
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        pack(source(), tmp_path / run / name, FILES[name])
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


if __name__ == "__main__":
    (GOLDEN / "input").mkdir(parents=True, exist_ok=True)
    for i, path in enumerate(INPUTS):
        path.write_bytes(encode(pixels(i), "png"))
    for name, options in FILES.items():
        pack(source(), GOLDEN / name, options, overwrite=True)
        (GOLDEN / f"{name}.index.npz").unlink()
