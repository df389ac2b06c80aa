"""PackPlan: what a pack will write: which samples, from where, in which order, into which files."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.keys import spread_by_key
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
from fastpack.files.sizes import parse_size
from fastpack.formats import registry
from fastpack.formats.protocols import Container
from fastpack.images.decode import DecodeOptions
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

# What TFRecord and HDF5 add to a sample; for --shard-size and for the sizes of a dry run.
SAMPLE_OVERHEAD_BYTES = 128
# Samples that a thread reads at a time when it looks for the first bad one.
_LOOKED_AT = 32
# Keys that are not paths below a folder: a part of them is empty, ".", or "..".
_NO_PATH = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|\0")
# Options that change no byte of what is written.
_UNIMPORTANT = ("shards", "shard_size", "num_workers", "memory", "sync", "dry_run")


@dataclass(frozen=True)
class PackPlan:
    """What a pack will write.

    - source: the samples in the order in which they are written, all shards of all splits one after the other.
    - pack_input: gives them as they are to be written.
    - fast_jpegs: makes slow JPEGs fast on the way, if that was asked for.
    - outputs: the path that each split was to be written to; one where nothing is split.
    - virtual_paths: the final names of files that show the shards of an output as one.
    - joined: the sets that the shards are appended to.
    - notes: what was guessed about the source, left out of it or changed in it, a sentence each.
    - paths, cuts: the final names of the shards; first sample of each, and the number of samples.
    - rejects: what is left out whatever its bytes: duplicates.
    - report: where it is told what was left out.
    """

    container: Container
    options: PackOptions
    source: Subset
    pack_input: PackInput
    outputs: tuple[Path, ...]
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
        """Of each shard."""
        return [end - first for first, end in pairwise(self.cuts)]

    @property
    def stored_sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each sample's blobs as they are written, (n,), about."""
        return self.pack_input.sizes + self.source.sizes_beside

    @property
    def num_bytes(self) -> list[int]:
        """Of each shard, about."""
        sizes = self.stored_sizes
        return [
            int(sizes[first:end].sum()) + (end - first) * SAMPLE_OVERHEAD_BYTES
            for first, end in pairwise(self.cuts)
        ]

    def transcodes(self, shard: int) -> Transcodes | None:
        """Of a shard that was written."""
        return (
            self.fast_jpegs.transcodes(*self.cuts[shard : shard + 2])
            if self.fast_jpegs is not None
            else None
        )

    def facts(self) -> dict[str, Any]:
        """What must be the same for an interrupted pack to go on: source and options, but for those that change no byte."""
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
        """`faults`: rows of the supply, and what is wrong with them."""
        source = self.source
        return [
            Reject.of(source.number(row), source.key(row), source.location(row), error)
            for row, error in faults.items()
        ]

    def refuse_faulty(self) -> None:
        """Where nothing may be skipped: raises what is known to be wrong, or what is wrong with a sample before that one, before
        anything is written."""
        faults = self.source.faults
        if not faults or self.options.on_error == "skip":
            return
        validator, first = Validator(self.pack_input), min(faults)
        earlier = [
            np.arange(start, min(start + _LOOKED_AT, first))
            for start in range(0, first, _LOOKED_AT)
        ]
        Pipeline(
            earlier,
            Stages(
                lambda rows: validator.read(rows)[1], lambda rows, _: None, lambda rows, _: None
            ),
        ).run()
        raise faults[first]


def plan_pack(
    source: Source,
    output: Path,
    options: PackOptions,
    *,
    append: bool = False,
    resume: bool = False,
) -> PackPlan:
    """Raises EmptySourceError, OptionError, SchemaError or what the first sample meets, when its size is needed."""
    container = _container(output, options)
    earlier = (
        interrupted_names(output) if append and resume else []
    )  # some of them may have taken their names already
    joined = Joined.of(outputs_of(output, options), earlier) if append else None
    given = class_list(options.classes)
    classes = joined.classes_for(source, given) if joined else given
    rows, rejects = _chosen(source, options)
    parts = _split(source, rows, output, options)
    chosen = np.concatenate(list(parts.values())) if options.split else rows
    subset = Subset(source, chosen, options.fields, classes)
    subset.refuse_unknown_classes()
    strip = options.metadata == "strip"
    fast_jpegs = (
        FastJpegs(len(subset), strip=strip, limits=options.limits)
        if options.jpeg == "fast"
        else None
    )
    pack_input = _pack_input(container, options, subset, fast_jpegs)
    _refuse_fields(container, pack_input.schema, options)
    if joined and not options.names:  # else only what is written tells what a reader will find
        joined.refuse_fields(pack_input.schema)
    cuts, paths = _cut(parts, pack_input.sizes + subset.sizes_beside, options, append=append)
    if len(earlier) == len(paths):
        paths = [output.with_name(name) for name in earlier]
    outputs = tuple(parts)
    virtual_paths = _virtual_paths(outputs, paths, options, append=append)
    report = report_path(paths[0] if append else output)
    refuse_long_names([staging_folder(output), report, *map(index_path, (*paths, *virtual_paths))])
    return PackPlan(
        container,
        options,
        subset,
        pack_input,
        outputs,
        tuple(paths),
        tuple(cuts),
        tuple(rejects),
        report,
        virtual_paths,
        joined,
        (
            *subset.notes,
            *(joined.notes_on(source) if joined and not given else ()),
            *_notes_on_keys(source, chosen, joined),
        ),
        fast_jpegs,
    )


def _notes_on_keys(source: Source, rows: Rows, joined: Joined | None) -> tuple[str, ...]:
    """What extract will refuse: keys that are not paths, and other images of a key that is there."""
    keys = keys_of(source)
    if keys is None:
        return ()
    chosen = keys.take(rows)
    odd = FirstNames.of([key for key in chosen if _NO_PATH.search(key)])
    known = joined.known_keys(chosen) if joined else FirstNames()
    said = f"{odd.counted('key')} that are not paths below a folder, so that only a .tar can be extracted: {odd}"
    again = f"{known.counted('key')} that the set has already; extract takes a key twice only with the same image: {known}"
    return (*([said] if odd.count else []), *([again] if known.count else []))


def outputs_of(output: Path, options: PackOptions) -> list[Path]:
    """The path that each split is written to; the output itself where nothing is split."""
    return [output.with_name(f"{output.stem}-{name}{output.suffix}") for name in options.split] or [
        output
    ]


def _cut(
    parts: Mapping[Path, Rows], sizes: npt.NDArray[np.int64], options: PackOptions, *, append: bool
) -> tuple[list[int], list[Path]]:
    """First sample of each shard and the number of samples; the shards' names."""
    cuts, paths = [0], list[Path]()
    is_numbered = options.shards is not None or options.shard_size is not None
    for name, part in parts.items():
        ends = _shard_ends(sizes[cuts[-1] : cuts[-1] + len(part)], options)
        num_before = num_shards_of(name) if append else 0
        paths += shard_paths(name, len(ends), num_before=num_before, is_numbered=is_numbered)
        cuts += [cuts[-1] + end for end in ends]
    return cuts, paths


def _virtual_paths(
    outputs: Sequence[Path], paths: Sequence[Path], options: PackOptions, *, append: bool
) -> tuple[Path, ...]:
    """A virtual dataset that is there is kept up to date. Raises OptionError where samples lie under its name."""
    found = []
    for output in outputs:
        is_there = append and output.is_file()
        is_data = output in paths or (is_there and output in data_members(output))
        if is_data and is_there and options.virtual:
            message = "the set's first file has the name that a virtual dataset would get; pack it with shards=1 first, or leave the virtual dataset out"
            raise OptionError(with_location(message, Location(output)))
        if not is_data and (options.virtual or is_there):
            found.append(output)
    return tuple(found)


def _refuse_fields(container: Container, schema: Schema, options: PackOptions) -> None:
    """Raises for what could be written, and then not be read as it was."""
    most = options.limits.max_features
    if len(schema.fields) + bool(schema.class_names) > most:
        message = f"a sample has {len(schema.fields)} fields, and readers take at most {most} (max_features)"
        raise LimitError(f"{message}; choose some with fields=...")
    container.refuse_fields(schema)
    files = [blob.name for blob in schema.blobs if blob.kind != "pixels"]
    if options.virtual and files:
        raise SchemaError(
            f"a virtual dataset shows pixels and columns, not the files of {files[0]!r}; leave them out with fields=..."
        )


def _chosen(source: Source, options: PackOptions) -> tuple[Rows, list[Reject]]:
    """Numbers of the samples, in order; and the duplicates that are left out."""
    if len(source) == 0:
        raise EmptySourceError("the source has no samples; there is nothing to pack")
    rows = matching(source, options.include, options.exclude)
    rejects: list[Reject] = []
    if options.duplicates != "keep":
        first_of = duplicates(source, rows)
        keys = keys_of(source)
        for number, first in first_of.items():
            key = None if keys is None else keys[number]
            kept = options.duplicates == "report"
            rejects.append(
                Reject.duplicate(
                    number, key, source.location(number), source.location(first), kept=kept
                )
            )
        if options.duplicates == "drop":
            rows = rows[~np.isin(rows, list(first_of))]
    if len(rows) == 0:
        raise EmptySourceError(
            "no sample is left; look at include and exclude, which are compared with whole keys"
        )
    return (rows if options.shuffle_seed is None else shuffled(rows, options.shuffle_seed)), rejects


def _split(source: Source, rows: Rows, output: Path, options: PackOptions) -> dict[Path, Rows]:
    """Where each split goes, and the numbers of its samples."""
    if not options.split:
        return {output: rows}
    if (keys := keys_of(source)) is None:
        raise OptionError(
            "a split looks at the samples' keys, and these have none; give keys to the source"
        )
    parts = parts_of(spread_by_key(keys, 0)[rows], options.split)
    found = {path: rows[parts == part] for part, path in enumerate(outputs_of(output, options))}
    for path, part in found.items():
        if len(part) == 0:
            raise EmptySourceError(
                with_location(
                    "no sample falls into this split; give it a larger part, or more samples",
                    Location(path),
                )
            )
    return found


def _container(output: Path, options: PackOptions) -> Container:
    if options.format is not None:
        return registry.named(options.format)
    if (container := registry.of_suffix(output)) is None:
        raise OptionError(
            f"the name {output.name!r} does not say a format; end it in .tfrecord, .h5 or .tar, or give a format"
        )
    return container


def _pack_input(
    container: Container, options: PackOptions, source: Source, fast_jpegs: FastJpegs | None
) -> PackInput:
    if not _wants_pixels(container, options, source):
        pack_input = EncodedInput(source, options.names, options.limits)
        is_altered = options.preprocess.is_needed or fast_jpegs is not None
        return (
            PreprocessedInput(pack_input, source, options.preprocess, fast_jpegs)
            if is_altered
            else pack_input
        )
    decoding = DecodeOptions(options.color, limits=options.limits, alpha=options.alpha)
    pixels = PixelInput(source, options.names, options.size, decoding, options.bits)
    return pixels if options.size is None else with_masks_of_size(pixels, source, options.limits)


def _wants_pixels(container: Container, options: PackOptions, source: Source) -> bool:
    registry.refuse_layout(container, "pixels" if options.is_decoded else options.layout)
    if not options.is_decoded:
        return False
    image_field = source.schema.image_field
    if image_field is not None and image_field.kind == "pixels" and options.size is not None:
        raise OptionError(
            "the source holds pixels, not image files; pack it without a size, or pack the image files"
        )
    return image_field is not None and image_field.kind == "image"


def _shard_ends(sizes: npt.NDArray[np.int64], options: PackOptions) -> list[int]:
    """Where each shard of some samples ends."""
    num_samples = len(sizes)
    if options.shard_size is None:
        shards = min(options.shards or 1, num_samples)
        return [num_samples * (shard + 1) // shards for shard in range(shards)]
    limit = parse_size(options.shard_size)
    ends = np.cumsum(sizes + SAMPLE_OVERHEAD_BYTES)
    cuts = [0]
    while cuts[-1] < num_samples:
        done = int(ends[cuts[-1] - 1]) if cuts[-1] else 0
        # A sample larger than the limit gets a shard of its own.
        cuts.append(max(cuts[-1] + 1, int(np.searchsorted(ends, done + limit, side="right"))))
    return cuts[1:]
