"""Each command, option and argument that a message names exists; the command line shows options."""

import ast
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import fastpack
from fastpack.cli import main
from fastpack.cli.messages import in_cli_words
from tests.support.command_line import COMMANDS

PACKAGE = Path(fastpack.__file__).parent
TREES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
OPTIONS = {
    name: {flag for each in command.params for flag in [*each.opts, *each.secondary_opts]}
    for name, command in COMMANDS.items()
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# Of others: what our messages advise to use.
THEIRS = {
    "num_parallel_calls",
    "cast_column",
    "parse_single_example",
    "decode_image",
    "channels_last",
    "persistent_workers",
    "alt",
    "style",
}


def docstring_of(node: ast.AST) -> ast.AST | None:
    is_documented = (
        isinstance(node, DOCUMENTED) and node.body and isinstance(node.body[0], ast.Expr)
    )
    return node.body[0].value if is_documented else None


def texts() -> Iterator[tuple[str, str]]:
    """Path and text of each string that is no docstring; what an f-string fills in is "~"."""
    for path, tree in TREES.items():
        inner = {id(docstring_of(node)) for node in ast.walk(tree)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                inner |= {id(part) for part in node.values}
                text = "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "~"
                    for part in node.values
                )
            elif (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in inner
            ):
                text = node.value
            else:
                continue
            if " " in text:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", text


TEXTS = [*texts()]


def public_names() -> set[str]:
    """Return arguments of public functions, fields of classes, and their own names."""
    found = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                continue
            is_private = node.name[0] == "_" and node.name != "__init__"
            if is_private and isinstance(node, ast.FunctionDef):
                continue  # a private class may be the base of a public one
            found.add(node.name)
            if isinstance(node, ast.FunctionDef):
                found |= {argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]}
            else:
                found |= {
                    each.target.id
                    for each in node.body
                    if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
                }
    return found


def found_in(pattern: str) -> list[tuple[str, str]]:
    messages = [(path, text) for path, text in TEXTS if not text.startswith("<")]  # HTML
    return [(path, match[1]) for path, text in messages for match in re.finditer(pattern, text)]


def test_commands_exist_with_their_options():
    advised = found_in(r"`fastpack ([^`]*)`")
    assert len(advised) > 5
    for path, words in advised:
        name, *rest = words.split()
        assert name in COMMANDS, (path, words)
        assert {word for word in rest if word.startswith("-")} <= OPTIONS[name], (path, words)


def test_options_are_named_by_the_command_line_alone():
    """The library's messages name arguments; cli/messages.py writes them as options."""
    for path, text in TEXTS:
        outside = re.sub(r"`(fastpack|tar|ulimit) [^`]*`", "", text)
        flags = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", outside))
        assert not flags or path.startswith("cli/"), (path, flags)
        assert flags <= set().union(*OPTIONS.values()), (path, flags)


def test_arguments_exist():
    known = public_names() | THEIRS
    with_values = found_in(r"\b([a-z]+(?:_[a-z]+)*)=(?:\.\.\.|True|False|[\"'])")
    advised = with_values + found_in(r"(?<![\w'\"/.-])([a-z]+(?:_[a-z]+)+)(?![\w'\"/.(-])")
    assert len(advised) > 30
    assert [(path, name) for path, name in advised if name not in known] == []


def test_arguments_are_written_so_that_they_are_known_for_such():
    """With a value, as in names=..., not as `names`."""
    arguments = {
        field.name
        for options in (fastpack.PackOptions, fastpack.ReadOptions)
        for field in dataclasses.fields(options)
    }
    assert [(path, word) for path, word in found_in(r"`([a-z_]+)`") if word in arguments] == []


def test_pack_has_an_option_for_each_of_its_arguments():
    """Limits are for programs."""
    parameters = {parameter.name for parameter in COMMANDS["pack"].params}
    assert {field.name for field in dataclasses.fields(fastpack.PackOptions)} - {
        "limits"
    } <= parameters


# In words of the command line


@pytest.mark.parametrize(
    ("command", "message", "expected"),
    [
        ("pack", "ask for allow_external", "ask for --allow-external"),
        (
            "pack",
            "say allow_external=True to read it - at a.h5",
            "say --allow-external to read it - at a.h5",
        ),
        (
            "pack",
            "choose with fields=..., or names=...",
            "choose with --fields A,B, or --names FIELD=NAME",
        ),
        (
            "pack",
            'give layout="encoded" or fletcher32=False',
            "give --layout encoded or --no-fletcher32",
        ),
        ("pack", "leave out quality and resize_max", "leave out --quality and --resize-max"),
        (
            "info",
            "choose with fields=... - at fields=1.h5",
            "choose with fields=... (in Python: fields of fastpack.open) - at fields=1.h5",
        ),
        (
            "pack",
            "raise max_pixels if it is real",
            "raise max_pixels if it is real (in Python: max_pixels of fastpack.Limits)",
        ),
        ("pack", "leave size and layout out", "leave --size and --layout out"),
        ("pack", "give shards or shard_size, not both", "give --shards or --shard-size, not both"),
        ("pack", "quality must be at most 100", "--quality must be at most 100"),
        ("pack", "leave the column out with fields", "leave the column out with --fields"),
        ("pack", "leave the size out", "leave the size out"),
        ("info", "leave size and layout out", "leave size and layout out"),
        ("pack", "name it with path_column", "name it with --path-column"),
        (
            "index",
            "name it with path_column",
            "name it with path_column (in Python: path_column of fastpack.from_table)",
        ),
        (
            "pack",
            "it is kept as 'label_column' of a/path_column.csv",
            "it is kept as 'label_column' of a/path_column.csv",
        ),
        ("pack", "no class_names in train=0.9", "no class_names in train=0.9"),
        (
            "verify",
            "num_workers must be 1, not num_workers=0",
            "--num-workers must be 1, not --num-workers 0",
        ),
    ],
)
def test_words(command, message, expected):
    assert in_cli_words(message, COMMANDS[command]) == expected


def test_words_without_a_command():
    assert (
        in_cli_words("say allow_external=True", None)
        == "say allow_external=True (in Python: allow_external of fastpack.open)"
    )


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_link_out_names_the_option(tmp_path, photos):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "table.csv").write_text("path\n../photos/cat/0.jpeg\n")
    result = invoke("pack", tmp_path / "set" / "table.csv", "-o", tmp_path / "x.tfrecord", "--json")
    assert "give --allow-external" in result.stderr
    assert "give --allow-external" in json.loads(result.stdout)["error"]
    assert (
        invoke(
            "pack",
            tmp_path / "set" / "table.csv",
            "-o",
            tmp_path / "x.tfrecord",
            "--allow-external",
        ).exit_code
        == 0
    )


def test_a_column_that_hdf5_refuses_can_be_renamed(tmp_path, photos):
    table = tmp_path / "t.csv"
    table.write_text("path,label,class_names\nphotos/cat/0.jpeg,a,1\nphotos/cat/1.jpeg,b,2\n")
    result = invoke("pack", table, "-o", tmp_path / "x.h5")
    assert result.exit_code == 1
    assert "choose another name with --names FIELD=NAME" in result.stderr
    assert (
        invoke(
            "pack", table, "-o", tmp_path / "x.h5", "--names", "class_names=bbox_x,label=y"
        ).exit_code
        == 0
    )
    with h5py.File(tmp_path / "x.h5") as file:
        assert np.array_equal(file["bbox_x"], [1, 2])
        assert "y" in file


@pytest.mark.parametrize(
    "names", [["a"], ["a="], ["=b"], ["a=b,a=c"], ["a=b", "a=c"], ["a=b,"]], ids=str
)
def test_names_that_make_no_sense(tmp_path, photos, names):
    result = invoke(
        "pack",
        photos,
        "-o",
        tmp_path / "x.h5",
        *[word for name in names for word in ("--names", name)],
    )
    assert result.exit_code == 2
    assert "write FIELD=NAME" in result.stderr


def test_names_of_fields_that_are_not_there(tmp_path, photos):
    result = invoke("pack", photos, "-o", tmp_path / "x.h5", "--names", "picture=image")
    assert result.exit_code == 1
    assert "picture" in result.stderr


def test_names_may_come_again(tmp_path, photos):
    arguments = [
        "--names",
        "image=image/encoded",
        "--names",
        "label=image/class/label,key=image/filename",
    ]
    assert invoke("pack", photos, "-o", tmp_path / "x.tfrecord", *arguments).exit_code == 0
    schema = fastpack.open(tmp_path / "x.tfrecord").schema
    assert [schema[name].stored_as for name in ("image", "label", "key")] == [
        "image/encoded",
        "image/class/label",
        "image/filename",
    ]


def test_problems_that_verify_lists(tmp_path, photos, monkeypatch):
    problem = "this is large; raise max_pixels if it is real - at a.h5"
    monkeypatch.setattr(
        fastpack, "verify", lambda *_, **__: fastpack.integrity.VerifyResult(1, 1, 0, (problem,))
    )
    assert "(in Python: max_pixels of fastpack.Limits) - at a.h5" in invoke("verify", photos).stdout
