"""The Python code of docs/large-datasets.md and docs/formats.md runs as written."""

import re

import numpy as np
import pytest

import fastpack
from fastpack.files.table_file import TableFile
from tests.support.paths import ROOT


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Twelve photos of three classes, in the current folder."""
    for i in range(12):
        path = tmp_path / "photos" / ("cat", "dog", "owl")[i // 4] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(fastpack.encode(np.full((30 + i, 40, 3), 20 * i, np.uint8), "jpeg"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks_of(name, word=""):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / name).read_text(), flags=re.S)
    return [block for block in blocks if word in block]


def names_after(blocks, document):
    names = {}
    for block in blocks:
        exec(compile(block, document, "exec"), names)
    return names


def test_code_for_large_datasets_runs(photos):
    names = names_after(blocks_of("large-datasets.md"), "large-datasets.md")
    assert len(list(photos.glob("train-*.fpindex"))) == 4
    assert (photos / "train.tfrecord.manifest").exists()
    assert names["counts"].tolist() == [4, 4, 4]
    assert len(names["large"]) == 6
    assert len(names["parts"]["train"]) == 11
    assert names["state"]["position"] == 4


@pytest.fixture
def packed(photos):
    fastpack.pack("photos", "train.tfrecord", shards=2)
    return fastpack.open("train.tfrecord", decode=False)


def test_plain_numpy_reads_all_tables_of_indexes_and_manifests(photos, packed):
    names = names_after(blocks_of("formats.md", "read_table"), "formats.md")
    assert names["labels"].tolist() == packed.columns["label"][:6].tolist()
    assert names["jpeg"] == bytes(packed[3]["image"])
    paths = [*photos.glob("*.fpindex"), *photos.glob("*.manifest")]
    assert len(paths) == 3
    for path in paths:
        file = TableFile.open(path)
        for table in file.layout.tables:
            found = names["read_table"](path, table)
            for column, values in file.read(table).items():
                for leaf in values.dtype.names or [column]:
                    wanted = values[leaf] if values.dtype.names else values
                    assert found[leaf].dtype == wanted.dtype
                    assert np.array_equal(found[leaf], wanted)


def test_the_plain_reader_has_at_most_fifteen_lines():
    (block,) = blocks_of("formats.md", "def read_table")
    assert len(block[block.index("def read_table") :].splitlines()) <= 15
