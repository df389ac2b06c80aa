"""Tests find their place by what they test, and share code by way of `tests/support` alone."""

import ast

import pytest

from tests.support.paths import ROOT

TESTS = ROOT / "tests"
MAX_ENTRIES = 20
FILES = sorted(TESTS.rglob("*.py"))


def modules_imported_by(source: str) -> set[str]:
    """Dotted names, also of what is imported from a package."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def is_forbidden(module: str) -> bool:
    """Other tests' modules, and relative imports, which hide where they lead."""
    in_tests = module.split(".")[0] == "tests" and module != "tests"
    is_test = any(part.startswith("test_") for part in module.split("."))
    return module.startswith(".") or is_test or (in_tests and module.split(".")[1] != "support")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_shared_code_is_in_support(path):
    forbidden = {module for module in modules_imported_by(path.read_text()) if is_forbidden(module)}
    assert not forbidden, (
        f"move what {path.relative_to(ROOT)} takes of these modules to tests/support"
    )


@pytest.mark.parametrize(
    "code",
    [
        "from tests.core.test_values import X",
        "from tests.core import test_values",
        "import test_values",
        "from . import test_values",
    ],
)
def test_imports_of_tests_are_found(code):
    assert any(map(is_forbidden, modules_imported_by(code)))


def test_the_top_level_shows_what_is_tested():
    entries = [entry.name for entry in TESTS.iterdir() if entry.name != "__pycache__"]
    assert len(entries) <= MAX_ENTRIES


def test_each_test_is_in_a_folder():
    assert not list(TESTS.glob("test_*.py"))
