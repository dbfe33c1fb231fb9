"""The package as a whole: what it declares, what it loads, and the house rules a machine can check."""

import ast
import importlib.metadata
import importlib.resources
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import timeloop_py

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "timeloop_py"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]

DISTRIBUTION_OF = {"yaml": "pyyaml"}
HEAVY = ("matplotlib", "pandas", "scipy", "sympy")


def imported_names(module: Path) -> set[str]:
    """Top-level names of everything a module imports, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            names.add(node.module.split(".")[0])
    return names


def test_the_version_is_the_one_in_pyproject() -> None:
    assert timeloop_py.__version__ == PROJECT["version"]
    assert importlib.metadata.version("timeloop-py") == PROJECT["version"]


def test_the_package_is_typed() -> None:
    assert importlib.resources.files("timeloop_py").joinpath("py.typed").is_file()


def test_import_loads_no_heavy_library() -> None:
    code = f"import sys, timeloop_py; print([name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_what_is_imported_is_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    requirements = [*PROJECT["dependencies"], *extras["tensors"], *extras["cluster"]]
    declared = {re.split(r"[<>=!~ ;\[]", requirement)[0].lower() for requirement in requirements}
    imported = set().union(*map(imported_names, MODULES)) - set(sys.stdlib_module_names) - {"timeloop_py"}
    assert {DISTRIBUTION_OF.get(name, name) for name in imported} <= declared


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_reads_in_one_sitting(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    assert module.stem not in {"utils", "util", "helpers", "misc", "common"}
    assert not text or ast.get_docstring(ast.parse(text)), "a module says in its first line what lives there"


def test_no_text_of_a_user_is_evaluated() -> None:
    called = {
        f"{module.relative_to(PACKAGE)}: {node.func.id}"
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"eval", "exec", "sympify", "parse_expr"}
    }
    assert not called
