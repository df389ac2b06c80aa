"""What commands share with the terminal: errors on one line, results on stdout, progress on stderr."""

import contextlib
import json
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import click

from fastpack.cli.text import printable, readable_size
from fastpack.cli.words import in_cli_words
from fastpack.core.progress import Progress
from fastpack.errors import (
    FastpackError,
    FastpackWarning,
    OptionError,
    OutputExistsError,
    PlanChangedError,
    StagingBusyError,
)

EXIT_DATA, EXIT_USAGE, EXIT_SKIPPED, EXIT_INTERRUPTED = 1, 2, 3, 130
# What the user asked for makes no sense, whatever the data.
_USAGE_ERRORS = (OptionError, OutputExistsError, PlanChangedError, StagingBusyError)
EPILOG = """\b
Exit status:
  0    all is well
  1    the data cannot be used, `verify` found problems, or `repair`
       could not save all
  2    the command cannot be obeyed: an unknown option, a bad value,
       an input that is not there, an output that is there already
  3    `pack` wrote its files, and left out samples that --on-error skip
       or --dedupe told it to: the report names them
  130  interrupted; nothing half-written stands under a final name"""


class Commands(click.Group):
    """Turns what a command raises into one line on stderr, an exit status and, with --json, an object on stdout."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Looked for by hand: the error may be that the options cannot be parsed.
        ctx.meta["json"] = "--json" in args
        with _errors_told(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with _errors_told(ctx), _notes_told(ctx):
            return super().invoke(ctx)


@contextlib.contextmanager
def _errors_told(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        _emit_error(ctx, error, error.format_message())
        raise  # click prints the usage
    except FastpackError as error:
        message = in_cli_words(
            str(error.args[-1]), _invoked(ctx)
        )  # an OSError's own text would begin with its number
        _emit_error(ctx, error, message)
        click.echo(f"fastpack: {printable(message)}", err=True)
        _tell_notes(error, ctx)
        ctx.exit(EXIT_USAGE if isinstance(error, _USAGE_ERRORS) else EXIT_DATA)
    except KeyboardInterrupt as error:
        _emit_error(ctx, error, "interrupted")
        click.echo("fastpack: interrupted", err=True)
        _tell_notes(error, ctx)
        ctx.exit(EXIT_INTERRUPTED)


def _invoked(ctx: click.Context) -> click.Command | None:
    """The command that the group was asked for."""
    name = ctx.invoked_subcommand
    return (
        ctx.command.get_command(ctx, name)
        if name and isinstance(ctx.command, click.Group)
        else None
    )


@contextlib.contextmanager
def _notes_told(ctx: click.Context) -> Iterator[None]:
    """Prints each note of the library once, as a line on stderr: not where in the code it was found."""
    told, show = set[str](), warnings.showwarning

    def tell(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
        if not issubclass(category, FastpackWarning):
            show(message, category, *where, **options)
        elif str(message) not in told:
            told.add(str(message))
            click.echo(
                f"fastpack: {printable(in_cli_words(str(message), _invoked(ctx)))}", err=True
            )

    with warnings.catch_warnings():
        warnings.simplefilter("always", FastpackWarning)
        warnings.showwarning = tell
        yield


def _tell_notes(error: BaseException, ctx: click.Context) -> None:
    """What is kept for a pack that resumes, say."""
    for note in getattr(error, "__notes__", ()):
        click.echo(f"fastpack: {printable(in_cli_words(note, _invoked(ctx)))}", err=True)


def _emit_error(ctx: click.Context, error: BaseException, message: str) -> None:
    if ctx.meta["json"]:
        emit({"error": message, "error_type": type(error).__name__})


def emit(facts: dict[str, Any]) -> None:
    # JSON's escapes carry names that are no UTF-8 or that a terminal would obey.
    click.echo(json.dumps(facts, default=str, indent=2))


@contextlib.contextmanager
def progress(description: str, quiet: bool) -> Iterator[Progress]:
    """Show a bar on stderr if that is a terminal. Yields the function that moves it."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, num_bytes: None
        return
    import rich.progress
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[done]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None, done="")
        yield lambda done, total, num_bytes: bar.update(
            task, completed=done, total=total, done=readable_size(num_bytes)
        )
