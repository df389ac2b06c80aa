"""words: translates messages, which name arguments of Python, into words of the command line."""

import dataclasses
import inspect
import re
from collections.abc import Mapping

import click

import fastpack
from fastpack.sources.table import from_table

# An argument of Python has an underscore or a value: resize_max, fields=..., allow_external=True.
# A word in quotes or in a path is a value of the user's.
_NAME, _VALUE = (
    r"(?P<name>[a-z][a-z0-9]*(?:_[a-z0-9]+)*)",
    r"""(?P<value>\.\.\.|\[[^\]]*\]|"[^"]*"|'[^']*'|\w+)""",
)
_ARGUMENT = re.compile(rf"""(?<![\w'"/.-]){_NAME}(?:={_VALUE}?|(?![\w'"/(-]))""")
_BEFORE_PLACE = " - at "


def in_cli_words(message: str, command: click.Command | None) -> str:
    """Replaces the arguments of Python in a message by options of the command.

    For an argument without an option, adds the function that takes it. Leaves the place as it is.

    >>> import click
    >>> size = click.Option(["--resize-max"], metavar="N")
    >>> in_cli_words("leave resize_max out - at resize_max.csv", click.Command("pack", params=[size]))
    'leave --resize-max out - at resize_max.csv'
    >>> in_cli_words("raise max_pixels if the image is real", click.Command("pack"))
    'raise max_pixels if the image is real (in Python: max_pixels of fastpack.Limits)'
    >>> in_cli_words("give sidecars=[] or sidecars=['txt']", click.Command("pack", params=[click.Option(["--sidecars"])]))
    'give --sidecars none or --sidecars txt'
    """
    text, mark, location = message.partition(_BEFORE_PLACE)
    options = (
        {each.name: each for each in command.params if isinstance(each, click.Option)}
        if command
        else {}
    )
    named = [match["name"] for match in _ARGUMENT.finditer(text) if _is_argument(match)]
    owners = _owners()
    elsewhere = dict.fromkeys(
        f"{name} of {owners[name]}" for name in named if name not in options and name in owners
    )
    note = f" (in Python: {', '.join(elsewhere)})" if elsewhere else ""
    return _ARGUMENT.sub(lambda match: _written(match, options), text) + note + mark + location


def _is_argument(match: re.Match[str]) -> bool:
    return "_" in match["name"] or "=" in match[0]


def _written(match: re.Match[str], options: Mapping[str, click.Option]) -> str:
    option = options.get(match["name"]) if _is_argument(match) else None
    if option is None:
        return match[0]
    flag = max((option.secondary_opts if match["value"] == "False" else []) or option.opts, key=len)
    if option.is_flag or "=" not in match[0]:
        return flag
    return f"{flag} {_shell_value(match['value'], option)}"


def _shell_value(value: str | None, option: click.Option) -> str:
    """A list as the command line has it: its items with commas between, or `none`."""
    if value in (None, "...", "[...]"):
        return option.metavar or "..."
    if value.startswith("["):
        return ",".join(item.strip(" \"'") for item in value[1:-1].split(",")) or "none"
    return value.strip("\"'")


def _owners() -> dict[str, str]:
    """Of each argument the function or class that takes it; the first, where several do."""
    takers = {
        "fastpack.open": [
            *inspect.signature(fastpack.open).parameters,
            *_fields(fastpack.ReadOptions),
        ],
        "fastpack.from_table": inspect.signature(from_table).parameters,
        "fastpack.PackOptions": _fields(fastpack.PackOptions),
        "fastpack.Limits": _fields(fastpack.Limits),
    }
    return {name: taker for taker, names in reversed(takers.items()) for name in names}


def _fields(options: type) -> list[str]:
    return [field.name for field in dataclasses.fields(options)]
