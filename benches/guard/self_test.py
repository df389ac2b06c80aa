"""Test of the guard: python -m benches.guard.self_test slowdowns|alarms

slowdowns: builds a copy of the project in which one kernel takes 15% longer; the guard must fail.
alarms: ten runs on the unchanged project while another process keeps a core busy; it must pass.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benches.guard.base import PARTS, compile_kernels
from benches.guard.measurement import ROOT

_COPY = ROOT / "build" / "guard" / "slowed"
_KERNELS = Path("src_cython") / "kernels"
_NATIVE = Path("fastpack") / "_native"
_BUSY = """
import os, zlib
import numpy as np
data, text = np.ones(2**25, np.uint8), os.urandom(2**20)
while True:
    data[:] = data[::-1]
    zlib.compress(text)
"""
# One call in `every` is timed and delayed for all of them. The clock of processor time is too slow
# for calls of less than a microsecond.
_WRAPPER = """
#undef {name}
#include <time.h>
static uint64_t {name}_now(void) {{
    struct timespec now;
    clock_gettime({clock}, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}}
{prototype} {{
    static __thread unsigned calls;
    if (++calls % {every}) {{ {returns} plain_{name}({arguments}); {leave} }}
    uint64_t asked = {name}_now(), began = {name}_now();
    {keep} plain_{name}({arguments});
    uint64_t end = {name}_now(), both = end - began, clock = began - asked;
    uint64_t took = both > clock ? both - clock : 0;
    while ({name}_now() - end < took * {every} * {percent} / 100) {{ }}
    {give}
}}
"""


@dataclass(frozen=True)
class Function:
    """A C kernel in a module of fastpack._native.

    - file: its source, without .c.
    - every: one call in so many reads the clock.
    """

    module: str
    file: str
    name: str
    every: int = 1


@dataclass(frozen=True)
class Slowdown:
    """Functions that get slower together, and cases of which at least one must fail."""

    functions: tuple[Function, ...]
    cases: tuple[str, ...]


_PACKING = (
    Function("gather", "files", "fp_read_file"),
    Function("gather", "image", "fp_probe", 64),
    Function("write_rows", "write_rows", "fp_write_rows"),
)
SLOWDOWNS = {
    "decode, crop": Slowdown((Function("decode", "decode", "fp_decode_jpeg"),), ("decode", "crop")),
    "resample": Slowdown((Function("decode", "resample", "fp_resample"),), ("resample",)),
    "gather and CRC": Slowdown((Function("gather", "span", "fp_read_span"),), ("gather",)),
    "CRC": Slowdown((Function("crc32c", "crc32c", "fp_crc32c_by"),), ("crc32c",)),
    "TFRecord framing": Slowdown(
        (Function("example", "frames", "fp_frame_example", 64),), ("frame",)
    ),
    "pack": Slowdown(_PACKING, ("pack",)),
    "TFRecord parsing": Slowdown(
        (
            Function("tfrecord", "tfrecord", "fp_scan_records"),
            Function("features", "features", "fp_features_add", 64),
        ),
        ("parse",),
    ),
    "tar": Slowdown((Function("tar", "tar", "fp_list_members"),), ("tar",)),
    "probe": Slowdown((Function("image", "image", "fp_probe", 64),), ("probe",)),
    "order": Slowdown((Function("order", "order", "fp_permute", 64),), ("order",)),
    "HDF5 chunks": Slowdown((Function("chunks", "chunks", "fp_read_chunks"),), ("chunks",)),
    "HDF5 filters, reading": Slowdown(
        (Function("filters", "filters", "fp_decode_chunk"),),
        ("unfilter gzip", "unfilter lz4", "unfilter blosc2"),
    ),
    "HDF5 filters, writing": Slowdown(
        (Function("filters", "filters", "fp_encode_chunk"),), ("filter zstd", "filter blosc2")
    ),
}


def slowed(source: str, header: str, name: str, *, every: int, percent: int) -> str:
    """Return the C source with a slower function under the same name."""
    found = re.search(rf"^([\w ]+?[ *]+){name}\(([^;]*?)\);", header, re.MULTILINE)
    if not found:
        raise SystemExit(f"{name} is not declared in its header")
    kind = found[1].strip()
    arguments = ", ".join(re.findall(r"(\w+)(?:\[\w*\])?\s*(?=,|$)", found[2]))
    gives = kind != "void"
    wrapper = _WRAPPER.format(
        name=name,
        prototype=f"{found[1]}{name}({found[2]})",
        arguments=arguments,
        clock="CLOCK_THREAD_CPUTIME_ID" if every == 1 else "CLOCK_MONOTONIC",
        every=every,
        percent=percent,
        returns="return" if gives else "",
        leave="" if gives else "return;",
        keep=f"{found[1]}result =" if gives else "",
        give="return result;" if gives else "",
    )
    return f"#define {name} plain_{name}\n{source}\n{wrapper}"


@contextlib.contextmanager
def applied(slowdown: Slowdown, percent: int) -> Iterator[None]:
    """Build the copy with that slowdown. Only changed kernels are compiled."""
    kernels, setup, own = _COPY / _KERNELS, _COPY / "setup.py", set[Path]()
    try:
        for function in slowdown.functions:
            path = kernels / f"slowed_{function.module}_{function.file}.c"
            source = path if path in own else kernels / f"{function.file}.c"
            text = slowed(
                source.read_text(),
                _header_of(function),
                function.name,
                every=function.every,
                percent=percent,
            )
            path.write_text(text)
            if path not in own:
                _take_instead(setup, function, path.stem)
            own.add(path)
        compile_kernels(_COPY)
        yield
    finally:
        for path in own:
            path.unlink()
        _restore("setup.py", _NATIVE)


def _take_instead(setup: Path, function: Function, replacement: str) -> None:
    sources = f"KERNELS[{function.module!r}]"
    replaced = f"{replacement!r} if source == {function.file!r} else source"
    line = f"{sources} = [{replaced} for source in {sources}]\n"
    setup.write_text(setup.read_text().replace("\nsetup(\n", f"\n{line}\nsetup(\n"))


def _restore(*parts: str | Path) -> None:
    """Copy parts of the project with their times, so that a build compiles only changed files."""
    for part in parts:
        original = ROOT / part
        if original.is_dir():
            shutil.copytree(original, _COPY / part, dirs_exist_ok=True)
        else:
            shutil.copy2(original, _COPY / part)


def _header_of(function: Function) -> str:
    headers = [header.read_text() for header in (ROOT / _KERNELS).glob("*.h")]
    return next(header for header in headers if re.search(rf"\b{function.name}\(", header))


def prove_slowdowns(arguments: argparse.Namespace) -> int:
    shutil.rmtree(_COPY, ignore_errors=True)
    (_COPY / "build").mkdir(parents=True)
    _restore(*PARTS, "build/cython")
    num_missed = 0
    for title in arguments.only or SLOWDOWNS:
        slowdown = SLOWDOWNS[title]
        cases = slowdown.cases if arguments.quick else ()
        with applied(slowdown, arguments.percent):
            done = guard(
                "--tree", str(_COPY), "--minutes", "20", *(("--cases", *cases) if cases else ())
            )
        slower = [line for line in done.stdout.splitlines() if line.endswith("slower")]
        noticed = done.returncode == 1 and any(line.startswith(slowdown.cases) for line in slower)
        num_missed += not noticed
        print(
            f"{title}: {'noticed' if noticed else 'MISSED'}\n"
            + "\n".join(f"    {line}" for line in slower),
            flush=True,
        )
        if not noticed:
            print(done.stdout, done.stderr)
    print(
        f"{num_missed} of {len(arguments.only or SLOWDOWNS)} slowdowns "
        f"by {arguments.percent}% were missed"
    )
    return num_missed


def prove_alarms(arguments: argparse.Namespace) -> int:
    num_alarms = 0
    busy = [
        subprocess.Popen([sys.executable, "-c", _BUSY])
        for _ in range(max(1, len(os.sched_getaffinity(0)) - 1))
    ]
    try:
        for run in range(arguments.runs):
            done = guard("--minutes", "20")
            num_alarms += done.returncode != 0
            states = [
                line.split()[-1]
                for line in done.stdout.splitlines()
                if line.endswith(("fine", "slower", "undecided"))
            ]
            counts = ", ".join(
                f"{states.count(state)} {state}" for state in ("fine", "slower", "undecided")
            )
            print(
                f"run {run + 1}: status {done.returncode}, {counts}, "
                f"load average {os.getloadavg()[0]:.1f}",
                flush=True,
            )
            if done.returncode:
                print(done.stdout, done.stderr)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    print(f"{num_alarms} false alarms in {arguments.runs} runs")
    return num_alarms


def guard(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benches.guard", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.guard.self_test", description=__doc__)
    parser.add_argument("subject", choices=("slowdowns", "alarms"))
    parser.add_argument("--percent", type=int, default=15, help="slowdown of the kernels")
    parser.add_argument("--only", nargs="+", choices=SLOWDOWNS, metavar="KERNEL")
    parser.add_argument(
        "--quick", action="store_true", help="measure only the cases of the slowdown"
    )
    parser.add_argument("--runs", type=int, default=10)
    arguments = parser.parse_args()
    failures = (
        prove_slowdowns(arguments) if arguments.subject == "slowdowns" else prove_alarms(arguments)
    )
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
