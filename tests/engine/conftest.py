"""A store of its own for every test."""

from __future__ import annotations

from tests.store.conftest import place, store

__all__ = ["place", "store"]
