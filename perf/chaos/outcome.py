"""The newest outcome of each drill, as the table of docs/performance/chaos.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from perf import record
from perf.chaos.drill import Drill
from perf.record import Record

SERVERS = ("hypercorn", "granian")


def newest(folder: Path) -> dict[tuple[str, str], Record]:
    """Records of drills by name and server; what is no record of this schema is left out by its suite's name."""
    found: dict[tuple[str, str], Record] = {}
    for one in map(record.load, sorted(folder.glob("chaos-*.json"))):
        key = one.name, str(one.setting.get("server"))
        if key not in found or found[key].at <= one.at:
            found[key] = one
    return found


def table(drills: Mapping[str, Drill], folder: Path) -> str:
    """A row a drill: how many statements held on each server, those that did not, and the figures that tell most."""
    found = newest(folder)
    lines = ["| drill | Hypercorn | Granian |", "|---|---|---|"]
    for drill in drills.values():
        cells = [_cell(drill, found.get((drill.name, server))) for server in SERVERS]
        lines.append("| " + " | ".join((drill.name, *cells)) + " |")
    return "\n".join(lines)


def _cell(drill: Drill, made: Record | None) -> str:
    if made is None:
        return "not run"
    checks = {check["key"]: check for check in made.detail["checks"]}
    broken = [check["statement"] for check in checks.values() if not check["held"]]
    told = [f"{sum(check['held'] for check in checks.values())} of {len(checks)}"]
    told += [f"**broken**: {statement}" for statement in broken]
    told += [checks[key]["seen"] for key in drill.tells if key in checks]
    return "; ".join(told)
