"""Compare loaders that read training images from an object store.

python -m benches.compare_stores
"""

import argparse
import contextlib
import math
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benches.photos import VARIABLE, photos
from benches.provenance import record
from benches.ratio import machine
from benches.rival_process import TIMEOUT_SECONDS, RivalBenchmark, RivalResult, RivalSpec
from benches.rivals.protocol import Task
from benches.rivals.stores.sets import COPIES_VARIABLE, STORE_VARIABLE
from benches.stores.link import SERVER_HOST, slow_link
from benches.stores.rivals import RIVALS, StoreProcess, StoreResult
from benches.stores.server import BUCKET, SeaweedServer, running_server
from benches.workloads import plain_jpegs

_SIZE = 224


def table(title: str, results: Sequence[StoreResult]) -> str:
    """Format medians of rounds. A ratio is images/s over the first rival's of the same round.

    >>> local = StoreResult("disk", "1", [2.0, 4.0], 8, cpu=[0.8, 1.6], requests=[0, 0],
    ...                     received=[0, 0])
    >>> store = StoreResult("store", "1", [4.0, 4.0], 8, cpu=[4.0, 4.0], requests=[8, 8],
    ...                     received=[8000, 8000])
    >>> print(table("train", [local, store]))
    train
                  images/s  ratio   min..max     requests/image  kB/image  CPU us/image
    disk 1               3  1.000   1.000..1.000          0.0000       0.0        150000
    store 1              2  0.750   0.500..1.000          1.0000       1.0        500000
    """
    names = [f"{result.name} {result.version}".strip() for result in results]
    width = max(12, *map(len, names))
    columns = "images/s  ratio   min..max     requests/image  kB/image  CPU us/image"
    lines = [title, f"{'':{width}}  {columns}"]
    for name, result in zip(names, results, strict=True):
        count, median = result.num_samples, statistics.median
        ratios = [
            base / mine * count / results[0].num_samples
            for mine, base in zip(result.seconds, results[0].seconds, strict=True)
        ]
        lines.append(
            f"{name:{width}} {count / median(result.seconds):9,.0f} {median(ratios):6.3f}   "
            f"{min(ratios):.3f}..{max(ratios):.3f} {median(result.requests) / count:15.4f} "
            f"{median(result.received) / count / 1000:9.1f} "
            f"{1e6 * median(result.cpu) / count:13.0f}"
        )
    return "\n".join(lines)


def task_of(arguments: argparse.Namespace, folder: Path) -> Task:
    jpegs = plain_jpegs(photos(arguments.photos, folder))
    classes = {parent: i for i, parent in enumerate(sorted({path.parent for path in jpegs}))}
    chosen = [jpegs[i % len(jpegs)] for i in range(arguments.samples)]
    return Task(
        subject="train",
        folder=str(folder),
        paths=[str(path.absolute()) for path in chosen],
        labels=[classes[path.parent] for path in chosen],
        batch=arguments.batch,
        num_threads=arguments.threads,
        size=_SIZE,
    )


@contextlib.contextmanager
def store(arguments: argparse.Namespace, folder: Path) -> Iterator[SeaweedServer]:
    """Run a server, beyond a slow link if one is asked for, and name it in the environment."""
    with contextlib.ExitStack() as stack:
        host, network = "127.0.0.1", "loopback"
        prefix: tuple[str, ...] = ()
        if arguments.delay or arguments.megabytes:
            rate, network = 1e6 * (arguments.megabytes or 1e4), "link"
            host, prefix = SERVER_HOST, stack.enter_context(slow_link(arguments.delay, rate))
        # SeaweedFS notes its own address in its data.
        folder = (arguments.keep or folder) / network
        server = stack.enter_context(running_server(folder / "store", host, prefix))
        os.environ.update(server.environment)
        os.environ[STORE_VARIABLE] = f"s3://{BUCKET}"
        os.environ[COPIES_VARIABLE] = str(folder / "sets")
        yield server


def compare(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Print the table and return its figures. Progress goes to stderr."""
    task = task_of(arguments, folder)

    def log(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)

    def python_of(environment: str) -> Path:
        if not environment:
            return Path(sys.executable)
        return Path(arguments.environments).absolute() / environment / "bin" / "python"

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(store(arguments, folder))
        start = partial(StoreProcess, server)
        benchmark = RivalBenchmark(60 * arguments.timeout, log, start)
        stack.enter_context(contextlib.closing(benchmark))
        for spec in _chosen(arguments.only):
            benchmark.add(spec, python_of(spec.environment), task)
        until = time.monotonic() + 60 * arguments.minutes
        found = benchmark.run(arguments.rounds, until)
    results = [each for each in found if isinstance(each, StoreResult)]
    title = _title(arguments, task, results)
    print(f"\n{table(title, results) if results else title}", flush=True)
    for absent, reason in benchmark.missing.items():
        print(f"missing: {absent}: {reason}", flush=True)
    return {
        "title": title,
        "results": [each.to_json() for each in results],
        "missing": benchmark.missing,
    }


def _chosen(names: Sequence[str] | None) -> list[RivalSpec]:
    """Return the rivals whose names contain one of the given texts."""
    return [spec for spec in RIVALS if not names or any(name in spec.name for name in names)]


def _title(arguments: argparse.Namespace, task: Task, results: Sequence[RivalResult]) -> str:
    network = f"{arguments.delay:g} ms added" if arguments.delay else "loopback"
    if arguments.megabytes:
        network += f", {arguments.megabytes:g} MB/s"
    num_rounds = len(results[0].seconds) if results else 0
    return (
        f"S3 ({network}): random resized crops of {task.size}, flips, shuffled, batches of "
        f"{task.batch}, threads or workers: {task.num_threads}; {len(task):,} images, "
        f"{num_rounds} rounds"
    )


def main(given: Sequence[str] | None = None) -> None:
    arguments = _arguments(given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # the server ends too
    print(", ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    with tempfile.TemporaryDirectory(dir=arguments.scratch, ignore_cleanup_errors=True) as folder:
        figures = compare(arguments, Path(folder))
    record(arguments.json, arguments.photos, **figures)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.compare_stores", description=__doc__)
    add = parser.add_argument
    add(
        "--environments",
        type=Path,
        default=Path(".venv-rivals"),
        help="folder of the environments of `make bench-stores`",
    )
    add("--photos", type=Path, help=f"folder of JPEGs (default: ${VARIABLE}, else generated)")
    add("--samples", type=int, default=8192, help="photos repeat")
    add("--rounds", type=int, default=5)
    add("--minutes", type=float, default=math.inf, help="time for the rounds")
    add("--timeout", type=float, default=TIMEOUT_SECONDS / 60, help="minutes for a rival's answer")
    add("--batch", type=int, default=256)
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--delay", type=float, default=0.0, help="milliseconds added to a round trip (root)")
    add("--megabytes", type=float, default=0.0, help="bandwidth of the network, MB/s (root)")
    add("--only", nargs="+", metavar="TEXT", help="rivals whose names contain TEXT (default: all)")
    add("--json", type=Path, metavar="FILE", help="write all figures to this file")
    add("--scratch", type=Path, help="folder on a disk with space for 10 copies of the set")
    add("--keep", type=Path, help="folder of the store and its sets, to use them again")
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
