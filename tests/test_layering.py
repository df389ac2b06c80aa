"""The arrows of ARCHITECTURE.md: who may import whom, and what must not be loaded or done at import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fastpack

PACKAGE = Path(__file__).parent.parent / "fastpack"

# Folders of which each module has a layer of its own; any other folder is one module here.
LAYERED = {"packing", "looking", "measuring"}
# Lowest layer first. A module may import modules of layers below its own, never its siblings.
LAYERS = [
    {"errors", "_native"},
    {"checks"},
    {
        "schema",
        "limits",
        "pool",
        "ragged",
        "structs",
        "seal",
        "draws",
        "memory",
        "spool",
        "gate",
        "temporary",
        "locked_folder",
        "naming",
    },
    {
        "shard",
        "batch",
        "transforms",
        "headers",
        "looking.thumbnail",
        "storage",
        "packing.pipeline",
        "order",
        "prefetch",
        "npz",
        "tree",
        "escapes",
        "chunks",
        "checkpoints",
        "files",
        "rejects",
        "packing.room",
        "packing.transcode",
        "packing.metadata",
    },
    {"classes", "index_arrays"},
    {"index", "codecs", "filenames", "splits", "packing.journal"},
    {"kinds", "sidecars", "publication"},
    {"folders"},
    {"containers", "sources", "options", "packing.staging", "marking"},
    {"learned"},
    {"blobs", "indexing", "packing.supply", "packing.selection"},
    {"packing.screen", "packing.alteration", "packing.appending", "imaging", "class_lists"},
    {"packing.packer", "master"},
    {"packing.options"},
    {"packing.plan"},
    {"reader", "packing.pack"},
    {"salvage", "comparison", "looking.lettering", "measuring.advice", "looking.listing", "looking.census", "looking.routes"},
    {"convert", "extract", "verify", "repair", "classic", "looking.preview", "looking.page", "measuring.doctor", "course"},
    {"loader"},
    {"adapter", "measuring.bench"},
    {"torch", "tensorflow", "jax", "huggingface"},
    {"report", "__init__"},
    {"cli"},
    {"__main__"},
]
# Imported lazily inside functions, by whoever names the format.
HEAVY = {"torch", "tensorflow", "jax", "cv2", "h5py", "click", "rich", "pyarrow", "PIL", "datasets"}


def module_of(path: Path) -> str:
    return unit(path.relative_to(PACKAGE).with_suffix("").parts)


def unit(parts: tuple[str, ...]) -> str:
    """What has a layer: a module or folder of fastpack, or a module of a layered folder."""
    return ".".join(parts[:2]) if parts[0] in LAYERED else parts[0]


def layer_of(module: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if module in layer)


def imports_of(path: Path) -> set[str]:
    """The units of fastpack that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "fastpack":
            parts = tuple(node.module.split(".")[1:])
            is_folder = not parts or (len(parts) == 1 and parts[0] in LAYERED)
            found |= {unit((*parts, alias.name)) for alias in node.names} if is_folder else {unit(parts)}
        elif isinstance(node, ast.Import):
            found |= {unit(tuple(alias.name.split(".")[1:])) for alias in node.names if alias.name.startswith("fastpack.")}
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    module = module_of(path)
    for imported in imports_of(path) - {module}:
        allowed = layer_of(imported) < layer_of(module)
        assert allowed, f"{path.name}: {module} (layer {layer_of(module)}) imports {imported} (layer {layer_of(imported)})"


@pytest.mark.parametrize(("folder", "stranger"), [("codecs", "containers"), ("containers", "codecs"), ("sources", "containers")])
def test_strangers(folder, stranger):
    for path in (PACKAGE / folder).glob("*.py"):
        assert stranger not in imports_of(path)


def test_containers_do_not_know_each_other():
    for path in (PACKAGE / "containers").glob("*.py"):
        others = {"tfrecord", "hdf5", "tar", "folder"} - {path.stem.split("_")[0]}
        assert path.stem == "__init__" or not [other for other in others if f"containers.{other}" in path.read_text()]


def test_reader_does_not_know_which_container_it_reads():
    text = (PACKAGE / "reader.py").read_text()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            assert node.module not in ("fastpack.containers.tfrecord", "fastpack.containers.hdf5")
        if isinstance(node, ast.Compare):
            values = [operand.value for operand in ast.walk(node) if isinstance(operand, ast.Constant)]
            assert not {"tfrecord", "hdf5"} & {value for value in values if isinstance(value, str)}


def run_fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_import_loads_nothing_heavy():
    loaded = run_fresh("import sys, fastpack; print(*{name.split('.')[0] for name in sys.modules})")
    assert not HEAVY & set(loaded.split())


def test_import_leaves_writing_for_later():
    loaded = set(run_fresh("import sys, fastpack; print(*sys.modules)").split())
    assert not {f"fastpack.{name}" for name in ("classic", "convert", "extract", "packing", "repair", "sources", "verify")} & loaded
    assert not {"hashlib", "tempfile", "numpy.ma"} & loaded


@pytest.mark.parametrize(
    "code", ["from fastpack import *", "import fastpack.extract, fastpack.verify; from fastpack import extract, verify"]
)
def test_functions_are_not_hidden_by_modules_of_their_name(code):
    shown = "verify is f.verify, callable(f.extract), callable(verify), {*f.__all__} <= {*dir(f)}"
    out = run_fresh(f"{code}; import fastpack as f; print({shown})")
    assert out.split() == ["True"] * 4


def test_unknown_names_are_attribute_errors():
    assert not hasattr(fastpack, "unpack")


def test_import_starts_no_thread_and_opens_no_pool():
    out = run_fresh("import threading, fastpack, fastpack.pool as p; print(threading.active_count(), len(p._pools))")
    assert out.split() == ["1", "0"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_environment_pickle_eval_or_print(path):
    tree = ast.parse(path.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not {"eval", "exec", "print"} & names
    assert path.name == "loader.py" or not {"environ", "getenv"} & attributes  # rank="auto" asks for it
    assert not {"pickle", "marshal", "shelve"} & modules


# Size is a smoke alarm: it points at files and functions to look at again.
LONG_FUNCTIONS: set[str] = set()
MANY_PARAMETERS = {"build_indexes", "convert"}  # each is about the files; how they are read is one value


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name not in LONG_FUNCTIONS:
            assert node.end_lineno - node.lineno < 60, f"{node.name} is long"
            parameters = [*node.args.args, *node.args.kwonlyargs]
            is_public = not node.name.startswith("_") and "cli" not in path.parts  # a command takes what it has options
            count = len([p for p in parameters if p.arg not in ("self", "cls")])
            assert not is_public or count <= 7 or node.name in MANY_PARAMETERS, f"{node.name} takes {count} parameters"


KERNELS = Path(__file__).parent.parent / "src_cython"


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
            assert "raise" not in inside.split("#")[0], f"{path.name}:{number + 1} raises without the GIL"


@pytest.mark.parametrize("path", sorted((KERNELS / "kernels").glob("*.[ch]")), ids=lambda path: path.name)
def test_parsers_of_untrusted_bytes_are_plain_c(path):
    assert "Python.h" not in path.read_text()


def test_every_status_of_the_kernels_has_an_exception():
    import re

    from fastpack import errors

    header = (KERNELS / "kernels" / "status.h").read_text()
    numbers = {int(number) for number in re.findall(r"FP_\w+ = (\d+)", header)}
    assert numbers == {0, *errors._STATUSES}
