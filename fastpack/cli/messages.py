"""Messages of the library in the words of the command line: options for Python arguments."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_type_hints, is_typeddict

import click

import fastpack
from fastpack.sources.table import from_table

# A Python argument has an underscore or a value: resize_max, fields=..., allow_external=True.
# A word in quotes or in a path is a value that the user gave.
_NAME, _VALUE = (
    r"(?P<name>[a-z][a-z0-9]*(?:_[a-z0-9]+)*)",
    r"""(?P<value>\.\.\.|\[[^\]]*\]|"[^"]*"|'[^']*'|\w+)""",
)
_ARGUMENT = re.compile(rf"""(?<![\w'"/.-]){_NAME}(?:={_VALUE}?|(?![\w'"/(-]))""")
# A plain word, such as quality, is an argument only in these phrases.
_WORDS = r"[a-z]+(?:_[a-z]+)*(?:(?:,| and| or) [a-z]+(?:_[a-z]+)*)*"
_PHRASE = re.compile(
    rf"\bleave out {_WORDS}|\bleave (?!out ){_WORDS} out\b|\bout (?:with|of) [a-z]+\b"
    rf"|^{_WORDS} (?=must\b|are\b|look\b|say\b)|\b[a-z]+ (?:and|or) [a-z]+_[a-z_]+"
)
_PLAIN = re.compile(r"(?<![\w-])[a-z]+(?![\w=])")
_BEFORE_LOCATION = " - at "


def in_cli_words(message: str, command: click.Command | None) -> str:
    """Replace Python arguments in a message by options of the command.

    For an argument without an option, add the function that takes it. The place stays unchanged.

    >>> import click
    >>> size, sidecars = click.Option(["--resize-max"]), click.Option(["--sidecars"])
    >>> command = click.Command("pack", params=[size, sidecars])
    >>> in_cli_words("leave resize_max out - at resize_max.csv", command)
    'leave --resize-max out - at resize_max.csv'
    >>> in_cli_words("raise max_pixels if the image is real", command)
    'raise max_pixels if the image is real (in Python: max_pixels of fastpack.Limits)'
    >>> in_cli_words("leave sidecars out", command)
    'leave --sidecars out'
    >>> in_cli_words("give sidecars=[] or sidecars=['txt']", command)
    'give --sidecars none or --sidecars txt'
    """
    text, mark, location = message.partition(_BEFORE_LOCATION)
    parameters = command.params if command else []
    options = {each.name: each for each in parameters if isinstance(each, click.Option)}
    named = [match["name"] for match in _ARGUMENT.finditer(text) if _is_argument(match)]
    owners = _owners()
    elsewhere = dict.fromkeys(
        f"{name} of {owners[name]}" for name in named if name not in options and name in owners
    )
    note = f" (in Python: {', '.join(elsewhere)})" if elsewhere else ""
    text = _PHRASE.sub(lambda phrase: _with_flags(phrase[0], options), text)
    return _ARGUMENT.sub(lambda match: _in_shell(match, options), text) + note + mark + location


def _with_flags(phrase: str, options: Mapping[str, click.Option]) -> str:
    """Replace plain words of a phrase that are options."""

    def flag_or_word(word: re.Match[str]) -> str:
        option = options.get(word[0])
        return max(option.opts, key=len) if option else word[0]

    return _PLAIN.sub(flag_or_word, phrase)


def _is_argument(match: re.Match[str]) -> bool:
    return "_" in match["name"] or "=" in match[0]


def _in_shell(match: re.Match[str], options: Mapping[str, click.Option]) -> str:
    option = options.get(match["name"]) if _is_argument(match) else None
    if option is None:
        return match[0]
    flag = max((option.secondary_opts if match["value"] == "False" else []) or option.opts, key=len)
    if option.is_flag or "=" not in match[0]:
        return flag
    return f"{flag} {_shell_value(match['value'], option)}"


def _shell_value(value: str | None, option: click.Option) -> str:
    """Format a value; a list becomes its items with commas between, or `none`."""
    if value in (None, "...", "[...]"):
        return option.metavar or "..."
    if value.startswith("["):
        return ",".join(item.strip(" \"'") for item in value[1:-1].split(",")) or "none"
    return value.strip("\"'")


def _owners() -> dict[str, str]:
    """Return argument -> the function or class that takes it; the first, if several do."""
    takers = {
        "fastpack.open": [*_arguments(fastpack.open), *_fields(fastpack.ReadOptions)],
        "fastpack.from_table": _arguments(from_table),
        "fastpack.PackOptions": _fields(fastpack.PackOptions),
        "fastpack.Limits": _fields(fastpack.Limits),
    }
    return {name: taker for taker, names in reversed(takers.items()) for name in names}


def _arguments(function: Callable[..., Any]) -> list[str]:
    """Return the names of a function's arguments, also of those in `**options: Unpack[...]`."""
    hints = get_type_hints(function)
    unpacked = [kwargs for hint in hints.values() for kwargs in get_args(hint)]
    typed_dicts = [kwargs.__annotations__ for kwargs in unpacked if is_typeddict(kwargs)]
    return [
        *inspect.signature(function).parameters,
        *(name for each in typed_dicts for name in each),
    ]


def _fields(options: type) -> list[str]:
    return [field.name for field in dataclasses.fields(options)]
