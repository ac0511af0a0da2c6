"""Waivers: a drift that is known, let through up to a limit until a day.

A file is one waiver, in TOML::

    gate = "cpu"
    suite = "load"
    name = "steady"
    of = "sign ed25519"             # optional: only this measure
    setting = { server = "granian" }  # optional: only where these are so
    up_to = 0.25                    # what the gate allows instead of its own limit
    reason = "The new check of X costs a fifth of a signature until Y is there."
    link = "https://github.com/..."
    expires = 2026-12-31
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from perf.drift.files import CannotJudge
from perf.drift.gates import GATES
from perf.drift.judge import Finding
from perf.record import ROOT, Value

FOLDER = ROOT / "perf" / "waivers"
LONGEST = dt.timedelta(days=90)
"""A drift that stays longer is the new baseline, or a fault."""


class Waiver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See the module."""

    gate: str
    suite: str
    name: str
    up_to: float
    reason: str
    link: str
    expires: dt.date
    of: str | None = None
    setting: dict[str, Value] = {}

    def covers(self, finding: Finding) -> bool:
        """It is about this measure, whatever its value."""
        record = finding.record
        return (
            (self.gate, self.suite, self.name) == (finding.gate.name, record.suite, record.name)
            and self.of in {None, finding.of}
            and all(record.setting.get(key) == value for key, value in self.setting.items())
        )

    def allows(self, finding: Finding) -> bool:
        return self.covers(finding) and finding.change.value <= self.up_to


class Kept(NamedTuple):
    """A waiver and its file's name."""

    file: str
    waiver: Waiver


def read(folder: Path) -> list[Kept]:
    """All of a folder.

    :raises CannotJudge: one is not as it must be; the message says what.
    """
    return [Kept(path.name, _read(path)) for path in sorted(folder.glob("*.toml"))]


def expired(kept: Sequence[Kept], today: dt.date) -> list[Kept]:
    return [one for one in kept if one.waiver.expires < today]


def too_long(kept: Sequence[Kept], today: dt.date) -> list[Kept]:
    return [one for one in kept if one.waiver.expires > today + LONGEST]


def _read(path: Path) -> Waiver:
    try:
        waiver = msgspec.convert(tomllib.loads(path.read_text()), Waiver)
    except OSError as error:
        raise CannotJudge(f"waiver {path.name}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise CannotJudge(f"waiver {path.name}: {error}") from None
    limits = {gate.name: gate.limit for gate in GATES}
    if waiver.gate not in limits:
        raise CannotJudge(f"waiver {path.name}: there is no gate {waiver.gate}; there are {', '.join(limits)}")
    if not limits[waiver.gate] < waiver.up_to < float("inf"):
        raise CannotJudge(f"waiver {path.name}: up_to must be more than the gate's own limit {limits[waiver.gate]:g}")
    if not waiver.reason.strip():
        raise CannotJudge(f"waiver {path.name}: it gives no reason")
    if not waiver.link.startswith("https://"):
        raise CannotJudge(f"waiver {path.name}: link must be an https:// address")
    return waiver
