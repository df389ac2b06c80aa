"""report: what a dataset holds, and what packing and verifying came to, as facts and as text to read."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from fastpack.core.schema import Field
from fastpack.formats.indexing import IndexResult
from fastpack.inspection.bench import Benchmark
from fastpack.inspection.decoders import DecoderUsage
from fastpack.inspection.describe import ClassFacts, Description, FileFacts, ImageFacts, Spread
from fastpack.inspection.doctor import Diagnosis, Stage
from fastpack.inspection.listing import Listed
from fastpack.inspection.statistics import Bin, ImageStatistics
from fastpack.integrity.repair import RepairResult
from fastpack.integrity.verify import VerifyResult
from fastpack.packing.extract import ExtractResult
from fastpack.packing.results import PackResult
from fastpack.packing.transcode import Transcodes

# Longer lists are cut in text, never in facts.
_MAX_LINES = 12
_BAR_WIDTH = 20


def described_text(facts: Description) -> str:
    """A description to read: a block for each kind of fact."""
    blocks = [
        (
            "files",
            [f"{len(facts.files):,}, {readable_size(facts.num_bytes)}", *_file_lines(facts.files)],
        ),
        ("samples", [f"{facts.num_samples:,}"]),
        ("images", _image_lines(facts.images)),
        (
            "fields",
            _aligned(
                [("name", "kind", "shape", "dtype", "stored as"), *map(_field_cells, facts.fields)]
            ),
        ),
        ("arrays", list(facts.arrays)),
        ("classes", _class_lines(facts.classes)),
    ]
    return _in_blocks([(title, lines) for title, lines in blocks if lines])


def _in_blocks(blocks: Sequence[tuple[str, list[str]]]) -> str:
    return "\n".join(
        f"{title if first else '':<9}{line}"
        for title, lines in blocks
        for first, line in _marked(lines)
    )


def _marked(lines: Sequence[str]) -> list[tuple[bool, str]]:
    """Each line, and whether it is the first."""
    return [(number == 0, line) for number, line in enumerate(lines)]


def _file_lines(files: Sequence[FileFacts]) -> list[str]:
    rows = [
        (file.path, file.format, f"{file.num_samples:,} samples", readable_size(file.num_bytes))
        for file in files
    ]
    return _cut(_aligned(rows))


def _image_lines(images: ImageFacts | None) -> list[str]:
    if images is None:
        return ["none"]
    formats = ", ".join(f"{count:,} {name}" for name, count in images.formats.items())
    sides = [("width", images.width), ("height", images.height)]
    spreads = [f"{name} {side}" for name, side in sides if side]
    return [f"{formats or 'none'}, {readable_size(images.num_bytes)}", *spreads]


def _field_cells(field: Field) -> tuple[str, ...]:
    shape = " x ".join("?" if size is None else str(size) for size in field.shape)
    return (
        field.name,
        field.kind,
        shape or "-",
        np.dtype(field.dtype).name if field.dtype else "-",
        field.source_name,
    )


def _class_lines(classes: Sequence[ClassFacts]) -> list[str]:
    if not classes:
        return ["none"]
    counts = Spread.of(np.array([one.num_samples for one in classes]))
    head = f"{len(classes):,}, samples of each: {counts}"
    rows = [
        (
            str(one.label),
            one.name or "-",
            f"{one.num_samples:,}",
            "#" * round(_BAR_WIDTH * one.num_samples / max(1, counts.max)),
        )
        for one in classes[:_MAX_LINES]
    ]
    more = len(classes) - len(rows)
    return [head, *_aligned(rows), *([f"and {more:,} more"] if more else [])]


def statistics_text(statistics: ImageStatistics) -> str:
    """How many images are how large, and of which kinds: blocks to stand below a description."""
    frequent = [f"{size.width} x {size.height}: {size.num_images:,}" for size in statistics.sizes]
    more = statistics.num_sizes - len(frequent)
    blocks = [
        ("pixels", _bin_lines(statistics.pixels, lambda value: f"{value:,}")),
        ("bytes", _bin_lines(statistics.stored_bytes, readable_size)),
        (
            "sizes",
            [
                ", ".join([*frequent, *([f"and {_counted(more, 'other')}"] if more else [])])
                or "none"
            ],
        ),
        (
            "kinds",
            [
                ", ".join(f"{count:,} {trait}" for trait, count in statistics.traits.items())
                or "nothing out of the ordinary"
            ],
        ),
    ]
    return _in_blocks(blocks)


def decoders_text(decoders: DecoderUsage) -> str:
    """Which decoder takes how many images, and why: a block to stand below a description."""
    rows = [("own decoder", decoders.ours, "")]
    rows += [("libjpeg-turbo", count, reason) for reason, count in decoders.libjpeg.items()]
    rows += [("OpenCV", count, format) for format, count in decoders.others.items()]
    rows += [("none", decoders.num_unreadable, "unreadable")]
    shares = [
        (name, f"{100 * count / decoders.num_looked_at:.1f}%", why)
        for name, count, why in rows
        if count
    ]
    sampled = decoders.num_looked_at < decoders.num_images
    head = (
        [f"by the headers of {decoders.num_looked_at:,} of {decoders.num_images:,} images"]
        if sampled
        else []
    )
    odd = [f"odd but whole: {decoders.num_odd:,}"] if decoders.num_odd else []
    return _in_blocks([("decoders", [*head, *_aligned(shares), *odd])])


def _bin_lines(bins: Sequence[Bin], written: Callable[[int], str]) -> list[str]:
    most = max((one.num_images for one in bins), default=1)
    rows = [
        (
            written(one.first),
            f"{one.num_images:,}",
            "#" * math.ceil(_BAR_WIDTH * one.num_images / most),
        )
        for one in bins
    ]
    return [f"from {line}" for line in _aligned(rows)] if rows else ["none"]


def packed_text(packed: PackResult) -> str:
    """What was written, where, and how fast; what was left out; and what became of JPEGs that were to be made fast."""
    first, *others = packed.paths
    where = f"{first} and {len(others):,} more" if others else str(first)
    rate = packed.num_samples / packed.seconds if packed.seconds else 0
    summary = printable(
        f"packed {packed.num_samples:,} samples ({readable_size(packed.source_bytes)}) into {where} "
        f"({readable_size(packed.output_bytes)}) in {packed.seconds:.1f} s, {rate:,.0f} samples/s"
    )
    transcodes = [_transcodes_text(packed.transcodes)] if packed.transcodes else []
    return "\n".join([summary, *transcodes, *_rejected_lines(packed)])


def _transcodes_text(transcodes: Transcodes) -> str:
    sizes = (
        f"{readable_size(transcodes.bytes_before)} became {readable_size(transcodes.bytes_after)}"
    )
    left_alone = "".join(f"; {count:,} {reason}" for reason, count in transcodes.left_alone.items())
    return f"JPEGs: {transcodes.num_transcoded:,} made fast{f' ({sizes})' if transcodes.num_transcoded else ''}{left_alone}"


def planned_lines(packed: PackResult) -> list[str]:
    """What a dry run says."""
    where = f"{_counted(packed.num_samples, 'sample')} ({readable_size(packed.source_bytes)})"
    rows = [
        (str(one.path), f"{one.num_samples:,}", f"about {readable_size(one.num_bytes)}")
        for one in packed.planned
    ]
    files = _cut(_aligned([("file", "samples", "size"), *rows]))
    return [printable(f"would pack {where}; nothing is written"), *files, *_rejected_lines(packed)]


def _rejected_lines(packed: PackResult) -> list[str]:
    left_out = [reject for reject in packed.rejects if reject.is_left_out]
    counts = Counter(reject.reason for reject in left_out)
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
    told = f"; {packed.report} says which and why" if packed.report else ""
    lines = [f"left out {_counted(len(left_out), 'sample')}: {reasons}{told}"] if left_out else []
    if num_kept := len(packed.rejects) - len(left_out):
        lines.append(f"{_counted(num_kept, 'sample')} with the bytes of an earlier one{told}")
    return [printable(line) for line in lines]


def indexed_text(indexed: IndexResult) -> str:
    """What a sample holds, then one line: how much was indexed, how fast, and what the indexes take."""
    fields = _aligned(
        [("name", "kind", "shape", "dtype", "stored as"), *map(_field_cells, indexed.schema.fields)]
    )
    fresh = (
        f", {indexed.num_fresh:,} of the indexes were there already" if indexed.num_fresh else ""
    )
    rate = indexed.num_bytes / indexed.seconds if indexed.seconds else 0
    last = (
        f"{_counted(indexed.num_samples, 'sample')} in {_counted(len(indexed.paths), 'file')} ({readable_size(indexed.num_bytes)}) "
        f"in {indexed.seconds:.1f} s, {readable_size(int(rate))}/s; "
        f"{indexed.index_bytes / max(1, indexed.num_samples):.0f} bytes of index a sample{fresh}"
    )
    if indexed.num_with_seek_points:
        share = 100 * indexed.seek_point_bytes / max(1, indexed.num_bytes)
        last += f"\n{_counted(indexed.num_with_seek_points, 'image')} with seek points, {readable_size(indexed.seek_point_bytes)} ({share:.2f}%)"
    return "\n".join([*fields, last])


def extracted_text(extracted: ExtractResult) -> str:
    """One line: what was written, and where."""
    return printable(
        f"{_counted(extracted.num_files, 'file')} ({readable_size(extracted.num_bytes)}) in {extracted.folder}"
    )


def verified_text(verified: VerifyResult) -> str:
    """The last line of a verification, after its problems."""
    seen = f"{_counted(verified.num_samples, 'sample')} in {_counted(verified.num_files, 'file')}"
    unchecked = (
        f"; {_counted(verified.num_unchecked, 'sample')} without a checksum could be read"
        if verified.num_unchecked
        else ""
    )
    num_repeated = _counted(verified.num_repeated_keys, "sample")
    example = next(iter(verified.repeated_keys), "")
    repeated = (
        f"; {num_repeated} with the key of an earlier one, such as {example!r}"
        if verified.num_repeated_keys
        else ""
    )
    found = "sound" if verified.is_sound else _counted(len(verified.problems), "problem")
    return printable(f"{seen}: {found}{unchecked}{repeated}")


def repaired_text(repaired: RepairResult) -> str:
    """The last line of a repair, after its damages."""
    lost = f"{repaired.num_lost:,} beyond repair" if repaired.num_lost else "nothing was lost"
    size = readable_size(repaired.output_bytes)
    return printable(
        f"{_counted(repaired.num_samples, 'sample')} in {repaired.output} ({size}); {lost}"
    )


def diagnosed_text(diagnosis: Diagnosis) -> str:
    """The speed of each stage, the ceiling, and what would raise it."""
    rows = [
        ("stage", "images/s", "a second"),
        *(_stage_cells(stage, diagnosis.binding) for stage in diagnosis.stages),
    ]
    whole = f"{_counted(diagnosis.num_samples, 'image')}, {readable_size(diagnosis.num_bytes)}"
    if diagnosis.memory_bytes is not None:
        whole += f"; {readable_size(diagnosis.memory_bytes)} of memory to keep files in"
    threads = _counted(diagnosis.num_workers, "thread")
    return "\n".join(
        [
            f"{whole}; {threads}",
            *_aligned(rows),
            *([decoders_text(diagnosis.decoders)] if diagnosis.decoders else []),
            f"ceiling: {diagnosis.ceiling:,.0f} images/s, set by {diagnosis.binding}",
            *(f"- {line}" for line in diagnosis.advice),
        ]
    )


def benchmarked_text(found: Benchmark) -> str:
    """What was measured, to stand above the table of its speeds."""
    height, width = (found.size, found.size) if isinstance(found.size, int) else found.size
    return (
        f"{_counted(found.num_samples, 'image')}, {readable_size(found.num_bytes)}; crops of {height} x {width}, "
        "all from memory; below each median the slowest and the fastest round"
    )


def _stage_cells(stage: Stage, binding: str) -> tuple[str, ...]:
    mark = "  <- the narrow one" if stage.name == binding else ""
    return (
        stage.name,
        f"{stage.samples_per_second:,.0f}",
        readable_size(int(stage.bytes_per_second)) + mark,
    )


def listed_text(samples: Sequence[Listed]) -> str:
    """A line for each sample."""
    head = ("sample", "key", "label", "class", "size", "bytes", "format", "file", "record", "byte")
    return "\n".join(_aligned([head, *map(_listed_cells, samples)]))


def _listed_cells(sample: Listed) -> tuple[str, ...]:
    return (
        str(sample.number),
        sample.key or "-",
        ",".join(map(str, sample.labels)) or "-",
        ",".join(sample.class_names) or "-",
        f"{sample.width}x{sample.height}",
        str(sample.num_bytes),
        sample.format or "-",
        sample.path,
        str(sample.record),
        "-" if sample.offset is None else str(sample.offset),
    )


def readable_size(num_bytes: int) -> str:
    """A size as people write it, in the units that `parse_size` reads.

    >>> readable_size(22_690_000), readable_size(999_999), readable_size(12)
    ('22.7 MB', '1.0 MB', '12 bytes')
    """
    if num_bytes < 1000:
        return _counted(num_bytes, "byte")
    size = num_bytes / 1000
    for unit in ("kB", "MB", "GB"):
        if size < 999.95:
            return f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def printable(text: str) -> str:
    """`text` on one line, with what a terminal would obey or refuse written as escapes: names come from anybody's files."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, its cells in columns."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _cut(lines: list[str]) -> list[str]:
    more = len(lines) - _MAX_LINES
    return [*lines[:_MAX_LINES], f"and {more:,} more"] if more > 0 else lines
