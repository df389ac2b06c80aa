"""The Cython extensions; everything else about the package stands in pyproject.toml."""

import copy
import os
import subprocess
import sys
import sysconfig
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FILTERS = ["blosc", "blosc_encode", "decompress", "filters", "parts", "shuffle"]
SEQUENTIAL = ["entropy", "huffman", "idct", "seek_points", "sequential", "upsample", "vectors", "ycc"]
# Which C sources each module of fastpack._native is built from, beside its .pyx.
KERNELS = {
    "crc32c": ["crc32c"],
    "gather": ["crc32c", "files", "image", "span", "status"],
    "order": ["order"],
    "tfrecord": ["crc32c", "status", "tfrecord"],
    "example": ["crc32c", "frames", "span", "status", "tfrecord", "write_rows"],
    "write_rows": ["crc32c", "span", "status", "write_rows"],
    "spans": [],
    "probe": ["crc32c", "image", "probe", "span", "status"],
    "tar": ["crc32c", "example", "features", "span", "status", "tar"],
    "features": ["example", "features", "status"],
    "image": ["image"],
    "raster": ["crc32c", "fax", "png", "span", "status", "unpack"],
    "salvage": ["crc32c", "salvage", "span", "status"],
    "decode": ["crc32c", "decode", "geometry", "libjpeg", "resample", "scans", *SEQUENTIAL, "span", "status", "weights"],
    "transcode": ["crc32c", "image", "libjpeg", "span", "status", "transcode"],
    "filters": ["crc32c", *FILTERS, "span", "status"],
    "chunks": ["chunks", "crc32c", *FILTERS, "span", "status"],
}
# System libraries by module: pkg-config's names, and Debian's of the packages with their headers.
JPEG = {"libjpeg": "libjpeg-dev"}
COMPRESSORS = {"libdeflate": "libdeflate-dev", "liblz4": "liblz4-dev", "libzstd": "libzstd-dev"}
DEFLATE = {"libdeflate": "libdeflate-dev"}
LIBRARIES = {"decode": JPEG, "transcode": JPEG, "filters": COMPRESSORS, "chunks": COMPRESSORS, "raster": DEFLATE}
NUM_CORES = len(os.sched_getaffinity(0))
DEBUG = os.environ.get("FASTPACK_DEBUG") == "1"
SANITIZERS = os.environ.get("FASTPACK_SANITIZE", "")  # such as "address,undefined"


def pkg_config(*arguments: str) -> str | None:
    """What it prints; None when it fails, or is not installed."""
    try:
        return subprocess.run(["pkg-config", *arguments], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def missing_packages() -> list[str]:
    """Debian's names of all packages that are missing, so that one command installs them."""
    missing = [] if pkg_config("--version") else ["pkg-config"]
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.append(f"python{sysconfig.get_python_version()}-dev")
    return missing + [package for library, package in (JPEG | COMPRESSORS).items() if pkg_config("--exists", library) is None]


def library_flags(libraries: dict[str, str]) -> dict[str, list[str]]:
    """Compiler and linker flags of system libraries, as pkg-config gives them."""
    flags = (pkg_config("--cflags", "--libs", *libraries) or "").split() if libraries else []
    return {
        "extra_compile_args": [flag for flag in flags if not flag.startswith(("-l", "-L"))],
        "extra_link_args": [flag for flag in flags if flag.startswith(("-l", "-L"))],
    }


def extension(name: str, c_sources: list[str]) -> Extension:
    flags = library_flags(LIBRARIES.get(name, {}))
    compile_args = ["-std=gnu11", *(["-O0", "-g"] if DEBUG else ["-O3"]), *flags["extra_compile_args"]]
    link_args = flags["extra_link_args"]
    if SANITIZERS:
        compile_args += [f"-fsanitize={SANITIZERS}", "-fno-omit-frame-pointer", "-g"]
        link_args = [*link_args, f"-fsanitize={SANITIZERS}"]
    return Extension(
        f"fastpack._native.{name}",
        [f"src_cython/{name}.pyx", *(f"src_cython/kernels/{source}.c" for source in c_sources)],
        include_dirs=["src_cython"],
        depends=["src_cython/kernels.pxd", *sorted(glob("src_cython/kernels/*.h"))],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )


class BuildExtensions(build_ext):
    """Compiles as many extensions at once as there are cores, unless --parallel says otherwise."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or NUM_CORES

    def build_extension(self, ext: Extension) -> None:
        """Compiles into a folder of its own, since extensions share C sources, and so object files."""
        own = copy.copy(self)
        own.build_temp = os.path.join(self.build_temp, ext.name)
        super(BuildExtensions, own).build_extension(ext)


if missing := missing_packages():
    sys.exit(f"fastpack: the build needs packages that are missing: apt-get install {' '.join(missing)}")

setup(
    cmdclass={"build_ext": BuildExtensions},
    ext_modules=cythonize(
        [extension(name, c_sources) for name, c_sources in KERNELS.items()],
        include_path=["src_cython"],
        nthreads=NUM_CORES,
        build_dir="build/cython-debug" if DEBUG else "build/cython",
        compiler_directives={
            "language_level": "3",
            "boundscheck": DEBUG,
            "show_performance_hints": not DEBUG,  # they say no more than that the checks cost time
            "wraparound": False,
            "initializedcheck": DEBUG,
            "cdivision": True,
            "freethreading_compatible": True,
        },
    ),
)
