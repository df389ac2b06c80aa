"""Another revision of fastpack, built so that it can be measured beside this one."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from benches.guard.measurement import ROOT

# Parts of a revision that are built. Today's benchmarks run on both sides.
_MEASURED = ("fastpack", "src_cython", "setup.py")
PARTS = (*_MEASURED, "pyproject.toml", "README.md")
_BUILT = ROOT / "build" / "guard"


class BuildError(Exception):
    """A tree that cannot be built, with the reason."""


def default_revision() -> str | None:
    """Return the revision to compare with, or None without a history.

    On a branch: where it left main. On main: the previous commit, or with uncommitted changes HEAD.
    """
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None
    for main in ("origin/main", "main"):
        left = _git("merge-base", "HEAD", main)
        if left not in (None, head):
            return left
    return head if _changed("HEAD") else _git("rev-parse", "HEAD^")


def is_unchanged(revision: str) -> bool:
    """Return whether no measured file differs from that revision."""
    return not _changed(revision)


def build(revision: str) -> Path:
    """Return the revision's tree with built kernels, cached; raise BuildError."""
    commit = _git("rev-parse", "--verify", f"{revision}^{{commit}}")
    if commit is None:
        raise BuildError(f"{revision} is not a revision in git")
    built = _BUILT / commit[:12]
    if not built.exists():
        _BUILT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_BUILT) as folder:
            _extract(commit, Path(folder))
            compile_kernels(Path(folder))
            shutil.rmtree(Path(folder) / "build")
            shutil.copytree(folder, built)
    return built


def compile_kernels(tree: Path) -> None:
    command = [
        sys.executable,
        "setup.py",
        "--quiet",
        "build_ext",
        "--inplace",
        f"--parallel={len(os.sched_getaffinity(0))}",
    ]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"the kernels cannot be compiled: {done.stderr.strip().splitlines()[-1:]}")


def _extract(commit: str, folder: Path) -> None:
    archive = subprocess.run(["git", "archive", commit, *PARTS], cwd=ROOT, capture_output=True)
    if archive.returncode:
        raise BuildError(archive.stderr.decode().strip())
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")


def _changed(revision: str) -> bool:
    return (
        bool(_git("status", "--porcelain", *_MEASURED))
        or _git("diff", "--quiet", revision, "HEAD", "--", *_MEASURED) is None
    )


def _git(*arguments: str) -> str | None:
    """Return git's output, or None if it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
