"""mypy and pyright complete and check every option in a user's program."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FOLDER = Path(__file__).parent
RIGHT, WRONG = FOLDER / "right_calls.py", FOLDER / "wrong_calls.py"
_MYPY_ERROR = re.compile(r"(?P<file>[^:]+):(?P<line>\d+): error: (?P<message>.*)")
_MARKER = re.compile(r"# E: (\w+)")


def run(*command: str) -> str:
    found = subprocess.run(
        [sys.executable, "-m", *command, str(RIGHT), str(WRONG)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.stdout, found.stderr
    return found.stdout


def mypy_errors() -> list[tuple[Path, int, str]]:
    lines = map(_MYPY_ERROR.match, run("mypy", "--strict").splitlines())
    return [
        (ROOT / found["file"], int(found["line"]), found["message"]) for found in lines if found
    ]


def pyright_errors() -> list[tuple[Path, int, str]]:
    report = json.loads(run("pyright", "--outputjson", "--pythonpath", sys.executable))
    return [
        (Path(error["file"]), error["range"]["start"]["line"] + 1, error["message"])
        for error in report["generalDiagnostics"]
        if error["severity"] == "error"
    ]


CHECKERS = {"mypy": mypy_errors, "pyright": pyright_errors}


@pytest.mark.parametrize("checker", CHECKERS)
def test_right_calls_pass_and_wrong_ones_name_the_option(checker):
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed: it is in the dependency group `lint`")
    errors = CHECKERS[checker]()
    assert [error for error in errors if error[0] != WRONG] == []
    messages: dict[int, str] = {}
    for _, line, message in errors:
        messages[line] = messages.get(line, "") + message
    for number, text in enumerate(WRONG.read_text().splitlines(), 1):
        marker = _MARKER.search(text)
        assert (number in messages) == bool(marker), (number, text, messages.get(number))
        if marker:
            assert re.search(rf"\b{marker[1]}\b", messages[number]), (text, messages[number])
