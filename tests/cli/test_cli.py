"""The command line: what its commands print, where, and with which exit status."""

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastpack
from fastpack.cli.commands import SUMMARIES
from fastpack.cli.pack import SECTIONS
from tests.support.command_line import (
    COMMANDS,
    FORMATS,
    facts_of,
    files_below,
    flip_a_byte_of_the_image,
    run,
    write_image,
)
from tests.support.paths import ROOT
from tests.support.subprocesses import run_python


@pytest.mark.parametrize("ending", FORMATS)
def test_pack_info_verify(photos, ending):
    output = photos.parent / f"all.{ending}"
    source_bytes = sum(path.stat().st_size for path in photos.rglob("*.*"))

    done = facts_of("pack", photos, "-o", output)
    assert done["paths"] == [str(output)]
    assert (done["num_samples"], done["source_bytes"], done["output_bytes"]) == (
        5,
        source_bytes,
        output.stat().st_size,
    )

    facts = facts_of("info", output)
    container = {"tfrecord": "tfrecord", "h5": "hdf5"}[ending]
    assert facts["files"] == [
        {
            "path": str(output),
            "format": container,
            "num_samples": 5,
            "num_bytes": output.stat().st_size,
        }
    ]
    assert (facts["num_samples"], facts["num_bytes"]) == (5, output.stat().st_size)
    assert [(field["name"], field["kind"]) for field in facts["fields"]] == [
        ("image", "image"),
        ("label", "int"),
        ("key", "text"),
    ]
    assert facts["images"] == {
        "num_bytes": source_bytes,
        "formats": {"jpeg": 3, "png": 2},
        "width": {"min": 20, "median": 40, "max": 40},
        "height": {"min": 30, "median": 30, "max": 60},
    }
    assert facts["classes"] == [
        {"label": 0, "name": "cat", "num_samples": 3},
        {"label": 1, "name": "dog", "num_samples": 2},
    ]

    assert facts_of("verify", output, "--decode") == {
        "num_files": 1,
        "num_samples": 5,
        "problems": [],
        "num_unchecked": 0,
        "num_repeated_keys": 0,
        "repeated_keys": [],
        "is_sound": True,
    }


@pytest.mark.parametrize("ending", FORMATS)
def test_text_for_people(photos, ending):
    output = photos.parent / f"all.{ending}"
    result = run("pack", photos, "-o", output)
    assert result.stdout.startswith("packed 5 samples (")
    assert str(output) in result.stdout
    assert result.stderr == ""

    lines = run("info", output).stdout.splitlines()
    assert any(re.fullmatch(r"samples\s+5", line) for line in lines)
    assert any("3 jpeg, 2 png" in line for line in lines)
    assert any(re.search(r"width 20 to 40 \(median 40\)", line) for line in lines)
    assert any(re.search(r"0\s+cat\s+3\s+#{20}$", line) for line in lines)
    assert any(re.search(r"1\s+dog\s+2\s+#{13}$", line) for line in lines)
    assert run("verify", output).stdout == "5 samples in 1 file: sound\n"


def test_version():
    assert run("--version").stdout == f"fastpack, version {fastpack.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command):
    result = run(command, "-h")
    assert result.exit_code == 0
    assert "Exit status:" not in result.stdout
    assert COMMANDS[command].help.startswith(SUMMARIES[command])


def test_help_lists_commands_and_exit_status():
    lines = run("-h").stdout.splitlines()
    first = lines.index("Commands:") + 1
    assert [line.split()[0] for line in lines[first : first + len(COMMANDS)]] == [*COMMANDS]
    assert "Exit status:" in lines


def test_help_of_pack_has_sections():
    headings = [line[:-1] for line in run("pack", "-h").stdout.splitlines() if line[:1].isalpha()]
    assert headings[2:] == [*SECTIONS]
    inside = [name for names in SECTIONS.values() for name in names]
    others = {parameter.name for parameter in COMMANDS["pack"].params} - {*inside}
    assert others == {"src", "as_json", "quiet"}
    assert len(inside) == len({*inside})


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_commands_are_imported_when_they_run(argument):
    code = """
import sys
from fastpack.cli import main
main(sys.argv[1:], standalone_mode=False)
print("LOADED", *sys.modules)
"""
    loaded = run_python(code, argument).split("LOADED")[1].split()
    heavy = {name for name in loaded if name.split(".")[0] in ("numpy", "rich", "h5py", "cv2")}
    assert not heavy
    assert not [name for name in loaded if name.startswith("fastpack._native")]


@pytest.mark.parametrize(
    ("command", "former", "new"),
    [
        ("pack", "--checkpoints", "--seek-points"),
        ("index", "--checkpoints", "--seek-points"),
        ("pack", "--shuffle", "--byte-shuffle"),
        ("pack", "--master", "--virtual"),
    ],
)
def test_renamed_flags_are_refused_with_the_new_name(photos, command, former, new):
    result = run(command, photos, former, "--json")
    assert result.exit_code == 2
    assert f"{former} is now {new}; use the new name" in result.stderr
    assert json.loads(result.stdout)["error"] == f"{former} is now {new}; use the new name"


def test_a_flag_that_another_command_has_is_unknown(photos):
    assert "is now" not in run("info", photos, "--master").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["pack", "{photos}"],
        ["pack", "{photos}", "-o", "{out}", "--size", "8by9"],
        ["pack", "{photos}", "-o", "{out}", "--size", "0"],
        ["pack", "{photos}", "-o", "{out}", "--shards", "0"],
        ["pack", "{photos}", "-o", "{out}", "--shards", "two"],
        ["pack", "{photos}", "-o", "{out}", "--shards", "2", "--shard-size", "1GB"],
        ["pack", "{photos}", "-o", "{out}", "--shard-size", "big"],
        ["pack", "{photos}", "-o", "{out}", "-j", "0"],
        ["pack", "{photos}", "-o", "{out}", "--format", "zip"],
        ["pack", "{photos}", "-o", "{out}", "--color", "CMYK"],
        ["pack", "{photos}", "-o", "{out}", "--layout", "encoded", "--size", "8"],
        ["pack", "{photos}", "-o", "{photos}/all.tfrecord", "--size", "8"],
        ["pack", "{photos}", "-o", "{photos}/all.zip"],
        ["pack", "{photos}", "-o", "{photos}/no/such/folder/all.h5"],
        ["pack", "{photos}/nowhere", "-o", "{out}"],
        ["info"],
        ["info", "{photos}/nowhere-*.tfrecord"],
        ["verify", "{photos}/nowhere.h5"],
        ["preview", "{photos}", "-o", "{photos}/sheet.txt"],
        ["preview", "{photos}", "-o", "{photos}/sheet.png", "--rows", "0"],
        ["index"],
        ["index", "{photos}/nowhere"],
        ["index", "{photos}", "--index-dir", "{photos}/nowhere"],
        ["index", "{photos}", "--offsets"],
        ["convert", "{photos}"],
        ["convert", "{photos}", "{photos}/no/such/folder/all.h5"],
        ["convert", "{photos}", "{out}", "--shards", "0"],
        ["extract", "{photos}"],
        ["explode"],
        ["info", "--sideways"],
    ],
    ids=" ".join,
)
def test_usage_errors(photos, arguments):
    arguments = [
        argument.format(photos=photos, out=photos.parent / "out.h5") for argument in arguments
    ]
    before = files_below(photos.parent)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr
    assert files_below(photos.parent) == before

    failed = run(*arguments, "--json")
    assert failed.exit_code == 2
    assert json.loads(failed.stdout)["error"]


def break_image(photos: Path) -> list[str]:
    (photos / "cat" / "1.jpeg").write_bytes(b"no image at all")
    return ["pack", str(photos), "-o", str(photos.parent / "out.h5")]


def break_table(photos: Path) -> list[str]:
    (photos / "table.csv").write_text("file_name\ncat/77.jpeg\n")
    return ["pack", str(photos / "table.csv"), "-o", str(photos.parent / "out.h5")]


def break_folder(photos: Path) -> list[str]:
    (photos / "empty").mkdir()
    return ["pack", str(photos / "empty"), "-o", str(photos.parent / "out.h5")]


def break_file(photos: Path) -> list[str]:
    (photos / "odd.h5").write_bytes(b"x" * 100)
    return ["info", str(photos / "odd.h5")]


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (break_image, "1.jpeg"),
        (break_table, "77.jpeg"),
        (break_folder, "no images here"),
        (break_file, "odd.h5"),
    ],
)
def test_data_errors_are_one_line(photos, damage, named):
    arguments = damage(photos)
    before = files_below(photos.parent)
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert re.fullmatch(r"fastpack: [^\n]+\n", result.stderr)
    assert named in result.stderr
    assert "Errno" not in result.stderr
    assert files_below(photos.parent) == before

    failed = run(*arguments, "--json")
    error = json.loads(failed.stdout)
    assert failed.exit_code == 1
    assert result.stderr == f"fastpack: {error['error']}\n"
    assert issubclass(getattr(fastpack.errors, error["error_type"]), fastpack.FastpackError)


def test_quiet_prints_problems_only(photos):
    output = photos.parent / "all.tfrecord"
    result = run("pack", photos, "-o", output, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    result = run("verify", output, "-q")
    assert (result.exit_code, result.output) == (0, "")
    flip_a_byte_of_the_image(output, (photos / "dog" / "1.png").read_bytes())
    result = run("verify", output, "-q")
    assert result.exit_code == 1
    assert "record 4" in result.stdout


def test_one_is_singular(tmp_path):
    write_image(tmp_path / "cat" / "0.png", 4, 4, 9)
    output = tmp_path / "all.tfrecord"
    texts = [
        run("pack", tmp_path / "cat", "-o", output, "--dry-run").stdout,
        run("pack", tmp_path / "cat", "-o", output).stdout,
        *(run(name, output).stdout for name in ("info", "verify", "index")),
        run("preview", output, "-o", tmp_path / "sheet.png").stdout,
        run("convert", output, tmp_path / "all.h5").stdout,
        run("extract", output, tmp_path / "files").stdout,
    ]
    for text in texts:
        assert re.search(r"\b1 (sample|file)\b|1\s+about|samples\s+1$", text, re.M), text
        assert not re.search(r"\b1 (samples|files|images)\b", text), text


def test_ctrl_c_during_an_import_ends_without_a_traceback(photos):
    code = """
import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == interrupted:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
interrupted = sys.argv[1]
sys.argv[1:] = ["info", "x.h5"]
from fastpack.__main__ import run
try:
    run()
except SystemExit as end:
    print("STATUS", end.code)
"""
    for module in ("click", "fastpack.cli.info", "numpy"):
        assert run_python(code, module).split() == ["STATUS", "130"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--version"], 0), (["info", __file__], 1), (["info", "nowhere.h5"], 2)],
)
def test_python_m_fastpack(arguments, status):
    ran = subprocess.run(
        [sys.executable, "-m", "fastpack", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == status
    assert "Traceback" not in ran.stderr


def run_in_terminal(arguments: list[object], **environment: str) -> tuple[str, str]:
    """stdout, and what a terminal at stderr gets."""
    terminal, stderr = pty.openpty()
    command = [sys.executable, "-m", "fastpack", *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, env=os.environ | environment
    ) as child:
        os.close(stderr)
        seen = b""
        with contextlib.suppress(OSError):  # Linux says EIO when the other end is closed
            while piece := os.read(terminal, 4096):
                seen += piece
        stdout = child.stdout.read()
    os.close(terminal)
    assert child.returncode == 0, seen
    return stdout.decode(), seen.decode()


def test_progress_is_on_the_terminal_only(photos):
    output = photos.parent / "all.tfrecord"
    stdout, terminal = run_in_terminal(
        ["pack", photos, "-o", output, "--json"], TERM="xterm", NO_COLOR=""
    )
    assert json.loads(stdout)["num_samples"] == 5
    assert "packing" in terminal
    assert "100%" in terminal
    stdout, terminal = run_in_terminal(["verify", output], TERM="xterm", NO_COLOR="1")
    assert stdout == "5 samples in 1 file: sound\n"
    assert "verifying" in terminal
    assert not re.search(r"\x1b\[[\d;]*\b3[0-9]", terminal), "NO_COLOR is set"


def test_quiet_shows_no_progress(photos):
    stdout, terminal = run_in_terminal(
        ["pack", photos, "-o", photos.parent / "all.h5", "--quiet"], TERM="xterm"
    )
    assert (stdout, terminal) == ("", "")
