"""Imports between files, as ARCHITECTURE.md has them, and what an import must not load or do."""

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.subprocesses import run_python

PACKAGE = ROOT / "fastpack"

# Lowest first: a folder imports from itself and from folders before it. The public adapters (torch
# and so on) count as one folder.
FOLDERS = [
    "errors",
    "core",
    "stores",
    "images",
    "files",
    "sources",
    "formats",
    "reading",
    "loading",
    "packing",
    "integrity",
    "adapters",
    "inspection",
    "__init__",
    "cli",
    "__main__",
]
ADAPTERS = {"torch", "tensorflow", "jax", "huggingface"}
# Imported lazily inside functions, by the code that needs the format.
HEAVY = {
    "torch",
    "tensorflow",
    "jax",
    "cv2",
    "h5py",
    "click",
    "rich",
    "pyarrow",
    "PIL",
    "datasets",
    "obstore",
}
MAX_ENTRIES = 21


def module_of(path: Path) -> str:
    """`files.shard`, or `formats.hdf5` of a folder's `__init__`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


FILES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)
MODULES = {module_of(path): path for path in FILES}


def folder_of(module: str) -> str:
    first = module.split(".")[0]
    return "adapters" if first in ADAPTERS else first


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere, or names in a table; no kernels."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] == "fastpack"
        ):
            found |= {
                imported(node.module.removeprefix("fastpack").lstrip("."), alias.name)
                for alias in node.names
            }
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("fastpack.")
                for alias in node.names
                if alias.name.startswith("fastpack.")
            }
        elif isinstance(node, ast.Constant) and f"{node.value}".startswith("fastpack."):
            found |= {node.value.removeprefix("fastpack.")} & MODULES.keys()
    return {module for module in found if not module.startswith("_native")} - {module_of(path)}


def imported(module: str, name: str) -> str:
    """A name is a module of a folder, or something in a module."""
    inner = f"{module}.{name}".lstrip(".")
    return inner if inner in MODULES else module or "__init__"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_folders_import_from_those_before_them(path):
    folder = folder_of(module_of(path))
    for module in imports_of(path):
        allowed = FOLDERS.index(folder_of(module)) <= FOLDERS.index(folder)
        assert allowed, f"{module_of(path)} imports {module}, which stands above it"


def test_no_file_imports_itself_in_a_circle():
    imports = {module: imports_of(path) for module, path in MODULES.items()}
    while leaves := [module for module, those in imports.items() if not those & imports.keys()]:
        for module in leaves:
            del imports[module]
    assert imports == {}, "these files, or some of them, import one another in a circle"


def test_the_top_level_shows_the_architecture():
    entries = [entry.name for entry in PACKAGE.iterdir() if entry.name != "__pycache__"]
    assert len(entries) <= MAX_ENTRIES


CODECS = {
    "images.codec",
    "images.codecs",
    "images.decode",
    "images.jpeg",
    "images.opencv",
    "images.png",
    "images.raster",
    "images.tiff",
}


def test_formats_do_not_decode():
    for path in (PACKAGE / "formats").rglob("*.py"):
        if path.parent.name != "index":  # it scans JPEGs for seek points
            assert not CODECS & imports_of(path), path


def test_formats_do_not_know_each_other():
    names = {"folder", "hdf5", "tar", "tfrecord"}
    for path in (PACKAGE / "formats").rglob("*.py"):
        mine = set(module_of(path).split(".")[1:2])
        others = {
            module.split(".")[1] for module in imports_of(path) if module.startswith("formats.")
        } & names
        assert path.name == "registry.py" or others <= mine, path


CONTAINERS = {"tfrecord", "hdf5", "tar", "folder"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_formats_branch_on_names_of_containers(path):
    if "formats" in path.parts or path.name == "tensorflow.py":  # TensorFlow itself reads TFRecords
        return
    assert not {module for module in imports_of(path) if module.endswith(".container")}, (
        "ask the registry for a container"
    )
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare):
            values = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
            assert not CONTAINERS & {value for value in values if isinstance(value, str)}, (
                f"line {node.lineno} compares with the name of a container; ask the container"
            )


def test_import_loads_nothing_heavy():
    loaded = run_python(
        "import sys, fastpack; print(*{name.split('.')[0] for name in sys.modules})"
    )
    assert not HEAVY & set(loaded.split())


def test_import_leaves_writing_for_later():
    loaded = set(run_python("import sys, fastpack; print(*sys.modules)").split())
    assert not {f"fastpack.{name}" for name in ("integrity", "packing", "sources")} & loaded
    assert not {"hashlib", "tempfile", "numpy.ma"} & loaded


@pytest.mark.parametrize(
    "code",
    [
        "from fastpack import *",
        "import fastpack.packing.extract, fastpack.integrity.verify; "
        "from fastpack import extract, verify",
    ],
)
def test_functions_are_not_hidden_by_modules_of_their_name(code):
    shown = "verify is f.verify, callable(f.extract), callable(verify), {*f.__all__} <= {*dir(f)}"
    out = run_python(f"{code}; import fastpack as f; print({shown})")
    assert out.split() == ["True"] * 4


def test_import_starts_no_thread_and_opens_no_pool():
    out = run_python(
        "import threading, fastpack, fastpack.core.threads as p; "
        "print(threading.active_count(), len(p._pools))"
    )
    assert out.split() == ["1", "0"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_environment_pickle_eval_or_print(path):
    tree = ast.parse(path.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    modules = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert not {"eval", "exec", "print"} & names
    # rank="auto" asks for it. It decides where derived files are kept, and how an upload is
    # verified, but no result.
    may_ask = path.name in ("loader.py", "local_metadata.py", "connection.py")
    assert may_ask or not {"environ", "getenv"} & attributes
    assert not {"pickle", "marshal", "shelve"} & modules


# Size is a smoke alarm: it points at files and functions to look at again.
LONG_FUNCTIONS: set[str] = set()
MANY_PARAMETERS = {
    "build_indexes",
    "convert",
}  # each is about the files; how they are read is one value


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 500
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and node.name not in LONG_FUNCTIONS
        ):
            # Docstrings do not count.
            first = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            assert node.end_lineno - first < 60, f"{node.name} is long"
            parameters = [*node.args.args, *node.args.kwonlyargs]
            is_public = (
                not node.name.startswith("_") and "cli" not in path.parts
            )  # a command takes what it has options
            count = len([p for p in parameters if p.arg not in ("self", "cls")])
            assert not is_public or count <= 7 or node.name in MANY_PARAMETERS, (
                f"{node.name} takes {count} parameters"
            )


KERNELS = ROOT / "src_cython"


@pytest.mark.parametrize("path", sorted(KERNELS.glob("*.pyx")), ids=lambda path: path.name)
def test_kernels_keep_python_out_of_nogil_blocks(path):
    lines = path.read_text().splitlines()
    assert not [line for line in lines if "with gil" in line]
    for number, line in enumerate(lines):
        if line.strip() != "with nogil:":
            continue
        indent = len(line) - len(line.lstrip())
        for inside in lines[number + 1 :]:
            if inside.strip() and len(inside) - len(inside.lstrip()) <= indent:
                break
            assert "raise" not in inside.split("#")[0], (
                f"{path.name}:{number + 1} raises without the GIL"
            )


@pytest.mark.parametrize(
    "path", sorted((KERNELS / "kernels").glob("*.[ch]")), ids=lambda path: path.name
)
def test_parsers_of_untrusted_bytes_are_plain_c(path):
    assert "Python.h" not in path.read_text()


def test_every_status_of_the_kernels_has_an_exception():
    import re

    from fastpack import errors

    header = (KERNELS / "kernels" / "status.h").read_text()
    numbers = {int(number) for number in re.findall(r"FP_\w+ = (\d+)", header)}
    assert numbers == {0, *errors._ERRORS}
