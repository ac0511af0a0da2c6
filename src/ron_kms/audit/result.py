"""What the check of a log has found."""

from __future__ import annotations

from typing import NamedTuple

from ron_kms.audit.checkpoint import Verified

MAX_FINDINGS = 100
"""More are counted, not kept."""


class Finding(NamedTuple):
    """Something that is wrong.

    :ivar file: which part of the log, by its path; empty for the whole.
    :ivar record: index of the first record that it concerns.
    :ivar byte: where in the file.
    """

    what: str
    file: str = ""
    record: int | None = None
    byte: int | None = None

    def __str__(self) -> str:
        place = self.file + (f", byte {self.byte}" if self.byte is not None else "")
        return f"{place}: {self.what}" if place else self.what


class Absent(NamedTuple):
    """Records that are not there to be read, first and last.

    :ivar hashed: whether their own hashes are there; if not, they count by those of their tiles.
    """

    first: int
    last: int
    hashed: bool


class Result:
    """What came of it.

    :ivar verified: the checkpoint and who has signed it; None where it cannot be read.
    :ivar records: how many were read and decoded.
    :ivar waiting: records behind the checkpoint, in the journal; None where there is none to look at.
    :ivar proven: whether the records, or the hashes that stand for absent ones, give the checkpoint's root.
    """

    def __init__(self) -> None:
        self.verified: Verified | None = None
        self.records = 0
        self.waiting: int | None = None
        self.proven = False
        self.findings: list[Finding] = []
        self.count = 0
        self.absent: list[Absent] = []

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.count == 0

    def add(self, finding: Finding) -> None:
        self.count += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)

    def miss(self, first: int, last: int, hashed: bool) -> None:
        before = self.absent[-1] if self.absent else None
        if before is not None and before.last + 1 == first and before.hashed == hashed:
            self.absent[-1] = Absent(before.first, last, hashed)
        else:
            self.absent.append(Absent(first, last, hashed))
