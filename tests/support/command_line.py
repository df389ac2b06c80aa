"""Runs the command line; makes datasets for its tests."""

import json
from pathlib import Path

import click
import numpy as np
from click.testing import CliRunner, Result

import fastpack
from fastpack import cli

FORMATS = ["tfrecord", "h5"]
_CONTEXT = click.Context(cli.main)
COMMANDS = {
    name: command
    for name in cli.main.list_commands(_CONTEXT)
    if (command := cli.main.get_command(_CONTEXT, name))
}


def write_image(path: Path, height: int, width: int, value: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(fastpack.encode(np.full((height, width, 3), value, np.uint8), path.suffix[1:]))


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli.main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def facts_of(*arguments: object) -> dict:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def packed(photos: Path, name: str, *options: object) -> Path:
    output = photos.parent / name
    assert run("pack", photos, "-o", output, *options).exit_code == 0
    return output


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def flip_a_byte_of_the_image(path: Path, image: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(image) + len(image) // 2] ^= 0xFF
    path.write_bytes(data)
