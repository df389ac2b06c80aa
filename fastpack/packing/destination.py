"""Destination: where a pack writes, a local folder or a store.

A pack is planned for local files. Those of a store are in a scratch folder, and become objects.
"""

import hashlib
import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fastpack.errors import (
    FastpackWarning,
    Location,
    OptionError,
    OutputExistsError,
    with_location,
)
from fastpack.files.file_names import local_path_of, path_of
from fastpack.files.naming import Member
from fastpack.files.publication import complete_pending
from fastpack.formats.index.index import Index
from fastpack.formats.set_manifest import save_set_manifest
from fastpack.packing.choice import outputs_of
from fastpack.packing.options import PackOptions
from fastpack.packing.plan import PackPlan
from fastpack.packing.rejects import Reject
from fastpack.packing.staging import Staging
from fastpack.packing.store_set import StoreSet
from fastpack.packing.store_staging import StoreStaging
from fastpack.packing.transcode import Transcodes
from fastpack.stores.probe import Probed, probe
from fastpack.stores.store_path import StorePath, as_object, as_path, is_in_store, path_at

_SCRATCH = "fastpack-"


@dataclass(frozen=True)
class Mode:
    """How a pack treats an existing output; see `pack`."""

    overwrite: bool = False
    append: bool = False
    resume: bool = False


@dataclass(frozen=True)
class Written:
    """The files of a pack: the shards, their bytes in all, the report, and notes on names."""

    paths: tuple[Path, ...]
    num_bytes: int
    report: Path
    notes: tuple[str, ...] = ()


class Stage(Protocol):
    """The files of one pack until all are complete; see Staging."""

    def __enter__(self) -> Any: ...
    def __exit__(self, *error: Any) -> None: ...
    def path(self, number: int) -> Path: ...
    def staged(self, final: Path) -> Path: ...
    def is_finished(self, number: int) -> bool: ...
    def begin(self, number: int) -> None: ...
    def require_space(self, num_bytes: Sequence[int]) -> None: ...
    def publish(self, rejects: Sequence[Reject] = ()) -> None: ...
    def finish(
        self,
        number: int,
        index: Index,
        rejects: Sequence[Reject] = (),
        transcodes: Transcodes | None = None,
    ) -> None: ...
    @property
    def is_published(self) -> bool: ...
    @property
    def rejects(self) -> list[Reject]: ...
    @property
    def transcodes(self) -> Transcodes | None: ...


class Destination(Protocol):
    """Where a pack writes.

    `local` is the output as a local file, for which the pack is planned.
    """

    local: Path

    def refuse_missing_folder(self) -> None:
        """Raise OptionError if a local folder that is needed does not exist."""
        ...

    def check(self) -> None:
        """Raise FastpackError if nothing can be written there. Writes nothing in a dry run."""
        ...

    def prepare(self) -> None:
        """Complete what an earlier pack began."""
        ...

    def final(self, path: Path) -> Path:
        """Return the final name of a file of the plan, if no other file has it."""
        ...

    def stage(self, plan: PackPlan) -> Stage:
        """Return the place where the files of a plan are made."""
        ...

    def written(self, plan: PackPlan) -> Written:
        """Return what a complete pack wrote."""
        ...


class LocalDestination(Destination):
    """A local folder.

    Args:
        output: the output.
        options: of the pack.
        mode: of the pack.
    """

    def __init__(self, output: Path, options: PackOptions, mode: Mode) -> None:
        self.local, self._options, self._mode = output, options, mode

    def refuse_missing_folder(self) -> None:
        if not self.local.parent.is_dir():
            message = "the output's folder does not exist; make it first"
            raise OptionError(with_location(message, Location(self.local.parent)))

    def check(self) -> None:
        if self._options.scratch is not None:
            raise OptionError("scratch is for an output in a store; leave it out")
        self.refuse_missing_folder()

    def prepare(self) -> None:
        outputs = outputs_of(self.local, self._options.select)
        complete_pending(self.local, outputs, sync=self._options.sync)

    def final(self, path: Path) -> Path:
        return path

    def stage(self, plan: PackPlan) -> Staging:
        return Staging(
            self.local,
            plan.paths,
            plan.facts(),
            outputs=plan.outputs,
            virtual_paths=plan.virtual_paths,
            report=plan.report,
            append=self._mode.append,
            resume=self._mode.resume,
            overwrite=self._mode.overwrite,
            sync=self._options.sync,
        )

    def written(self, plan: PackPlan) -> Written:
        for output in plan.outputs:
            save_set_manifest(output)
        return Written(plan.paths, sum(path.stat().st_size for path in plan.paths), plan.report)


class StoreDestination(Destination):
    """A folder in a store.

    Args:
        output: the output.
        options: of the pack.
        mode: of the pack.
    """

    def __init__(self, output: StorePath, options: PackOptions, mode: Mode) -> None:
        self._output, self._options, self._mode = output, options, mode
        self._probed = Probed(True, 0.0)
        self._stage: StoreStaging | None = None
        self._above = _scratch_parent(options)
        self.local = self._above / output.name

    def refuse_missing_folder(self) -> None:
        if not self._above.is_dir():
            message = "the scratch folder does not exist; make it first"
            raise OptionError(with_location(message, Location(self._above)))

    def check(self) -> None:
        self._refuse_options()
        self.refuse_missing_folder()
        if self._options.dry_run:
            self._output.store.list_folder(self._output.parent.prefix)
            return
        self._probed = probe(self._output.parent)
        if not self._probed.honors_conditions:
            message = "this store ignores conditional writes, so two packs at once may mix"
            remedy = "run one pack to an output at a time"
            text = with_location(f"{message}; {remedy}", Location(self._output))
            warnings.warn(text, FastpackWarning, stacklevel=3)
        if not self._mode.overwrite and not self._mode.resume:
            self._refuse_existing()

    def _refuse_options(self) -> None:
        output, options = self._output, self._options
        if not output.name:
            message = "this URL has no name for the output; add one, such as /train.tfrecord"
            raise OptionError(with_location(message, Location(output)))
        if (member := Member.of(Path(output.name))) is not None:
            message = f"{output.name} is the name of a shard; name the set, {member.output.name}"
            raise OptionError(with_location(message, Location(output)))
        if self._mode.append:
            message = "append is for local files; pack to another name, and open both"
            raise OptionError(with_location(message, Location(output)))
        if options.virtual:
            message = "a virtual dataset names local files; leave virtual out"
            raise OptionError(with_location(message, Location(output)))

    def _refuse_existing(self) -> None:
        """Raise OutputExistsError before any work, for a set with a manifest."""
        for local in outputs_of(self.local, self._options.select):
            each = StoreSet(self._output.with_name(local.name))
            if each.manifest.is_file() or each.path.is_file():
                message = "the output exists already; ask for overwrite, or choose another name"
                raise OutputExistsError(with_location(message, Location(each.path)))

    def prepare(self) -> None:
        pass  # StoreStaging completes what an earlier pack began, under its claim

    def final(self, path: Path) -> Path:
        return as_path(self._output.with_name(path.name))

    def stage(self, plan: PackPlan) -> StoreStaging:
        self._stage = StoreStaging(
            self._output,
            scratch_folder(self._output, self._options),
            plan.paths,
            plan.num_bytes,
            plan.facts(),
            outputs=[path.name for path in plan.outputs],
            report=plan.report.name,
            probed=self._probed,
            resume=self._mode.resume,
            overwrite=self._mode.overwrite,
            sync=self._options.sync,
        )
        return self._stage

    def written(self, plan: PackPlan) -> Written:
        assert self._stage is not None
        paths = tuple(map(as_path, self._stage.final_paths))
        report = self.final(plan.report)
        return Written(paths, self._stage.num_bytes, report, self._stage.notes)


def destination_of(output: Any, options: PackOptions, mode: Mode) -> Destination:
    """Return the destination of an output: a path, a URL or a StorePath."""
    output = path_at(output)
    if is_in_store(output):
        return StoreDestination(as_object(output), options, mode)
    return LocalDestination(path_of("output", output), options, mode)


def _scratch_parent(options: PackOptions) -> Path:
    given = tempfile.gettempdir() if options.scratch is None else options.scratch
    return local_path_of("scratch", given)


def scratch_folder(output: StorePath, options: PackOptions) -> Path:
    """Return the scratch folder that only packs of this user to this output have."""
    digest = hashlib.blake2b(str(output).encode(), digest_size=8).hexdigest()
    return _scratch_parent(options) / f"{_SCRATCH}{os.getuid()}-{digest}"


def unpacking_folder(output: Path, options: PackOptions) -> Path:
    """Return the folder for decompressed files of a conversion."""
    if is_in_store(output):
        scratch = scratch_folder(as_object(output), options)
        return scratch.with_name(f"{scratch.name}.unpacked")
    return output.with_name(f".{output.name}.unpacked")
