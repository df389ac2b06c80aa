"""Tables in each format, from rows."""

import csv
import json
from pathlib import Path

import pytest

from fastpack import from_table

SUFFIXES = [".csv", ".tsv", ".jsonl", ".parquet"]


def write_table(path: Path, rows: list[dict]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(
                file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ","
            )
            writer.writeheader()
            writer.writerows(rows)
    return path


def csv_of(text, name="t.csv"):
    with open(name, "w", newline="") as file:
        file.write(text)
    return name


def notes_of(text):
    return " | ".join(from_table(csv_of(text)).notes)
