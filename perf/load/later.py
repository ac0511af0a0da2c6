"""Modules found by name, where some are known and have not come yet."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any


class NotYet(LookupError):
    """It is known by name, and not there."""


def load(package: str, name: str, later: Sequence[str]) -> Any:
    """The module of this name in a package.

    :raises NotYet: there is none, and its name is among ``later``.
    :raises LookupError: there is none, and never will be.
    """
    there = [one.name for one in pkgutil.iter_modules(importlib.import_module(package).__path__)]
    if name in there:
        return importlib.import_module(f"{package}.{name}")
    kind = package.rpartition(".")[2].removesuffix("s")
    if name in later:
        raise NotYet(f"{kind} {name}: not yet")
    raise LookupError(f"{kind} {name}: there is none; there are {', '.join(there)}")
