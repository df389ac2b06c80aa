"""PackPlan: which samples a pack will write, in which order, into which files."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.keys import spread_by_key
from fastpack.core.plural import counted
from fastpack.core.ragged import digest
from fastpack.core.schema import Schema
from fastpack.errors import (
    EmptySourceError,
    FastpackError,
    LimitError,
    Location,
    OptionError,
    SchemaError,
    with_location,
)
from fastpack.files.companions import index_path, refuse_long_names, report_path
from fastpack.files.image_folder import FirstNames
from fastpack.files.naming import data_members, num_shards_of, shard_paths
from fastpack.files.publication import staging_folder
from fastpack.formats import registry
from fastpack.formats.protocols import Container
from fastpack.packing.appending import Joined
from fastpack.packing.duplicates import duplicates
from fastpack.packing.inputs import EncodedInput, PackInput, PixelInput
from fastpack.packing.options import PackOptions
from fastpack.packing.pipeline import Pipeline, Stages
from fastpack.packing.preprocess import PreprocessedInput, with_masks_of_size
from fastpack.packing.rejects import Reject
from fastpack.packing.staging import interrupted_names
from fastpack.packing.subset import Subset, keys_of, matching, shuffled
from fastpack.packing.transcode import FastJpegs, Transcodes
from fastpack.packing.validation import Validator
from fastpack.reading.class_lists import class_list
from fastpack.reading.split import parts_of
from fastpack.sources import Source

# Estimate of the bytes that TFRecord and HDF5 add to a sample, for shard_size and dry runs.
SAMPLE_OVERHEAD_BYTES = 128
# Samples that a thread reads at once while it searches the first bad one.
_CHECKED_SAMPLES = 32
# Keys that are not paths below a folder: a part of them is empty, ".", or "..".
_NO_PATH = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|\0")
# Options that change no byte of the files.
_UNIMPORTANT = ("shards", "shard_size", "num_workers", "memory", "sync", "dry_run")


@dataclass(frozen=True)
class PackPlan:
    """A plan of the files that a pack will write.

    Args:
        source: the samples in the order of writing, through all shards of all splits.
        pack_input: reads them in the form in which they are written.
        outputs: the output of each split; one output without splits.
        output_sizes: number of samples of each output.
        paths: final names of the shards.
        cuts: first sample of each shard, and the number of samples.
        rejects: duplicates, found before any image is checked.
        report: final name of the report on rejects.
        virtual_paths: final names of the virtual datasets.
        joined: the sets that the shards are appended to.
        notes: guesses, omissions and changes, one sentence each.
        fast_jpegs: rewrites slow JPEGs, with jpeg="fast".
    """

    container: Container
    options: PackOptions
    source: Subset
    pack_input: PackInput
    outputs: tuple[Path, ...]
    output_sizes: tuple[int, ...]
    paths: tuple[Path, ...]
    cuts: tuple[int, ...]
    rejects: tuple[Reject, ...]
    report: Path
    virtual_paths: tuple[Path, ...] = ()
    joined: Joined | None = None
    notes: tuple[str, ...] = ()
    fast_jpegs: FastJpegs | None = None

    @property
    def num_samples(self) -> list[int]:
        """Number of samples of each shard."""
        return [end - first for first, end in pairwise(self.cuts)]

    @property
    def stored_sizes(self) -> npt.NDArray[np.int64]:
        """Estimated bytes of each sample's blobs in the files, (n,)."""
        return self.pack_input.sizes + self.source.sizes_beside

    @property
    def num_bytes(self) -> list[int]:
        """Estimated bytes of each shard."""
        sizes = self.stored_sizes
        return [
            int(sizes[first:end].sum()) + (end - first) * SAMPLE_OVERHEAD_BYTES
            for first, end in pairwise(self.cuts)
        ]

    def transcodes(self, shard: int) -> Transcodes | None:
        """Count the rewritten JPEGs of a shard that was written."""
        if self.fast_jpegs is None:
            return None
        return self.fast_jpegs.transcodes(*self.cuts[shard : shard + 2])

    def splits(self, left_out: Collection[int]) -> dict[str, int]:
        """Count the samples of each split, without those whose number in the source is given."""
        counts, first = {}, 0
        for name, size in zip(self.options.split, self.output_sizes, strict=False):
            numbers = self.source.numbers[first : first + size]
            counts[name] = size - int(np.isin(numbers, list(left_out)).sum())
            first += size
        return counts

    def facts(self) -> dict[str, Any]:
        """Return what must be equal to resume a pack: the source, and options that change bytes."""
        chosen = {
            each.name: repr(getattr(self.options, each.name))
            for each in fields(self.options)
            if each.name not in _UNIMPORTANT
        }
        return chosen | {
            "samples": len(self.source),
            "first samples of the shards": digest(np.array(self.cuts, np.int64)),
            "fields": self.pack_input.schema.to_json(),
            "sizes of the images": digest(self.source.sizes),
            **self.source.fingerprints(),
        }

    def rejected(self, faults: Mapping[int, FastpackError]) -> list[Reject]:
        """Make rejects of faults by row."""
        source = self.source
        return [
            Reject.of(source.number(row), source.key(row), source.location(row), error)
            for row, error in faults.items()
        ]

    def refuse_faulty(self) -> None:
        """Raise the first fault of the samples, unless bad samples are skipped.

        The source knows some faults. Samples before the first of these are read.
        """
        faults = self.source.faults
        if not faults or self.options.on_error == "skip":
            return
        validator, first = Validator(self.pack_input), min(faults)
        earlier = [
            np.arange(start, min(start + _CHECKED_SAMPLES, first))
            for start in range(0, first, _CHECKED_SAMPLES)
        ]
        stages = Stages(validator.read, lambda rows, _: None, lambda rows, _: None)
        Pipeline(earlier, stages).run()
        raise faults[first]


def plan_pack(
    source: Source,
    output: Path,
    options: PackOptions,
    *,
    append: bool = False,
    resume: bool = False,
) -> PackPlan:
    """Plan a pack; reads the first image if its size is needed.

    Raises EmptySourceError, OptionError, SchemaError, or an error of the first image.
    """
    container = _container(output, options)
    # Some of these may have their final names already.
    earlier = interrupted_names(output) if append and resume else []
    joined = Joined.of(outputs_of(output, options), earlier) if append else None
    given = class_list(options.classes)
    classes = joined.classes_for(source, given) if joined else given
    rows, rejects = _chosen(source, options)
    parts = _split(source, rows, output, options)
    chosen = np.concatenate(list(parts.values())) if options.split else rows
    subset = Subset(source, chosen, options.fields, classes)
    subset.refuse_unknown_classes()
    fast_jpegs = _fast_jpegs(options, len(subset))
    pack_input = _pack_input(container, options, subset, fast_jpegs)
    _refuse_fields(container, pack_input.schema, options)
    if joined and not options.names:  # with other names, only the written shard can be compared
        joined.refuse_fields(pack_input.schema)
    cuts, paths = _cut(parts, pack_input.sizes + subset.sizes_beside, options, append=append)
    if len(earlier) == len(paths):
        paths = [output.with_name(name) for name in earlier]
    outputs = tuple(parts)
    virtual_paths = _virtual_paths(outputs, paths, options, append=append)
    report = report_path(paths[0] if append else output)
    refuse_long_names([staging_folder(output), report, *map(index_path, (*paths, *virtual_paths))])
    output_sizes = tuple(map(len, parts.values()))
    notes = (
        *subset.notes,
        *(joined.notes_on(source) if joined and not given else ()),
        *_notes_on_keys(source, chosen, joined),
        *_notes_on_shards(options, parts),
    )
    return PackPlan(
        container,
        options,
        subset,
        pack_input,
        outputs,
        output_sizes,
        tuple(paths),
        tuple(cuts),
        tuple(rejects),
        report,
        virtual_paths,
        joined,
        notes,
        fast_jpegs,
    )


def _fast_jpegs(options: PackOptions, num_samples: int) -> FastJpegs | None:
    if options.jpeg != "fast":
        return None
    return FastJpegs(num_samples, strip=options.metadata == "strip", limits=options.limits)


def _notes_on_shards(options: PackOptions, parts: Mapping[Path, Rows]) -> tuple[str, ...]:
    """Report outputs that get fewer shards than were asked for."""
    shards = options.shards or 0
    return tuple(
        f"{path.name} gets {counted(len(part), 'shard')} instead of {shards:,},"
        f" since there {'is' if len(part) == 1 else 'are'} only {counted(len(part), 'sample')};"
        " give fewer shards"
        for path, part in parts.items()
        if len(part) < shards
    )


def _notes_on_keys(source: Source, rows: Rows, joined: Joined | None) -> tuple[str, ...]:
    """Report keys that `extract` will refuse: not paths, or already in the set."""
    keys = keys_of(source)
    if keys is None:
        return ()
    chosen = keys.take(rows)
    odd = FirstNames.of([key for key in chosen if _NO_PATH.search(key)])
    known = joined.known_keys(chosen) if joined else FirstNames()
    notes = []
    if odd.count:
        are = "is not a path" if odd.count == 1 else "are not paths"
        what = f"{odd.counted('key')} {are} below a folder"
        notes.append(f"{what}, so `extract` can only write a .tar: {odd}")
    if known.count:
        are = "is" if known.count == 1 else "are"
        what = f"{known.counted('key')} {are} in the set already"
        notes.append(f"{what}; `extract` accepts that only for equal images: {known}")
    return tuple(notes)


def outputs_of(output: Path, options: PackOptions) -> list[Path]:
    """Return the output of each split; the output itself without splits."""
    if not options.split:
        return [output]
    return [output.with_name(f"{output.stem}-{name}{output.suffix}") for name in options.split]


def _cut(
    parts: Mapping[Path, Rows], sizes: npt.NDArray[np.int64], options: PackOptions, *, append: bool
) -> tuple[list[int], list[Path]]:
    """Cut each output into shards: first samples and the number of samples; names of shards."""
    cuts, paths = [0], list[Path]()
    is_numbered = options.write.is_numbered
    for name, part in parts.items():
        ends = _shard_ends(sizes[cuts[-1] : cuts[-1] + len(part)], options)
        num_before = num_shards_of(name) if append else 0
        paths += shard_paths(name, len(ends), num_before=num_before, is_numbered=is_numbered)
        cuts += [cuts[-1] + end for end in ends]
    return cuts, paths


def _virtual_paths(
    outputs: Sequence[Path], paths: Sequence[Path], options: PackOptions, *, append: bool
) -> tuple[Path, ...]:
    """Return the virtual datasets to write: those asked for, and existing ones to update.

    Raises OptionError if a file of samples has the name of a virtual dataset.
    """
    found = []
    for output in outputs:
        is_there = append and output.is_file()
        is_data = output in paths or (is_there and output in data_members(output))
        if is_data and is_there and options.virtual:
            message = "the set's first file has the name of the virtual dataset"
            remedy = "pack it with shards=1 first, or leave virtual out"
            raise OptionError(with_location(f"{message}; {remedy}", Location(output)))
        if not is_data and (options.virtual or is_there):
            found.append(output)
    return tuple(found)


def _refuse_fields(container: Container, schema: Schema, options: PackOptions) -> None:
    """Raise for fields that a reader could not read back."""
    most = options.limits.max_features
    if len(schema.fields) + bool(schema.class_names) > most:
        message = f"a sample has {len(schema.fields)} fields, but readers accept at most {most}"
        raise LimitError(f"{message} (max_features); choose some with fields=...")
    container.refuse_fields(schema)
    files = [blob.name for blob in schema.blobs if blob.kind != "pixels"]
    if options.virtual and files:
        message = f"a virtual dataset shows pixels and columns, not the files of {files[0]!r}"
        raise SchemaError(f"{message}; leave them out with fields=...")


def _chosen(source: Source, options: PackOptions) -> tuple[Rows, list[Reject]]:
    """Return the numbers of the chosen samples, in order, and the duplicates."""
    if len(source) == 0:
        raise EmptySourceError("the source has no samples; there is nothing to pack")
    rows = matching(source, options.include, options.exclude)
    rejects: list[Reject] = []
    if options.duplicates != "keep":
        first_of = duplicates(source, rows)
        rejects = _duplicate_rejects(source, first_of, kept=options.duplicates == "report")
        if options.duplicates == "drop":
            rows = rows[~np.isin(rows, list(first_of))]
    if len(rows) == 0:
        message = "no sample is left; check include and exclude, which match whole keys"
        raise EmptySourceError(message)
    return (rows if options.shuffle_seed is None else shuffled(rows, options.shuffle_seed)), rejects


def _duplicate_rejects(source: Source, first_of: Mapping[int, int], *, kept: bool) -> list[Reject]:
    keys, location = keys_of(source), source.location
    return [
        Reject.duplicate(
            number,
            None if keys is None else keys[number],
            location(number),
            location(first),
            kept=kept,
        )
        for number, first in first_of.items()
    ]


def _split(source: Source, rows: Rows, output: Path, options: PackOptions) -> dict[Path, Rows]:
    """Return the numbers of the samples of each output."""
    if not options.split:
        return {output: rows}
    if (keys := keys_of(source)) is None:
        raise OptionError("a split needs keys, and the samples have none; give the source keys")
    parts = parts_of(spread_by_key(keys, 0)[rows], options.split)
    found = {path: rows[parts == part] for part, path in enumerate(outputs_of(output, options))}
    for path, part in found.items():
        if len(part) == 0:
            message = "no sample falls into this split; give it a larger part, or more samples"
            raise EmptySourceError(with_location(message, Location(path)))
    return found


def _container(output: Path, options: PackOptions) -> Container:
    if options.format is not None:
        return registry.named(options.format)
    if (container := registry.of_suffix(output)) is None:
        message = f"the ending of {output.name!r} is not that of a format"
        raise OptionError(f"{message}; use .tfrecord, .h5 or .tar, or give a format")
    return container


def _pack_input(
    container: Container, options: PackOptions, source: Source, fast_jpegs: FastJpegs | None
) -> PackInput:
    if not _wants_pixels(container, options, source):
        pack_input = EncodedInput(source, options.names, options.limits)
        preprocess = options.images.preprocess
        if not preprocess.is_needed and fast_jpegs is None:
            return pack_input
        return PreprocessedInput(pack_input, source, preprocess, fast_jpegs)
    decoding = options.images.decoding
    pixels = PixelInput(source, options.names, options.size, decoding, options.bits)
    return pixels if options.size is None else with_masks_of_size(pixels, source, options.limits)


def _wants_pixels(container: Container, options: PackOptions, source: Source) -> bool:
    is_decoded = options.images.is_decoded
    registry.refuse_layout(container, "pixels" if is_decoded else options.layout)
    if not is_decoded:
        return False
    image_field = source.schema.image_field
    if image_field is not None and image_field.kind == "pixels" and options.size is not None:
        message = "the source holds pixels, not image files; pack it without a size"
        raise OptionError(f"{message}, or pack the image files")
    return image_field is not None and image_field.kind == "image"


def _shard_ends(sizes: npt.NDArray[np.int64], options: PackOptions) -> list[int]:
    """Return the end of each shard of samples of these bytes."""
    num_samples, limit = len(sizes), options.write.shard_bytes
    if limit is None:
        shards = min(options.shards or 1, num_samples)
        return [num_samples * (shard + 1) // shards for shard in range(shards)]

    ends = np.cumsum(sizes + SAMPLE_OVERHEAD_BYTES)
    cuts = [0]
    while cuts[-1] < num_samples:
        done = int(ends[cuts[-1] - 1]) if cuts[-1] else 0
        # A sample larger than the limit gets a shard of its own.
        cuts.append(max(cuts[-1] + 1, int(np.searchsorted(ends, done + limit, side="right"))))
    return cuts[1:]
