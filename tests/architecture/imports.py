"""Reads who imports whom out of the package's sources, without running them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import ron_kms

PACKAGE = Path(ron_kms.__file__).parent
"""The package as it is installed: the source tree, or a wheel without its Cython sources."""

_CYTHON = re.compile(r"^\s*(?:from\s+([\w.]+)\s+)?c?import\s+(\([^)]*\)|[^\n#]+)", re.MULTILINE)


class Import(NamedTuple):
    """One import, wherever it is in the file: ``importer`` needs ``imported``, both dotted names."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}: imports {self.imported}"


def sources(*suffixes: str) -> list[Path]:
    """The package's files with these suffixes."""
    return sorted(path for path in PACKAGE.rglob("*") if path.suffix in suffixes)


def module_name(path: Path) -> str:
    """``ron_kms.store.keys`` for its file; what ``_core.pyx`` includes belongs to ``ron_kms._core``."""
    inside = path.relative_to(PACKAGE)
    if inside.suffix == ".pxi":
        return "ron_kms._core"
    parts = inside.with_suffix("").parts
    return ".".join(("ron_kms", *(parts[:-1] if parts[-1] == "__init__" else parts)))


@cache
def modules() -> frozenset[str]:
    """Every module of the package, compiled ones included."""
    compiled = {f"ron_kms.{path.name.split('.')[0]}" for path in PACKAGE.glob("*.so")}
    return frozenset(compiled | {module_name(path) for path in sources(".py", ".pyx")})


@cache
def imports() -> tuple[Import, ...]:
    """Every import in the package, at the top of a file, in a function, or for types only."""
    found = [item for path in sources(".py") for item in _python(path)]
    return tuple(found + [item for path in sources(".pyx", ".pxi") for item in _cython(path)])


def _python(path: Path) -> Iterator[Import]:
    importer = module_name(path)
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(importer, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{importer}, line {node.lineno}: relative imports hide which floor is meant"
            for alias in node.names:
                yield Import(importer, _resolve(node.module or "", alias.name), node.lineno)


def _cython(path: Path) -> Iterator[Import]:
    importer = module_name(path)
    text = path.read_text()
    for match in _CYTHON.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        for alias in re.split(r"\s*,\s*", match[2].strip("() \n")):
            name = alias.split()[0] if alias else ""
            if match[1]:
                yield Import(importer, _resolve(match[1], name), line)
            elif name:
                yield Import(importer, name, line)


def _resolve(module: str, name: str) -> str:
    """``from module import name``: the module that is meant, which may be ``module.name``."""
    inner = f"{module}.{name}"
    return inner if inner in modules() else module
