"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import ron_kms

# Alembic runs its environment itself, and the build script needs the build's packages.
NOT_IMPORTED = ("ron_kms.store.migrations.", "ron_kms._oqs_build")

MODULES = [
    "ron_kms",
    *(
        module.name
        for module in pkgutil.walk_packages(ron_kms.__path__, "ron_kms.")
        if not module.name.startswith(NOT_IMPORTED)
    ),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
