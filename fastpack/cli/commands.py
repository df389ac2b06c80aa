"""Commands: the group, which imports a command when it runs, and help in sections."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from fastpack.cli.terminal import report_errors, report_notes

# Each command is in the file of its name. The help of the group imports none of them.
SUMMARIES = {
    "pack": "Pack images into TFRecord or HDF5 files.",
    "info": "Show what a dataset contains.",
    "ls": "List samples.",
    "preview": "Write a contact sheet of samples.",
    "verify": "Compare a dataset with its checksums.",
    "status": "Compare a set in a store with its manifest.",
    "repair": "Copy the intact records of a damaged file to a new file.",
    "index": "Index a dataset in place.",
    "convert": "Write a dataset in another format.",
    "extract": "Write the files of a dataset into a folder or tar.",
    "doctor": "Measure each stage of loading and name the slowest.",
    "bench": "Measure reading, decoding and loading with one thread and with more.",
}
_EXIT_STATUS = [
    ("0", "Success."),
    ("1", "The data is unusable, `verify` or `status` found problems, or `repair` lost records."),
    ("2", "Usage error: an unknown option, a bad value, a missing input, an existing output."),
    ("3", "`pack` left out samples, as --on-error skip or --dedupe asked. The report lists them."),
    ("130", "Interrupted. No incomplete file has a final name."),
]
RENAMED_FLAGS = {
    "--checkpoints": "--seek-points",
    "--master": "--virtual",
    "--shuffle": "--byte-shuffle",
}


class Commands(click.Group):
    """The group of all commands. Errors become one line on stderr and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*SUMMARIES]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in SUMMARIES:
            return None
        command: click.Command = getattr(import_module(f"fastpack.cli.{name}"), name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Before parsing: the error may be that the options cannot be parsed.
        ctx.meta["json"] = "--json" in args
        with report_errors(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with report_errors(ctx), report_notes(ctx):
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*SUMMARIES.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit status"):
            formatter.write_dl(_EXIT_STATUS)


class Command(click.Command):
    """A command with its options under headings.

    Args:
        sections: heading -> names of parameters. All others are under "Options".
    """

    def __init__(
        self, *arguments: Any, sections: Mapping[str, Sequence[str]] | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.sections = sections or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; an unknown flag that was renamed is an error that says the new name."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            flag = error.option_name
            new_flag = RENAMED_FLAGS.get(flag)
            if not any(new_flag in parameter.opts for parameter in self.params):
                raise
            message = f"{flag} is now {new_flag}; use the new name"
            raise click.NoSuchOption(flag, message, ctx=ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings = {name: heading for heading, names in self.sections.items() for name in names}
        rows: dict[str, list[tuple[str, str]]] = {"Options": []}
        rows |= {heading: [] for heading in self.sections}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                rows[headings.get(parameter.name or "", "Options")].append(record)
        for heading, records in rows.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)
