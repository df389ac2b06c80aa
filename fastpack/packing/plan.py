"""PackPlan: which samples a pack will write, in which order, into which files."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.ragged import digest
from fastpack.core.schema import Schema
from fastpack.errors import (
    FastpackError,
    LimitError,
    OptionError,
    SchemaError,
)
from fastpack.files.companions import index_path, refuse_long_names, report_path
from fastpack.files.name_summary import NameSummary
from fastpack.files.publication import staging_folder
from fastpack.formats import registry
from fastpack.formats.protocols import Container
from fastpack.packing.appending import Joined
from fastpack.packing.choice import choose, outputs_of
from fastpack.packing.inputs import EncodedInput, PackInput, PixelInput
from fastpack.packing.options import PackOptions
from fastpack.packing.pipeline import Pipeline, Stages
from fastpack.packing.preprocess import PreprocessedInput, with_masks_of_size
from fastpack.packing.rejects import Reject
from fastpack.packing.shards import SAMPLE_OVERHEAD_BYTES, cut, notes_on_shards, virtual_paths
from fastpack.packing.staging import interrupted_names
from fastpack.packing.subset import Subset, keys_of
from fastpack.packing.transcode import FastJpegs, Transcodes
from fastpack.packing.validation import Validator
from fastpack.reading.class_lists import class_list
from fastpack.sources import Source

# Samples that a thread reads at once while it searches the first bad one.
_CHECKED_SAMPLES = 32
# Keys that are not paths below a folder: a part of them is empty, ".", or "..".
_NO_PATH = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|\0")
# Options that change no byte of the files.
_UNIMPORTANT = ("shards", "shard_size", "num_workers", "memory", "sync", "scratch", "dry_run")


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
        """Count the samples of each split, without these numbers of the source."""
        if not self.options.split:
            return {}
        is_left_out = np.isin(self.source.numbers, list(left_out))
        counts, first = {}, 0
        for name, size in zip(self.options.split, self.output_sizes, strict=False):
            counts[name] = size - int(is_left_out[first : first + size].sum())
            first += size
        return counts

    def facts(self) -> dict[str, Any]:
        """Return the facts about source and options that must be equal to resume."""
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
    joined = Joined.of(outputs_of(output, options.select), earlier) if append else None
    given = class_list(options.classes)
    classes = joined.classes_for(source, given) if joined else given
    choice = choose(source, output, options.select)
    subset = Subset(source, choice.rows, options.fields, classes)
    subset.refuse_unknown_classes()
    fast_jpegs = _fast_jpegs(options, len(subset))
    pack_input = _pack_input(container, options, subset, fast_jpegs)
    _refuse_fields(container, pack_input.schema, options)
    if joined and not options.names:  # with other names, only the written shard can be compared
        joined.refuse_fields(pack_input.schema)
    num_samples = {path: len(part) for path, part in choice.parts.items()}
    sizes = pack_input.sizes + subset.sizes_beside
    cuts, paths = cut(num_samples, sizes, options.write, append=append)
    if len(earlier) == len(paths):
        paths = [output.with_name(name) for name in earlier]
    outputs = tuple(num_samples)
    virtual = virtual_paths(outputs, paths, virtual=options.virtual, append=append)
    report = report_path(paths[0] if append else output)
    refuse_long_names([staging_folder(output), report, *map(index_path, (*paths, *virtual))])
    notes = (
        *subset.notes,
        *(joined.notes_on(source) if joined and not given else ()),
        *_notes_on_keys(source, choice.rows, joined),
        *notes_on_shards(num_samples, options.write),
    )
    return PackPlan(
        container,
        options,
        subset,
        pack_input,
        outputs,
        tuple(num_samples.values()),
        tuple(paths),
        tuple(cuts),
        choice.rejects,
        report,
        virtual,
        joined,
        notes,
        fast_jpegs,
    )


def _fast_jpegs(options: PackOptions, num_samples: int) -> FastJpegs | None:
    if options.jpeg != "fast":
        return None
    return FastJpegs(num_samples, strip=options.metadata == "strip", limits=options.limits)


def _notes_on_keys(source: Source, rows: Rows, joined: Joined | None) -> tuple[str, ...]:
    """Report keys that `extract` will refuse: not paths, or already in the set."""
    keys = keys_of(source)
    if keys is None:
        return ()
    chosen = keys.take(rows)
    odd = NameSummary.of([key for key in chosen if _NO_PATH.search(key)])
    known = joined.known_keys(chosen) if joined else NameSummary()
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
