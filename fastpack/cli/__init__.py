"""The command line, each command thin over the function of that name.

Results go to stdout; progress and errors to stderr.
"""

import click

import fastpack
from fastpack.cli import indexing, looking, measuring, packing, terminal
from fastpack.cli import repair as mending


@click.group(
    cls=terminal.Commands,
    epilog=terminal.EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(fastpack.__version__, prog_name="fastpack")
def main() -> None:
    """Packs piles of images into standard TFRecord and HDF5 files, and looks into such files;
    indexes those that are there already, whoever wrote them."""


for command in (
    packing.pack,
    looking.info,
    looking.verify,
    mending.repair,
    looking.preview,
    looking.ls,
    measuring.doctor,
    measuring.bench,
):
    main.add_command(command)
for command in (indexing.index, indexing.convert, indexing.extract):
    main.add_command(command)
