"""Outcomes in words and signs, never in colour alone."""

from __future__ import annotations

from perf.report.markup import Html, tag


def outcome(met: bool | None, yes: str = "met", no: str = "missed") -> Html:
    """None: nobody knows."""
    if met is None:
        return tag("span", "not measured", class_="open")
    return tag("span", f"✓ {yes}" if met else f"✗ {no}", class_="met" if met else "missed")
