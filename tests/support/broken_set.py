"""Makes 1,000 files, 2% of them broken in ten ways; prints results of packs as JSON.

    python -m tests.support.broken_set FOLDER OUTPUT

`test_broken_set.py` runs it in a process that drops root's right to read any file.
"""

import ctypes
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.support.images import cmyk_jpeg, jpeg, photo, save

NUM_FILES = 1000
# Numbers of the first and the second file of each kind.
NUMBERS = {
    "empty": (3, 610),
    "truncated": (41, 700),
    "HTML": (42, 333),
    "PNG named .JPEG": (80, 999),
    "CMYK": (0, 555),
    "unreadable": (140, 801),
    "bomb": (222, 444),
    "device": (300, 998),
    "vanished": (640, 950),
    "changed": (720, 960),
}
REASONS = {
    "empty": "UnsupportedImageError",
    "truncated": "CorruptImageError",
    "HTML": "UnsupportedImageError",
    "unreadable": "UnreadableFileError",
    "bomb": "LimitError",
    "device": "UnreadableFileError",
    "vanished": "UnreadableFileError",
    "changed": "SourceError",
}
# How a file comes to be of a kind; those that begin while it is packed are good until then.
BEFORE = ("empty", "truncated", "HTML", "PNG named .JPEG", "CMYK", "unreadable", "bomb", "device")


def name_of(number: int) -> str:
    return f"class-{number % 7}/{number:04}.JPEG"


def expected(*, decoding: bool) -> list[tuple[int, str]]:
    """Number and reason of each bad file. Only decoding detects the second truncated one."""
    bad = {number: reason for kind, reason in REASONS.items() for number in NUMBERS[kind]}
    if not decoding:
        del bad[NUMBERS["truncated"][1]]
    return sorted(bad.items())


def bomb() -> bytes:
    """A PNG of a few bytes that claims 60,000 x 60,000 pixels."""
    data = bytearray(save(photo(2, 2), "PNG"))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    return bytes(data)


def break_file(path: Path, kind: str, is_second: bool) -> None:
    if kind == "unreadable":
        path.chmod(0)
    elif kind == "device":
        path.unlink()
        path.symlink_to("/dev/zero")
    elif kind == "vanished":
        path.unlink()
    else:
        whole = path.read_bytes()
        contents = {
            "empty": b"",
            "truncated": whole[: len(whole) // 2 if is_second else 30],
            "HTML": b"<!DOCTYPE html><title>404 Not Found</title>",
            "PNG named .JPEG": save(photo(9, 7), "PNG"),
            "CMYK": cmyk_jpeg(9, 7),
            "bomb": bomb(),
            "changed": whole + b"more",
        }
        path.write_bytes(contents[kind])


def write_set(folder: Path) -> list[Path]:
    """With what is broken before it is packed."""
    paths = [folder / name_of(number) for number in range(NUM_FILES)]
    for path in paths[:7]:
        path.parent.mkdir(parents=True)
    for number, path in enumerate(paths):
        path.write_bytes(jpeg(16 + number % 5, 12, seed=number))
    for kind in BEFORE:
        for number in NUMBERS[kind]:
            break_file(paths[number], kind, number == NUMBERS[kind][1])
    return paths


def give_up_reading_everything() -> None:
    """Drops root's two capabilities to read any file, in this thread and later ones."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    capabilities = (ctypes.c_uint32 * 6)()
    system = ctypes.CDLL(None, use_errno=True)
    if system.capget(header, capabilities) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    capabilities[0] &= ~0b110  # effective: without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    if system.capset(header, capabilities) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def main(folder: Path, output: Path) -> None:
    paths = write_set(folder)
    if os.geteuid() == 0:
        give_up_reading_everything()

    import fastpack

    source = fastpack.sources.ImageFiles(
        paths, range(NUM_FILES), keys=[name_of(number) for number in range(NUM_FILES)]
    )
    unbroken = {number: kind for kind in REASONS if kind not in BEFORE for number in NUMBERS[kind]}

    def go_on(done: int, total: int, num_bytes: int) -> None:
        """Called while it is packed, before the second half is read."""
        while unbroken:
            number, kind = unbroken.popitem()
            break_file(paths[number], kind, False)

    # Little memory: few samples are read ahead, and what vanishes does so before it is read.
    options = fastpack.PackOptions(on_error="skip", shards=3, num_workers=2, memory=8192)
    results = {}
    for check in ("header", "decode"):
        packed = fastpack.pack(
            source,
            output,
            dataclasses.replace(options, check=check),
            overwrite=True,
            progress=go_on,
        )
        rejects = [
            (reject.sample, reject.reason, reject.key, reject.path) for reject in packed.rejects
        ]
        report = [json.loads(line) for line in packed.report.read_text().splitlines()]
        labels = fastpack.open(packed.paths).columns["label"].tolist()
        results[check] = {
            "rejects": rejects,
            "report": report,
            "labels": labels,
            "is_sound": fastpack.verify(packed.paths).is_sound,
        }
    results["named"] = named_one_after_the_other(source, output.with_name(f"raise-{output.name}"))
    print(json.dumps(results))


def named_one_after_the_other(source: Any, output: Path) -> list[tuple[int, str]]:
    """Packs repeatedly without the files that earlier packs named; returns the named files."""
    import fastpack

    named: list[tuple[int, str]] = []
    while True:
        options = fastpack.PackOptions(
            check="decode",
            exclude=[name_of(number) for number, _ in named],
            num_workers=2,
            memory=8192,
        )
        try:
            fastpack.pack(source, output, options)
            return named
        except fastpack.FastpackError as error:
            number = next(
                number for number in range(NUM_FILES) if str(error).endswith(name_of(number))
            )
            named.append((number, type(error).__name__))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
