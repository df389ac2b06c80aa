"""Build of the Cython extensions; all other package settings are in pyproject.toml."""

import os
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

FILTERS = ["blosc", "blosc_encode", "decompress", "filters", "parts", "shuffle"]
SEQUENTIAL = [
    "entropy",
    "huffman",
    "idct",
    "seek_points",
    "sequential",
    "upsample",
    "vectors",
    "ycc",
]
# The kernels (src_cython/kernels/*.c) that each module of fastpack._native links.
KERNELS = {
    "crc32c": ["crc32c"],
    "gather": ["crc32c", "files", "image", "span", "status"],
    "bitmap": ["bitmap"],
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
    "decode": [
        "crc32c",
        "decode",
        "geometry",
        "libjpeg",
        "resample",
        "scans",
        *SEQUENTIAL,
        "span",
        "status",
        "weights",
    ],
    "transcode": ["crc32c", "image", "libjpeg", "span", "status", "transcode"],
    "filters": ["crc32c", *FILTERS, "span", "status"],
    "chunks": ["chunks", "crc32c", *FILTERS, "span", "status"],
    "tables": ["crc32c", "span", "status", "tables"],
}
# System libraries of each module: pkg-config name -> Debian package with the headers.
JPEG = {"libjpeg": "libjpeg-dev"}
COMPRESSORS = {"libdeflate": "libdeflate-dev", "liblz4": "liblz4-dev", "libzstd": "libzstd-dev"}
DEFLATE = {"libdeflate": "libdeflate-dev"}
ALL_LIBRARIES = JPEG | COMPRESSORS
LIBRARIES = {
    "decode": JPEG,
    "transcode": JPEG,
    "filters": COMPRESSORS,
    "chunks": COMPRESSORS,
    "raster": DEFLATE,
}
NUM_CORES = len(os.sched_getaffinity(0))
DEBUG = os.environ.get("FASTPACK_DEBUG") == "1"
SANITIZERS = os.environ.get("FASTPACK_SANITIZE", "")  # such as "address,undefined"
SANITIZE = [f"-fsanitize={SANITIZERS}"] if SANITIZERS else []
HEADERS = sorted(glob("src_cython/kernels/*.h"))
# Cython's memoryview code. In a module of its own it is compiled once, not 17 times: that was
# 80% of the build's processor time.
SHARED = "fastpack._native._cyutility"


def pkg_config(*arguments: str) -> str | None:
    """Return pkg-config's output, or None if it fails or is not installed."""
    command = ["pkg-config", *arguments]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def missing_packages() -> list[str]:
    """List all missing Debian packages, so that one command installs them."""
    missing = [] if pkg_config("--version") else ["pkg-config"]
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.append(f"python{sysconfig.get_python_version()}-dev")
    return missing + [
        package
        for library, package in ALL_LIBRARIES.items()
        if pkg_config("--exists", library) is None
    ]


@cache
def compile_flags() -> list[str]:
    """Return the compiler's flags, the same for kernels and wrappers."""
    flags = ["-std=gnu11", *(["-O0", "-g"] if DEBUG else ["-O3", "-g0"]), *SANITIZE]
    if SANITIZERS:
        flags += ["-fno-omit-frame-pointer", "-g"]
    return flags + (pkg_config("--cflags", *ALL_LIBRARIES) or "").split()


def extension(name: str) -> Extension:
    """Return the module of src_cython/<name>.pyx; the build adds the kernels' objects."""
    libraries = LIBRARIES.get(name, {})
    links = (pkg_config("--libs", *libraries) or "").split() if libraries else []
    return Extension(
        f"fastpack._native.{name}",
        [f"src_cython/{name}.pyx"],
        include_dirs=["src_cython"],
        depends=["src_cython/kernels.pxd", *HEADERS, *map(kernel_path, KERNELS[name])],
        extra_compile_args=compile_flags(),
        extra_link_args=[*links, *SANITIZE],
    )


def shared_extension() -> Extension:
    """Return the module whose C source Cython generates."""
    return Extension(
        SHARED,
        ["src_cython/_cyutility.c"],
        extra_compile_args=compile_flags(),
        extra_link_args=SANITIZE,
    )


def kernel_path(kernel: str) -> str:
    return f"src_cython/kernels/{kernel}.c"


class BuildExtensions(build_ext):
    """Compile each kernel once, then link the extensions; both use all cores."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or NUM_CORES

    def build_extensions(self) -> None:
        kernels = sorted({kernel for kernels in KERNELS.values() for kernel in kernels})
        with ThreadPoolExecutor(self.parallel) as pool:
            objects = dict(zip(kernels, pool.map(self._compile_kernel, kernels), strict=True))
        for ext in self.extensions:
            own_kernels = KERNELS.get(ext.name.rpartition(".")[2], [])
            ext.extra_objects = [objects[kernel] for kernel in own_kernels]
        super().build_extensions()

    def _compile_kernel(self, kernel: str) -> str:
        """Return the object's path; compile it only if a source is newer."""
        source = kernel_path(kernel)
        (path,) = self.compiler.object_filenames([source], output_dir=self.build_temp)
        if self.force or newer_group([source, *HEADERS], path):
            self.compiler.compile(
                [source],
                output_dir=self.build_temp,
                include_dirs=["src_cython"],
                extra_postargs=compile_flags(),
            )
        return path


if missing := missing_packages():
    install = f"apt-get install {' '.join(missing)}"
    sys.exit(f"fastpack: the build needs packages that are missing: {install}")

setup(
    cmdclass={"build_ext": BuildExtensions},
    ext_modules=cythonize(
        [*map(extension, KERNELS), shared_extension()],
        include_path=["src_cython"],
        nthreads=NUM_CORES,
        build_dir="build/cython-debug" if DEBUG else "build/cython",
        shared_utility_qualified_name=SHARED,
        compiler_directives={
            "language_level": "3",
            "boundscheck": DEBUG,
            "show_performance_hints": not DEBUG,  # they repeat that checks cost time
            "wraparound": False,
            "initializedcheck": DEBUG,
            "cdivision": True,
            "freethreading_compatible": True,
        },
    ),
)
