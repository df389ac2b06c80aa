"""Tests that look at their process run in one of their own."""

import ast
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT

TESTS = ROOT / "tests"
# Belongs to the whole process, and so to all tests that ran in it before.
PROCESS_WIDE = {
    "os.killpg",
    "resource.getrlimit",
    "resource.getrusage",
    "resource.setrlimit",
    "signal.alarm",
    "signal.setitimer",
    "signal.signal",
    "threading.active_count",
    "threading.enumerate",
}
OWN_FILES = "/proc/self"
MODULES = sorted([*TESTS.rglob("test_*.py"), *(ROOT / "benches").glob("test_*.py")])


def looks_at_process(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and node.value.startswith(OWN_FILES)
    return isinstance(node, ast.Attribute | ast.Call) and (
        ast.unparse(node) in PROCESS_WIDE or ast.unparse(node).startswith("os.kill(os.getpid()")
    )


def is_isolated(function: ast.FunctionDef) -> bool:
    return any("isolated" in ast.unparse(decorator) for decorator in function.decorator_list)


def offenders(source: str) -> Iterator[str]:
    """Names tests that inspect their process, directly or through a function of their module."""
    module = ast.parse(source)
    if any(
        isinstance(node, ast.Assign) and ast.unparse(node) == "pytestmark = pytest.mark.isolated"
        for node in module.body
    ):
        return
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    looking = {
        name
        for name, function in functions.items()
        if any(map(looks_at_process, ast.walk(body_of(function))))
    }
    while (
        more := {name for name, function in functions.items() if looking & names_in(function)}
        - looking
    ):
        looking |= more
    yield from sorted(
        name for name in looking if name.startswith("test_") and not is_isolated(functions[name])
    )


def body_of(function: ast.FunctionDef) -> ast.Module:
    return ast.Module(function.body, [])


def names_in(function: ast.FunctionDef) -> set[str]:
    called = {node.id for node in ast.walk(body_of(function)) if isinstance(node, ast.Name)}
    fixtures = {argument.arg for argument in function.args.args}
    return called | fixtures | set(fixtures_used(function))


def fixtures_used(function: ast.FunctionDef) -> Iterator[str]:
    for decorator in function.decorator_list:
        if "usefixtures" in ast.unparse(decorator):
            yield from (
                node.value for node in ast.walk(decorator) if isinstance(node, ast.Constant)
            )


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_tests_that_look_at_their_process_are_isolated(module):
    assert list(offenders(module.read_text())) == [], "mark these tests with @pytest.mark.isolated"


@pytest.mark.parametrize(
    "body",
    [
        "def test_x():\n    assert os.listdir('/proc/self/fd')",
        "def count():\n    return threading.active_count()\ndef test_x():\n    assert count()",
        "@pytest.fixture\ndef few():\n    resource.setrlimit(1, (2, 3))\n"
        "def test_x(few):\n    pass",
        "@pytest.fixture\ndef few():\n    resource.setrlimit(1, (2, 3))\n"
        "@pytest.mark.usefixtures('few')\ndef test_x():\n    pass",
        "def test_x():\n    os.kill(os.getpid(), 2)",
    ],
)
def test_such_tests_are_found(body):
    assert list(offenders(body)) == ["test_x"]
    assert list(offenders(body.replace("def test_x", "@pytest.mark.isolated\ndef test_x"))) == []


@pytest.mark.isolated
def test_an_isolated_test_has_a_process_of_its_own(request):
    """The parent collects many modules; the child was given one test."""
    assert request.session.testscollected == 1
