"""Demo on photos: pack to TFRecord and HDF5, read shuffled batches, verify, draw."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import h5py
import numpy as np
import numpy.typing as npt
from photos import cut_photos
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import fastpack
from fastpack.inspection.contact_sheet import contact_sheet, save_sheet

BATCH_SIZE = 64
SIZE = 224
SEED = 1
SHEET_ROWS, SHEET_COLUMNS = 6, 8

# Called with (done, total).
Bar = Callable[..., None]


@dataclass(frozen=True)
class Job:
    name: str
    file: str
    options: fastpack.PackOptions

    @property
    def keeps_files(self) -> bool:
        return self.options.size is None


JOBS = (
    Job("TFRecord", "photos.tfrecord", fastpack.PackOptions(shards=4)),
    Job("HDF5 encoded", "photos.h5", fastpack.PackOptions(layout="encoded")),
    Job(
        f"HDF5 pixels {SIZE}x{SIZE}",
        f"photos-{SIZE}.h5",
        fastpack.PackOptions(layout="pixels", size=SIZE),
    ),
)


@dataclass(frozen=True)
class Result:
    job: Job
    packed: fastpack.packing.PackResult
    dataset: fastpack.Reader
    read_seconds: float
    checks: dict[str, bool]


class Bars:
    """Progress bars on stderr; stdout has only the table."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description:<36}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True))

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def add(self, description: str) -> Bar:
        task = self._progress.add_task(description, total=None)
        return lambda done, total, _num_bytes=0: self._progress.update(
            task, completed=done, total=total
        )


def run(job: Job, photos: Path, output: Path, bars: Bars) -> Result:
    """Pack, read and check."""
    bar = bars.add(f"{job.name}: pack")
    packed = fastpack.pack(
        photos,
        output / job.file,
        job.options,
        overwrite=True,
        progress=bar,
    )
    transform = fastpack.Resize(SIZE) if job.keeps_files else ()
    dataset = fastpack.open(list(packed.paths), transform=transform)
    keys, labels, read_seconds = read_shuffled(dataset, bars.add(f"{job.name}: read"))
    checks = {"every sample once": len(keys) == len(set(keys)) == packed.num_samples}
    if dataset.class_names:
        checks["labels"] = [dataset.class_names[label] for label in labels] == [
            key.split("/")[0] for key in keys
        ]
    checks["verify"] = fastpack.verify(
        list(packed.paths), progress=bars.add(f"{job.name}: verify")
    ).is_sound
    if job.keeps_files:
        checks["bytes of the files"] = has_bytes_of_files(
            dataset, photos, bars.add(f"{job.name}: compare with files")
        )
    if packed.paths[0].suffix == ".h5":
        checks["plain h5py"] = is_same_in_h5py(dataset, packed.paths[0])
    return Result(job, packed, dataset, read_seconds, checks)


def shuffled_batches(num_samples: int) -> Iterator[npt.NDArray[np.int64]]:
    order = np.random.default_rng(SEED).permutation(num_samples)
    return (order[first : first + BATCH_SIZE] for first in range(0, num_samples, BATCH_SIZE))


def read_shuffled(dataset: fastpack.Reader, bar: Bar) -> tuple[list[str], list[int], float]:
    """Read every sample once, shuffled; return keys, labels in that order, and seconds."""
    keys: list[str] = []
    labels: list[int] = []
    seconds = 0.0
    for rows in shuffled_batches(len(dataset)):
        started = time.perf_counter()
        batch = dataset.read(rows)
        seconds += time.perf_counter() - started
        keys += batch["key"]
        labels += batch["label"].tolist() if "label" in batch else []
        bar(len(keys), len(dataset))
    return keys, labels, seconds


def has_bytes_of_files(dataset: fastpack.Reader, photos: Path, bar: Bar) -> bool:
    encoded = dataset.with_options(decode=False)
    same = 0
    for rows in shuffled_batches(len(encoded)):
        batch = encoded.read(rows)
        same += sum(
            (photos / key).read_bytes() == batch["image"].bytes(i)
            for i, key in enumerate(batch["key"])
        )
        bar(same, len(encoded))
    return same == len(encoded)


def has_pixels_of(encoded: fastpack.Reader, dataset: fastpack.Reader, bar: Bar) -> bool:
    """Check that each image equals the decoded image of the same key."""
    row_of = {key: row for row, key in enumerate(encoded.columns["key"])}
    same = 0
    for rows in shuffled_batches(len(dataset)):
        batch = dataset.read(rows)
        decoded = encoded.read([row_of[key] for key in batch["key"]])["image"]
        same += int((batch["image"] == decoded).all(axis=(1, 2, 3)).sum())
        bar(same, len(dataset))
    return same == len(dataset)


def is_same_in_h5py(dataset: fastpack.Reader, path: Path) -> bool:
    """Check a hundred samples against plain h5py."""
    rows = np.linspace(0, len(dataset) - 1, 100).astype(int)
    expected = dataset.with_options(decode=False).read(rows)
    with h5py.File(path) as file:
        keys = [file["keys"][row].decode("utf-8", "surrogateescape") for row in rows]
        if isinstance(file["images"], h5py.Dataset):
            images = [file["images"][row].tobytes() for row in rows]
        else:
            data, offsets = file["images/bytes"], file["images/offsets"]
            images = [data[offsets[row] : offsets[row + 1]].tobytes() for row in rows]
    samples = [expected.sample(i) for i in range(len(rows))]
    return keys == [sample["key"] for sample in samples] and images == [
        bytes(sample["image"]) for sample in samples
    ]


def table_of(results: list[Result]) -> Table:
    table = Table()
    for heading in (
        "Container",
        "Files",
        "Samples",
        "MB on\ndisk",
        "Packed\nimages/s",
        "Read\nimages/s",
        "Checks",
    ):
        table.add_column(heading, justify="left" if heading == "Container" else "right")
    for result in results:
        packed = result.packed
        table.add_row(
            result.job.name,
            str(len(packed.paths)),
            f"{packed.num_samples:,}",
            f"{packed.output_bytes / 1e6:,.1f}",
            f"{packed.num_samples / packed.seconds:,.0f}",
            f"{packed.num_samples / result.read_seconds:,.0f}",
            f"{sum(result.checks.values())} of {len(result.checks)}",
        )
    return table


def report(results: list[Result]) -> bool:
    """Print the results; return whether every check passed."""
    Console().print(table_of(results))
    print(
        "Checked:", ", ".join(dict.fromkeys(name for result in results for name in result.checks))
    )
    failures = [
        f"{result.job.name}: {name}"
        for result in results
        for name, passed in result.checks.items()
        if not passed
    ]
    if failures:
        print("FAILED:", "; ".join(failures))
    return not failures


@click.command()
@click.option(
    "--photos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of your own images, instead of those in the wheels.",
)
@click.option(
    "--wheels",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".venv/demo-wheels"),
    show_default=True,
    help="Folder of the wheels that `make demo` downloads for their photos.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Folder to write to.",
)
def main(photos: Path | None, wheels: Path, output: Path) -> None:
    """Pack photos to TFRecord and HDF5, read them, check them, and draw a contact sheet."""
    output.mkdir(parents=True, exist_ok=True)
    with Bars() as bars:
        if photos is None:
            photos = output / "photos"
            cut_photos(wheels, photos, bars.add("Photos: cut"))
        results = [run(job, photos, output, bars) for job in JOBS]
        encoded, pixels = results[0].dataset, results[-1]
        pixels.checks["pixels of the TFRecord"] = has_pixels_of(
            encoded, pixels.dataset, bars.add(f"{pixels.job.name}: compare")
        )
    rows = np.random.default_rng(SEED).permutation(len(encoded))[: SHEET_ROWS * SHEET_COLUMNS]
    sheet = contact_sheet(encoded.with_options(transform=()), rows, columns=SHEET_COLUMNS)
    save_sheet(sheet, output / "contact-sheet.png", overwrite=True)
    passed = report(results)
    print(f"Contact sheet: {output / 'contact-sheet.png'}")
    sys.exit(not passed)


if __name__ == "__main__":
    try:
        main()
    except fastpack.FastpackError as error:
        sys.exit(f"demo: {error}")
