"""What ``ron-kms audit`` tells people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from ron_kms.audit.note import NoteKey
from ron_kms.audit.reading import Entry
from ron_kms.audit.result import Finding, Result

HEADING = ("time", "record", "operation", "result", "items", "key", "tenant", "actor")
_WIDTHS = (24, 12, 10, 14, 9, 52, 12, 0)


def moment(micros: int) -> str:
    """``2026-11-23T20:00:00.000Z``; a number that is no time stays a number."""
    try:
        text = datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return str(micros)
    return text.replace("+00:00", "Z")


def row(log: str, entry: Entry) -> str:
    """A record as a line of a table."""
    record = entry.record
    items = str(record.count) if not record.failures else f"{record.count}-{record.failures}"
    result = record.result if record.reason is None else f"{record.result} ({record.reason})"
    return line(
        (
            moment(record.time),
            f"{log}#{entry.number}",
            record.operation,
            result,
            items,
            record.kid or "-",
            record.tenant or "-",
            record.actor,
        )
    )


def line(cells: Iterable[str]) -> str:
    """Cells in their columns; what a terminal could take for a command is shown as what it is."""
    return "  ".join(_shown(cell).ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()


def as_json(origin: str, entry: Entry) -> str:
    """A record as a line of JSON, with its log and index."""
    record = entry.record
    fields: dict[str, Any] = {name: getattr(record, name) for name in record.__struct_fields__}
    digest = record.digest.hex() if record.digest is not None else None
    told = {"origin": origin, "index": entry.number, **fields, "digest": digest, "time": moment(record.time)}
    return json.dumps(told, ensure_ascii=True)


def describe(name: str, result: Result, given: bool, seconds: float) -> list[str]:
    """What was found of one log, in lines."""
    lines = []
    if result.verified is not None:
        checkpoint = result.verified.checkpoint
        times = [moment(time * 1_000_000) for time in result.verified.times.values()]
        lines.append(f"{_shown(checkpoint.origin)}: {checkpoint.size:,} records, root {checkpoint.root.hex()}")
        when = f", at {times[0]}" if times else ""
        whose = "keys that you gave" if given else "the keys recorded beside it"
        lines.append(f"  signed by {whose}{when}: {_keys(result.verified.signed)}")
        rate = f" in {seconds:.1f} s, {result.records / seconds:,.0f} a second" if seconds >= 0.1 else ""
        lines.append(f"  {result.records:,} records read{rate}")
    else:
        lines.append(f"{_shown(name)}: not checked any further")
    for absent in result.absent:
        what = "by their own hashes" if absent.hashed else "by the hashes above their tiles"
        lines.append(f"  records {absent.first:,} to {absent.last:,} are not here; they count {what}")
    if result.waiting:
        lines.append(f"  {result.waiting:,} records wait in the journal for the next checkpoint")
    lines += [f"  WRONG: {_shown(str(finding))}" for finding in result.findings]
    if result.count > len(result.findings):
        lines.append(f"  WRONG: and {result.count - len(result.findings):,} more")
    if result.whole and result.absent:
        lines.append("  whole, but for what is not here: all else, and the signatures, are as they were written")
    elif result.whole:
        lines.append("  whole: records, tiles and signatures are as they were written")
    elif result.proven:
        lines.append("  the tree itself is proven: what is right gives the root of the checkpoint")
    return lines


def result_json(name: str, result: Result, given: bool, seconds: float) -> str:
    """The same as a line of JSON."""
    verified = result.verified
    told: dict[str, Any] = {
        "log": name,
        "whole": result.whole,
        "proven": result.proven,
        "records": result.records,
        "waiting": result.waiting,
        "seconds": round(seconds, 3),
        "keys": "given" if given else "recorded",
        "findings": [_finding(finding) for finding in result.findings],
        "findings_count": result.count,
        "absent": [absent._asdict() for absent in result.absent],
    }
    if verified is not None:
        root = verified.checkpoint.root.hex()
        told |= {"origin": verified.checkpoint.origin, "size": verified.checkpoint.size, "root": root}
        told["signed"] = [{"algorithm": key.algorithm, "key_id": key.id.hex()} for key in verified.signed]
    return json.dumps(told)


def _finding(finding: Finding) -> dict[str, Any]:
    return {name: value for name, value in finding._asdict().items() if value not in (None, "")}


def _keys(keys: Sequence[NoteKey]) -> str:
    return ", ".join(f"{key.algorithm} {key.id.hex()}" for key in keys)


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
