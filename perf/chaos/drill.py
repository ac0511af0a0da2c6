"""What a drill is: statements in words, a harm that is done, and whether each statement held."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from perf.load.service import HERE, Place, Service, serving
from perf.record import Measure


class NotHere(Exception):
    """This machine cannot do the harm; says what is missing."""


class Check(NamedTuple):
    """One statement, and what came of it.

    :ivar held: whether it did; a statement that the drill did not come to has not.
    :ivar seen: the figures that tell.
    """

    key: str
    statement: str
    held: bool
    seen: str


@dataclass(frozen=True)
class Drill:
    """
    :ivar what: the harm, in a sentence.
    :ivar holds: what must hold meanwhile and afterwards, by a short name.
    :ivar run: does the harm to services of its own, and reports each statement.
    :ivar tells: the statements whose figures say most.
    """

    name: str
    what: str
    holds: Mapping[str, str]
    run: Callable[[Trial], None]
    tells: tuple[str, ...] = ()


@dataclass
class Trial:
    """One run of a drill.

    :ivar server: ``KMS_SERVER`` of its services.
    :ivar seconds: about how long the harm lasts.
    """

    drill: Drill
    server: str
    seconds: float
    measures: list[Measure] = field(default_factory=list)
    _found: dict[str, Check] = field(default_factory=dict)

    def serving(self, workers: int = 1, place: Place = HERE, /, **settings: str) -> AbstractContextManager[Service]:
        """A service on the first cores; its load comes from the last."""
        cores = sorted(os.sched_getaffinity(0))[:workers]
        given = {"server": self.server, "workers": str(workers), **settings}
        return serving(cores, place, **given)

    def check(self, key: str, held: bool, seen: str) -> None:
        """Report a statement; said more than once, each time must hold."""
        before = self._found.get(key)
        if before is not None:
            held, seen = before.held and held, f"{before.seen}; {seen}"
        self._found[key] = Check(key, self.drill.holds[key], held, seen)

    def measure(self, kind: str, of: str, *rounds: float) -> None:
        self.measures.append(Measure(kind, of, rounds))

    def checks(self) -> list[Check]:
        """All statements in their order."""
        return [
            self._found.get(key) or Check(key, statement, False, "the drill did not come to it")
            for key, statement in self.drill.holds.items()
        ]


def until(condition: Callable[[], Any], seconds: float) -> float | None:
    """Seconds until it is true; None: not in time."""
    began = time.monotonic()
    while True:
        if condition():
            return time.monotonic() - began
        if time.monotonic() - began > seconds:
            return None
        time.sleep(0.02)


def said(seconds: float | None) -> str:
    """A time that :func:`until` gave, in words."""
    return "not in time" if seconds is None else f"after {seconds:.1f} s"
