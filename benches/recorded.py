"""What a measurement is written down with: the machine, the versions, the revision, the data and the command, beside every figure."""

import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benches.photos import fingerprint, photos
from benches.ratio import machine

_ROOT = Path(__file__).parent.parent
_FOLDERS = re.compile(r"(?<![\w./:])/(?:[\w.@+-]+/)+")


def record(path: Path | None, folder: Path | None, **figures: Any) -> None:
    """Writes figures to a JSON file, if one is named. They were measured over the photographs in `from_folder`, or over made ones."""
    if path is not None:
        with tempfile.TemporaryDirectory() as scratch:
            data = fingerprint(photos(folder, Path(scratch)))
        about = {
            "machine": machine(),
            "revision": revision(),
            "data": data,
            "command": command(sys.argv),
        }
        path.write_text(without_folders(json.dumps(about | figures, indent=1)) + "\n")


def without_folders(text: str) -> str:
    """Errors of rivals name their files: where these lie on this machine is nobody's business.

    >>> without_folders('cannot load "/home/me/env/lib/x.so", see https://example.org/a/b')
    'cannot load "x.so", see https://example.org/a/b'
    """
    return _FOLDERS.sub("", text)


def command(arguments: Sequence[str]) -> str:
    """The command line, without the folders of this machine.

    >>> command(["/home/me/fastpack/benches/scaling.py", "threads", "--scratch", "/mnt/disk"])
    'python -m benches.scaling threads --scratch disk'
    >>> command(["benches/profile.py", "--photos", "../my/photos", "--json", "build/profile.json"])
    'python -m benches.profile --photos photos --json build/profile.json'
    """
    program, *others = arguments
    parts = (
        "benches",
        *Path(program)
        .with_suffix("")
        .parts[::-1][: 2 if program.endswith("__main__.py") else 1][::-1],
    )
    module = ".".join(part for part in parts if part != "__main__")
    return shlex.join(
        [
            "python",
            "-m",
            module,
            *(Path(each).name if each.startswith(("/", "../")) else each for each in others),
        ]
    )


def revision() -> str:
    """The commit that was measured, with a + when files differ from it; empty outside of a repository."""
    described = _git("rev-parse", "--short=12", "HEAD")
    return (
        f"{described}{'+' * bool(_git('status', '--porcelain', '--untracked-files=no'))}"
        if described
        else ""
    )


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
