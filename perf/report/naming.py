"""What things are called on the page."""

from __future__ import annotations

from collections.abc import Sequence

from perf.record import Record

SERVERS = {"granian": "Granian", "hypercorn": "Hypercorn"}
_ORDINARY = {"server", "transport", "profile", "role"}


def server(record: Record) -> str:
    """The server's name with its capital, or nothing."""
    told = str(record.setting.get("server") or "")
    return SERVERS.get(told, told)


def line(record: Record) -> str:
    """What tells a run from others of its scenario: the server, and the audit log where it is not durable."""
    audit = str(record.setting.get("audit") or "durable")
    return " ".join(part for part in (server(record) or record.name, audit if audit != "durable" else "") if part)


def lines(records: Sequence[Record]) -> list[str]:
    """A name for each; those of one name are told apart by the settings in which they differ."""
    names = list(map(line, records))
    told = []
    for name, record in zip(names, records, strict=True):
        same = [other for other, its in zip(records, names, strict=True) if its == name]
        differ = {key for other in same for key, value in other.setting.items() if value != record.setting.get(key)}
        told.append(" ".join([name, *(f"{key} {record.setting.get(key)}" for key in sorted(differ))]))
    return told


def server_in(name: str) -> str:
    """The server that a line is of, for its colour."""
    return name.partition(" ")[0]


def settings(record: Record) -> str:
    """Everything else that was set, as ``rate 500, seconds 5``."""
    return ", ".join(
        f"{name} {value}" for name, value in record.setting.items() if name not in _ORDINARY and value not in (None, "")
    )
