"""The terminal: one-line errors, results, notes and progress."""

import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from fastpack.cli.formatting import printable
from fastpack.core.progress import Progress
from fastpack.core.units import readable_size
from fastpack.errors import (
    FastpackError,
    FastpackWarning,
    OptionError,
    OutputExistsError,
    PlanChangedError,
    StagingBusyError,
)

EXIT_DATA, EXIT_USAGE, EXIT_SKIPPED, EXIT_INTERRUPTED = 1, 2, 3, 130
# Errors of the request, whatever the data.
_USAGE_ERRORS = (OptionError, OutputExistsError, PlanChangedError, StagingBusyError)
# Results with messages of the library.
_MESSAGES = {"notes", "problems", "advice"}


@contextmanager
def report_errors(ctx: click.Context) -> Iterator[None]:
    """Turn an error into a line on stderr, an exit status and, with --json, a JSON object."""
    try:
        yield
    except click.ClickException as error:
        _emit_error(ctx, error, error.format_message())
        raise  # click prints the usage
    except FastpackError as error:
        message = in_options(str(error), ctx)
        _emit_error(ctx, error, message)
        _report_line(message)
        _report_details(error, ctx)
        ctx.exit(EXIT_USAGE if isinstance(error, _USAGE_ERRORS) else EXIT_DATA)
    except KeyboardInterrupt as error:
        _emit_error(ctx, error, "interrupted")
        _report_line("interrupted")
        _report_details(error, ctx)
        ctx.exit(EXIT_INTERRUPTED)


@contextmanager
def report_notes(ctx: click.Context) -> Iterator[None]:
    """Print each note of the library once, as a line on stderr, without a place in the code."""
    printed, show = set[str](), warnings.showwarning

    def report(
        message: Warning | str, category: type[Warning], *where: Any, **options: Any
    ) -> None:
        if not issubclass(category, FastpackWarning):
            show(message, category, *where, **options)
        elif str(message) not in printed:
            printed.add(str(message))
            _report_line(in_options(str(message), ctx))

    with warnings.catch_warnings():
        warnings.simplefilter("always", FastpackWarning)
        warnings.showwarning = report
        yield


def in_options(message: str, ctx: click.Context) -> str:
    """Replace Python arguments in a message by options of the command that runs."""
    from fastpack.cli.messages import in_cli_words

    root, command = ctx.find_root(), None
    if root.invoked_subcommand and isinstance(root.command, click.Group):
        command = root.command.get_command(root, root.invoked_subcommand)
    return in_cli_words(message, command)


def _report_line(text: str) -> None:
    click.echo(f"fastpack: {printable(text)}", err=True)


def _report_details(error: BaseException, ctx: click.Context) -> None:
    """Print the notes of an exception, such as what a pack can resume."""
    for note in getattr(error, "__notes__", ()):
        _report_line(in_options(note, ctx))


def _emit_error(ctx: click.Context, error: BaseException, message: str) -> None:
    if ctx.meta["json"]:
        emit({"error": message, "error_type": type(error).__name__})


def emit(facts: dict[str, Any]) -> None:
    """Print a JSON object. Escapes hold names that are not UTF-8 or that a terminal would obey."""
    ctx = click.get_current_context()
    for name in _MESSAGES & facts.keys():
        facts[name] = [in_options(message, ctx) for message in facts[name]]
    click.echo(json.dumps(facts, default=str, indent=2))


def emit_line(facts: dict[str, Any]) -> None:
    """Print a JSON object on one line."""
    click.echo(json.dumps(facts, default=str))


@contextmanager
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
