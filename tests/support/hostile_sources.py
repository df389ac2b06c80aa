"""Makers of sources that try to lead elsewhere: a folder, a table and tars."""

import io
import json
import os
import tarfile
from pathlib import Path

from tests.support.images import jpeg

SECRET = jpeg(9, 9, seed=99)
NON_UTF8 = b"\xff\xfe.jpg"
LONG = b"x" * 251 + b".jpg"
GOOD = [b"A.jpg", b"a.jpg", b"inner.jpg", b"real.jpg", LONG, NON_UTF8]
# Bad entries of the folder -> why. A folder that is not searched ends with a slash.
BAD = {
    "c/far/": "SourceError",
    "c/link.jpg": "SourceError",
    "c/none.jpg": "MissingFileError",
    "c/pipe.jpg": "UnreadableFileError",
    "c/round.jpg": "UnreadableFileError",
    "c/up.jpg": "SourceError",
    "c/zero.jpg": "SourceError",
}
# Names that only a table can have -> the key in the report. It is the path below the root, or
# without the parts that lead out of it.
LEADING_OUT = {
    "../outside/secret.jpg": "outside/secret.jpg",
    "c/../../outside/another.jpg": "outside/another.jpg",
    "c/far/../secret.jpg": "c/secret.jpg",
    "c/far/secret.jpg": "c/far/secret.jpg",
    "/etc/passwd": "etc/passwd",
}
NAMED_BAD = dict.fromkeys(LEADING_OUT.values(), "SourceError") | {
    key.rstrip("/"): reason for key, reason in BAD.items()
}


def hostile_folder(above: Path) -> Path:
    """`above/in`: links to `above/outside`, a device, nothing and a cycle; a pipe; good files."""
    outside, inside = above / "outside", above / "in" / "c"
    outside.mkdir()
    inside.mkdir(parents=True)
    (outside / "secret.jpg").write_bytes(SECRET)
    for number, name in enumerate(GOOD):
        (inside / os.fsdecode(name)).write_bytes(jpeg(8, 8, seed=number))
    (inside / "inner.jpg").unlink()
    (inside / "inner.jpg").symlink_to("real.jpg")  # which stays inside
    (inside / "link.jpg").symlink_to(outside / "secret.jpg")
    (inside / "up.jpg").symlink_to("../../outside/secret.jpg")
    (inside / "far").symlink_to(outside)
    (inside / "zero.jpg").symlink_to("/dev/zero")
    (inside / "none.jpg").symlink_to("none")
    (inside / "round.jpg").symlink_to("round.jpg")
    os.mkfifo(inside / "pipe.jpg")
    return above / "in"


def named_keys(suffix: str) -> list[bytes]:
    """Good rows of the table, in order. A CSV is UTF-8; JSON can name any file by escapes."""
    return [b"c/" + name for name in GOOD if suffix == ".jsonl" or name != NON_UTF8]


def write_hostile_table(folder: Path, suffix: str) -> Path:
    path = folder / f"t{suffix}"
    names = [*map(os.fsdecode, named_keys(suffix)), *LEADING_OUT, *BAD]
    lines = (
        [json.dumps({"file_name": name}) for name in names]
        if suffix == ".jsonl"
        else ["file_name", *names]
    )
    path.write_text("\n".join(lines))
    return path


def write_tar(path: Path, names: list[bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for number, name in enumerate(names):
            data = jpeg(8, 8, seed=number)
            member = tarfile.TarInfo(os.fsdecode(name))
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path
