"""Who is told what happens to a log."""

from __future__ import annotations

from typing import Protocol


class Watcher(Protocol):
    """Is told what happens to a log, on its threads or on the event loop that appends."""

    def appended(self, records: int) -> None:
        """So many records are in the log."""

    def checkpointed(self) -> None:
        """A checkpoint was signed."""

    def damaged(self, cause: str) -> None:
        """The log is not as it was written; told once."""


class Silent:
    """A watcher that tells nobody."""

    def appended(self, records: int) -> None:
        """Nothing."""

    def checkpointed(self) -> None:
        """Nothing."""

    def damaged(self, cause: str) -> None:
        """Nothing."""
