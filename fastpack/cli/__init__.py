"""The command line: a thin layer over the library, with one file for each command.

Results go to stdout; progress, notes and errors go to stderr.
"""

import click

from fastpack import __version__
from fastpack.cli.commands import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fastpack")
def main() -> None:
    """Pack images into TFRecord and HDF5 files, and inspect, verify and convert such files."""
