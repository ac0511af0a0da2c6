"""What a run's clients saw."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

_CODE = re.compile(rb'"code":"(\w+)"')


def _numbers() -> array[float]:
    return array("d")


@dataclass
class Seen:
    """What came of a stream, within the window that is measured.

    :ivar latencies: seconds of each answer with a 2xx status, by the name of its request.
    :ivar came: when each of these came, in seconds after the start of the run.
    :ivar refusals: seconds of each answer that is none.
    :ivar refused: when these came.
    :ivar statuses: all answers by status; 0 stands for a stream that was reset or lost.
    :ivar codes: those that are not 2xx by the code in the error's body.
    :ivar unsent: arrivals that found no connection to go out on before the end, or at all where the stream drops them.
    :ivar answered: answers with a 2xx status in and outside of the window.
    """

    latencies: dict[str, array[float]] = field(default_factory=dict)
    came: dict[str, array[float]] = field(default_factory=dict)
    refusals: array[float] = field(default_factory=_numbers)
    refused: array[float] = field(default_factory=_numbers)
    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    unsent: int = 0
    answered: int = 0

    def note(self, name: str, status: int, body: bytes, latency: float, came: float, measured: bool) -> None:
        """One request's end."""
        good = 200 <= status < 300
        self.answered += good
        if not measured:
            return
        self.statuses[status] += 1
        if good:
            if name not in self.latencies:
                self.latencies[name], self.came[name] = _numbers(), _numbers()
            self.latencies[name].append(latency)
            self.came[name].append(came)
        else:
            self.refusals.append(latency)
            self.refused.append(came)
            if (code := _CODE.search(body)) is not None:
                self.codes[code[1].decode()] += 1

    @property
    def times(self) -> Iterator[float]:
        """When answers came, those of one request's name after those of another."""
        return chain.from_iterable(self.came.values())


@dataclass
class Outcome:
    """A run: by stream, and how busy the generator itself was (1.0 is its whole core: then it is the bottleneck).

    :ivar window: seconds that were measured.
    """

    seen: dict[str, Seen]
    window: float
    busy: float


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that this share of all does not exceed; values sorted."""
    return values[min(len(values) - 1, max(0, math.ceil(share * len(values)) - 1))] if values else math.nan


def label(name: str, stream: str, streams: int) -> str:
    """What a figure is of: ``sign ed25519``, and of which clients where there are several kinds."""
    return name if streams == 1 else f"{name}, {stream}"
