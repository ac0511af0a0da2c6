"""The package as others meet it: small files, light to import, typed, one version."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ron_kms import _core
from tests.architecture.imports import PACKAGE, sources

TESTS = Path(__file__).parents[1]
PROJECT = TESTS.parent / "pyproject.toml"

MOST_LINES = 420

NOT_DATA = {".py", ".pyc", ".pyx", ".pxi", ".c", ".so"}
"""What is compiled, or a module; all other files have to be named as package data."""

HEAVY = {"alembic", "click", "h2", "hypercorn", "prometheus_client", "pysqlite3", "sqlalchemy", "starlette", "uvloop"}


def test_no_file_is_too_long_to_hold_in_the_head() -> None:
    files = [*sources(".py", ".pyx", ".pxi", ".pyi"), *sorted(TESTS.rglob("*.py"))]
    long = {str(path): lines for path in files if (lines := len(path.read_text().splitlines())) > MOST_LINES}
    assert long == {}


def test_beside_an_installed_wheel_nothing_is_measured() -> None:
    """perf is not in the wheel, and its tests are left out where it is not beside them."""
    modules = sorted((TESTS / "perf").glob("test_*.py"))
    assert [path.name for path in modules if "allow_module_level=True" not in path.read_text()] == []


def test_import_loads_neither_server_nor_sql() -> None:
    program = "import sys, ron_kms; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()


def test_a_worker_loads_no_server_before_one_is_chosen_and_no_migrations() -> None:
    program = "import sys, ron_kms.server.worker; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {"alembic", "granian", "hypercorn", "mako"} == set()


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert [path.name for path in sources(".pyx") if not path.with_suffix(".pyi").is_file()] == []


def test_the_stub_of_the_core_is_the_core() -> None:
    body = ast.parse((PACKAGE / "_core.pyi").read_text()).body
    stubbed = {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    stubbed |= {
        node.target.id for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    own = {
        name
        for name, value in vars(_core).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == "ron_kms._core"
    }
    assert own - stubbed == set(), "in the core, not in its stub"
    assert {name for name in stubbed if not hasattr(_core, name)} == set(), "in the stub, not in the core"


@pytest.mark.skipif(not PROJECT.is_file(), reason="pyproject.toml is not beside the tests")
def test_every_file_of_the_package_is_shipped() -> None:
    shipped = tomllib.loads(PROJECT.read_text())["tool"]["setuptools"]["package-data"]["*"]
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in NOT_DATA]
    assert [str(path) for path in files if not any(path.match(pattern) for pattern in shipped)] == []


@pytest.mark.skipif(not PROJECT.is_file(), reason="pyproject.toml is not beside the tests")
def test_one_version_everywhere() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    assert importlib.metadata.version("ron-kms") == project["version"]


@pytest.mark.skipif(not PROJECT.is_file(), reason="pyproject.toml is not beside the tests")
def test_what_builds_the_package_is_said_once() -> None:
    project = tomllib.loads(PROJECT.read_text())
    assert sorted(project["build-system"]["requires"]) == sorted(project["dependency-groups"]["build"])
