"""Inputs that once broke a target, by its name; each stays a test."""

from __future__ import annotations

FINDINGS: dict[str, tuple[bytes, ...]] = {}
