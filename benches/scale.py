"""Datasets of up to a billion samples: opening, memory, orders, workers.

python -m benches.scale make|open|orders|workers|lmdb FOLDER...
"""

import argparse
import json
import statistics
import struct
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import fastpack
from benches.page_cache import load
from benches.provenance import command, revision
from benches.ratio import machine
from benches.scale_process import Process, call_all, processes
from benches.scale_reading import ORDERS
from benches.scale_sets import NAME, make_set

_READING, _LMDB = "benches.scale_reading", "benches.scale_lmdb"
_NUM_TINY = 1000
_STEP = 4096  # records copied at a time
_WIDTH = 200  # a table must not be cut where there is no terminal

Figures = Mapping[str, Any]
Rows = Iterator[dict[str, Any]]


def tiny_set(folder: Path) -> Path:
    """Return a tiny set, made once, that a process reads before it is measured."""
    tiny = folder.absolute().parent / "tiny"
    return tiny / NAME if tiny.exists() else make_set(tiny, _NUM_TINY)


def dataset(folder: Path) -> Path:
    return folder.absolute() / NAME if folder.is_dir() else folder.absolute()


def make(folder: Path, arguments: argparse.Namespace) -> Rows:
    make_set(folder, int(arguments.samples), int(arguments.shards), arguments.photos)
    files = list(folder.iterdir())
    inodes = {file.stat().st_ino: file.stat().st_size for file in files}
    yield {
        "samples": int(arguments.samples),
        "shards": int(arguments.shards),
        "files": len(files),
        "disk_mb": sum(inodes.values()) / 1e6,
    }


def measure_open(folder: Path, arguments: argparse.Namespace) -> Rows:
    """Yield medians over rounds of new processes. "own" is without imports and a tiny dataset."""
    path, tiny = str(dataset(folder)), str(tiny_set(folder))
    measure, start = (_forked, "fork") if arguments.from_fork else (_opened, "new")
    alone = 0.0
    measure(path, tiny, 1, 0)  # fills the page cache
    for count in arguments.processes:
        rounds = [measure(path, tiny, count, number) for number in range(arguments.rounds)]
        row = {"start": start, "processes": count, **_medians(rounds)}
        if count == 1:
            alone = row["pss_sum"]
        elif alone:
            row["adds"] = (row["pss_sum"] - alone) / (count - 1)
        yield row


def _opened(path: str, tiny: str, count: int, seed: int) -> dict[str, float]:
    with processes(count, _READING) as readers:
        warmed = call_all(readers, "warm", tiny)
        imports = [each.import_seconds for each in readers]
        before = call_all(readers, "memory")
        opened = call_all(readers, "open", path)
        batches = call_all(readers, "batch", seed)
        after = call_all(readers, "memory")
    return {
        "import": statistics.median(map(sum, zip(imports, warmed, strict=True))),
        "open": statistics.median(opened),
        **_medians(batches),
        **_grown(before, after),
    }


def _forked(path: str, tiny: str, count: int, seed: int) -> dict[str, float]:
    """One process opens; its forks read."""
    with Process(_READING) as opener:
        warmed = opener.call("warm", tiny)
        opened = opener.call("open", path)
        opener.call("fork", count)
        before = opener.call("in_forks", "memory")
        batches = opener.call("in_forks", "batch", seed)
        after = opener.call("in_forks", "memory")
    return {
        "import": opener.import_seconds + warmed,
        "open": opened,
        **_medians(batches),
        **_grown(before, after),
    }


def _medians(rows: Sequence[Figures]) -> dict[str, float]:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def _grown(before: Sequence[Figures], after: Sequence[Figures]) -> dict[str, float]:
    """Return memory of a process, what it grew by ("own"), and the pss of all processes."""
    first, last = _medians(before), _medians(after)
    own = {f"{name}_own": last[name] - first[name] for name in ("private", "dirty", "pss")}
    return {**last, **own, "pss_sum": sum(each["pss"] for each in after)}


def measure_orders(folder: Path, arguments: argparse.Namespace) -> Rows:
    """Yield the figures of each order, with encoded and decoded images, in new processes."""
    path = str(dataset(folder))
    for name in arguments.orders:
        for decode in (False, True):
            with Process(_READING) as reader:
                found = reader.call("order", path, name, decode, arguments.batches)
            yield {"order": name, "decode": decode, **found}


def measure_workers(folder: Path, arguments: argparse.Namespace) -> Rows:
    path = str(dataset(folder))
    for style in ("iterable", "map"):
        with Process("benches.scale_workers", arguments.python) as trainer:
            found = trainer.call("workers", path, style, arguments.workers)
        yield {"style": style, "workers": arguments.workers, **found}


def measure_lmdb(folder: Path, arguments: argparse.Namespace) -> Rows:
    """Yield medians of fastpack and LMDB with equal records, in new processes that take turns."""
    path, tiny = dataset(folder), tiny_set(folder)
    python = lmdb_python(arguments.environments)
    theirs = _lmdb_of(path, python), _lmdb_of(tiny, python)
    rivals = [
        Rival("LMDB", "open_and_batch", _LMDB, python, *theirs),
        Rival("fastpack, Loader", "open_and_batch", _READING, sys.executable, path, tiny),
        Rival("fastpack, Reader.read", "open_and_read", _READING, sys.executable, path, tiny),
    ]
    num_samples = len(fastpack.open(path, decode=False))
    _, *turns = [
        [rival.opened(num_samples) for rival in rivals]
        for _ in range(arguments.rounds + 1)  # the first fills the page cache
    ]
    baseline = [turn[0] for turn in turns]
    for rival, *found in zip(rivals, *turns, strict=True):
        row = {"library": rival.name, "samples": num_samples, **_medians(found)}
        for time in ("first", "closed"):
            ratios = [ours[time] / its[time] for ours, its in zip(found, baseline, strict=True)]
            row[f"{time}_best"] = min(each[time] for each in found)
            row[f"{time}_ratio"] = statistics.median(ratios)
            row[f"{time}_min_max"] = [min(ratios), max(ratios)]
        yield row


def lmdb_python(environments: Path) -> Path:
    python = environments / "torch" / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{python}: no environment with LMDB; build it: make bench-rivals")
    return python


@dataclass(frozen=True)
class Rival:
    """A way to open a dataset and read a random batch: a command of a module's process.

    - tiny: a tiny dataset, opened before, so that imports do not count.
    """

    name: str
    command: str
    module: str
    python: Path | str
    path: Path
    tiny: Path

    def opened(self, num_samples: int) -> dict[str, float]:
        """Return seconds ("closed" is with closing) and memory in a new process."""
        load([self.path])
        with Process(self.module, self.python) as process:
            process.call(self.command, str(self.tiny), _NUM_TINY)
            before = process.call("memory")
            times = process.call(self.command, str(self.path), num_samples)
            grown = _grown([before], [process.call("memory")])
        return {**times, **{name: grown[name] for name in ("private_own", "dirty_own")}}


def _lmdb_of(path: Path, python: Path) -> Path:
    """Return an LMDB folder, made once, with the records of a dataset."""
    folder = path.parent / f"{path.name}.lmdb"
    if folder.exists():
        return folder
    reader = fastpack.open(path, decode=False)
    map_bytes = 2 * int(reader.sizes.sum()) + 2**26
    with (
        tempfile.NamedTemporaryFile(dir=path.parent) as file,
        Process(_LMDB, python) as rival,
    ):
        for record in _records(reader):
            file.write(struct.pack("<q", len(record)) + record)
        file.flush()
        rival.call("write", str(folder), file.name, map_bytes)
    return folder


def _records(reader: fastpack.Reader) -> Iterable[bytes]:
    for first in range(0, len(reader), _STEP):
        images = reader.read(range(first, min(first + _STEP, len(reader))))["image"]
        yield from map(bytes, images)


_TIMES = ("import", "open", "batch", "read", "build", "first", "closed", "resume_0", "resume_90")
_MEMORY = ("private", "dirty", "pss", "private_own", "dirty_own", "pss_own", "pss_sum", "peak")
_UNITS = {
    **dict.fromkeys((*_TIMES, "first_best", "closed_best"), "s"),
    **dict.fromkeys((*_MEMORY, "adds"), "MB"),
    "rate": "samples/s",
    "pickled": "bytes",
}


def show(title: str, rows: Sequence[Figures]) -> None:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        unit = f"\n{_UNITS[name]}" if name in _UNITS else ""
        table.add_column(name + unit, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in names))
    Console(width=_WIDTH).print(table)


def _cell(figure: Any) -> str:
    """Format a figure.

    >>> [_cell(each) for each in (None, "new", 0.01234, 12.34, 123456.7, 10**9, [1.0, 2.5])]
    ['', 'new', '0.0123', '12.3', '123,457', '1,000,000,000', '1..2.5']
    """
    if figure is None or isinstance(figure, (str, bool)):
        return "" if figure is None else str(figure)
    if isinstance(figure, list):
        return "..".join(map(_cell, figure))
    if isinstance(figure, int) or figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.3g}"


def main(given: Sequence[str] | None = None) -> None:
    arguments = _arguments(given)
    about = {"subject": arguments.subject, "command": command(sys.argv)}
    about |= {"machine": machine(), "revision": revision()}
    rows = []
    for folder in arguments.folders:
        for row in arguments.measure(folder, arguments):
            rows.append({"set": folder.name, **row})
            if arguments.json:
                with arguments.json.open("a") as file:
                    file.write(json.dumps(rows[-1] | about) + "\n")
    show(f"{about['command']}  (revision {about['revision']})", rows)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.scale", description=__doc__)
    subjects = parser.add_subparsers(dest="subject", required=True)

    def subject(name: str, measure: Any, about: str) -> argparse.ArgumentParser:
        added = subjects.add_parser(name, help=about)
        added.add_argument("folders", type=Path, nargs="+", help="folders of sets, or datasets")
        added.add_argument("--json", type=Path, metavar="FILE", help="append rows as JSON lines")
        added.set_defaults(measure=measure)
        return added

    making = subject("make", make, "make a set of hard links")
    making.add_argument("--samples", type=float, default=1e6)
    making.add_argument("--shards", type=float, default=1)
    making.add_argument("--photos", type=Path, help="JPEGs to repeat instead of tiny ones")
    opening = subject("open", measure_open, "time and memory until the first shuffled batch")
    opening.add_argument("--processes", type=int, nargs="+", default=[1, 8])
    opening.add_argument("--from-fork", action="store_true", help="one process opens, then forks")
    opening.add_argument("--rounds", type=int, default=5)
    ordering = subject("orders", measure_orders, "first batch, rate and resuming of each order")
    ordering.add_argument("--orders", nargs="+", choices=ORDERS, default=list(ORDERS))
    ordering.add_argument("--batches", type=int, default=200)
    working = subject("workers", measure_workers, "spawn-started workers of torch's DataLoader")
    working.add_argument("--workers", type=int, default=2)
    working.add_argument("--python", default=sys.executable, help="interpreter with torch")
    comparing = subject("lmdb", measure_lmdb, "open and first batch, beside LMDB")
    comparing.add_argument("--environments", type=Path, default=Path(".venv-rivals").absolute())
    comparing.add_argument("--rounds", type=int, default=9)
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
