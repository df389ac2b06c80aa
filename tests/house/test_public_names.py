"""Public names: at most 30 in fastpack, the others in its folders, and former names still work."""

import inspect
from importlib import import_module

import pytest

import fastpack
from fastpack.errors import OptionError
from tests.support.subprocesses import run_python

FOLDERS = ("core", "formats", "integrity", "loading", "packing", "reading", "sources")
NEW_NAMES = {
    "Extracted": "packing.ExtractResult",
    "Indexed": "formats.IndexResult",
    "Packed": "packing.PackResult",
    "Paths": "sources.ImageFiles",
    "Repaired": "integrity.RepairResult",
    "Verified": "integrity.VerifyResult",
    "folder": "from_folder",
    "table": "from_table",
    "write_master": "packing.write_virtual_dataset",
    "ExtractResult": "packing.ExtractResult",
    "FastpackWarning": "errors.FastpackWarning",
    "Field": "core.Field",
    "ImageFiles": "sources.ImageFiles",
    "Index": "formats.Index",
    "IndexResult": "formats.IndexResult",
    "LoaderOptions": "loading.LoaderOptions",
    "PackResult": "packing.PackResult",
    "Ragged": "core.Ragged",
    "Reject": "packing.Reject",
    "RepairResult": "integrity.RepairResult",
    "Schema": "core.Schema",
    "Sequential": "reading.Sequential",
    "Text": "core.Text",
    "VerifyResult": "integrity.VerifyResult",
    "create_hdf5": "packing.snippets.create_hdf5",
    "read_hdf5": "packing.snippets.read_hdf5",
    "read_tfrecord": "packing.snippets.read_tfrecord",
    "write_tfrecord": "packing.snippets.write_tfrecord",
    "write_virtual_dataset": "packing.write_virtual_dataset",
}


def test_at_most_30_names():
    assert len(fastpack.__all__) <= 30
    assert fastpack.__all__ == sorted(fastpack.__all__)
    shown = {name for name in dir(fastpack) if not name.startswith("__")}
    assert shown == {*fastpack.__all__, *FOLDERS, "errors"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_export_names(folder):
    module = import_module(f"fastpack.{folder}")
    assert {*module.__all__} <= {*dir(module)}
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("name", fastpack.__all__)
def test_names_are_imported_at_first_use(name):
    assert getattr(fastpack, name).__name__ == name


@pytest.mark.parametrize(("former", "new"), NEW_NAMES.items())
def test_former_names_work_with_a_warning(former, new):
    folder, _, name = f"fastpack.{new}".rpartition(".")
    with pytest.warns(
        DeprecationWarning, match=rf"fastpack\.{former} is now fastpack\.{new}$"
    ) as w:
        found = getattr(fastpack, former)
    assert found is getattr(import_module(folder), name)
    assert [warning.filename for warning in w] == [__file__]


def test_unknown_names_are_attribute_errors():
    assert not hasattr(fastpack, "unpack")
    with pytest.raises(ImportError, match="unpack"):
        from fastpack import unpack  # noqa: F401


def test_folders_are_there_without_an_import():
    code = "import fastpack; print(fastpack.errors.OptionError, fastpack.packing.snippets.__name__)"
    assert run_python(code).split()[-1] == "fastpack.packing.snippets"


def test_import_loads_neither_numpy_nor_kernels():
    loaded = run_python("import sys, fastpack; print(*sys.modules)").split()
    ours = {name for name in loaded if name.startswith("fastpack")}
    assert ours == {"fastpack", "fastpack.core", "fastpack.core.lazy"}
    assert "numpy" not in loaded


@pytest.mark.parametrize(
    ("options", "former", "new"),
    [
        (fastpack.ReadOptions, "checkpoints", "seek_points"),
        (fastpack.PackOptions, "checkpoints", "seek_points"),
        (fastpack.PackOptions, "shuffle", "byte_shuffle"),
        (fastpack.PackOptions, "master", "virtual"),
    ],
)
def test_former_options_are_refused_with_the_new_name(options, former, new):
    with pytest.raises(OptionError, match=f"the option {former} is now {new}"):
        options(**{former: True})


def test_open_refuses_former_options(digits):
    with pytest.raises(OptionError, match="the option checkpoints is now seek_points"):
        fastpack.open(digits, checkpoints=True)


def public_functions():
    found = {name: getattr(fastpack, name) for name in fastpack.__all__}
    for folder in FOLDERS:
        module = import_module(f"fastpack.{folder}")
        found |= {f"{folder}.{name}": getattr(module, name) for name in module.__all__}
    return {name: value for name, value in found.items() if inspect.isfunction(value)}


@pytest.mark.parametrize("name", public_functions())
def test_public_functions_document_arguments_results_and_errors(name):
    text = inspect.getdoc(public_functions()[name])
    for section in ("Args:", "Raises:", "Example:"):
        assert f"\n{section}\n" in text
    returns_something = "-> None" not in str(inspect.signature(public_functions()[name]))
    assert ("\nReturns:\n" in text) == returns_something


def public_classes():
    found = {name: getattr(fastpack, name) for name in fastpack.__all__}
    return {name: value for name, value in found.items() if inspect.isclass(value)}


@pytest.mark.parametrize("name", sorted(public_classes().keys() - {"FastpackError", "Reader"}))
def test_public_classes_document_their_fields(name):
    text = inspect.getdoc(public_classes()[name])
    assert "\nArgs:\n" in text
    assert "\nExample:\n" in text
