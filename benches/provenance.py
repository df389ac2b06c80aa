"""Origin of a measurement: machine, versions, revision, data and command."""

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
    """Write figures and their origin to a JSON file, if one is named.

    `folder` has the photos; None stands for the generated ones.
    """
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
    """Remove folders of this machine, which errors of rivals name.

    >>> without_folders('cannot load "/home/me/env/lib/x.so", see https://example.org/a/b')
    'cannot load "x.so", see https://example.org/a/b'
    """
    return _FOLDERS.sub("", text)


def command(arguments: Sequence[str]) -> str:
    """Return the command line without the folders of this machine.

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
    """Return the measured commit, with "+" if files differ from it; "" outside a repository."""
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
