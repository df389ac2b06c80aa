"""`fastpack status`."""

import dataclasses

import click

from fastpack.cli import terminal
from fastpack.cli.commands import Command
from fastpack.cli.formatting import printable
from fastpack.cli.options import json_option
from fastpack.core.plural import counted
from fastpack.core.units import readable_size
from fastpack.errors import OptionError
from fastpack.integrity.set_status import SetStatus, set_status
from fastpack.stores.store_path import as_object, is_in_store, path_at

_REMEDIES = {
    "missing": "restore them, or pack again",
    "stale": "another program replaced them; restore them, or pack again",
    "orphaned": "earlier packs left them; --clean deletes them",
    "others": "no pack of fastpack wrote them; readers ignore them beside a manifest",
}


@click.command(cls=Command)
@click.argument("url", metavar="URL")
@click.option(
    "--clean",
    is_flag=True,
    help="Delete orphaned objects, and all that an interrupted pack left.",
)
@json_option
def status(url: str, clean: bool, as_json: bool) -> None:
    """Compare a set in a store with its manifest.

    Lists committed shards, and objects that are missing, stale or orphaned; and a pack that is
    running or was interrupted. Reads no shard.

    URL is the name of the set, such as s3://bucket/train.tfrecord.
    """
    path = path_at(url)
    if not is_in_store(path):
        raise OptionError("status is for sets in stores; `fastpack verify` checks local files")
    found = set_status(as_object(path), clean=clean)
    if as_json:
        terminal.emit(dataclasses.asdict(found) | {"is_sound": found.is_sound})
    else:
        click.echo(status_text(found))
    if not found.is_sound:
        click.get_current_context().exit(terminal.EXIT_DATA)


def status_text(found: SetStatus) -> str:
    """Return a line for the set, and one for each object that is not as it should be."""
    lines = [_summary(found)]
    for kind, remedy in _REMEDIES.items():
        names = getattr(found, kind)
        if names:
            lines.append(f"{kind} ({remedy}):")
            lines += [f"  {name}" for name in names]
    if found.uploads:
        lines.append("unfinished uploads (their parts take space; --clean deletes them):")
        lines += [f"  {name}" for name in found.uploads]
    if found.uploads is None:
        lines.append("unfinished uploads in parts cannot be listed here; install boto3 for S3")
    if found.interrupted:
        remedy = "wait for it" if found.is_running else "continue it with --resume, or use --clean"
        lines.append(f"{found.interrupted}; {remedy}")
    lines += [f"deleted {name}" for name in found.removed]
    return "\n".join(map(printable, lines))


def _summary(found: SetStatus) -> str:
    if not found.has_manifest:
        return f"{found.output}: there is no manifest, so no pack was completed"
    shards = counted(len(found.committed), "shard")
    samples, size = counted(found.num_samples, "sample"), readable_size(found.num_bytes)
    return f"{found.output}: {shards} committed, {samples}, {size}"
