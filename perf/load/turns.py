"""Several loads measured in turns, a round of each after the other: what disturbs the machine disturbs all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from perf import record
from perf.load.figures import to_record
from perf.load.generator import Stream
from perf.load.rounds import Round, calibrate, take
from perf.load.service import Service
from perf.load.wire import Request


@dataclass
class Turn:
    """One of those that take turns: one kind of request against one service.

    :ivar name: of its record.
    :ivar payload: bytes of the bodies of a request and its answer; 0 where nobody asks.
    :ivar capacity: operations a second that a closed loop has reached.
    """

    name: str
    service: Service
    requests: Sequence[Request]
    payload: int = 0
    capacity: float = 0.0
    rounds: list[Round] = field(default_factory=list)

    @property
    def of(self) -> str:
        """What its measures are of."""
        return self.requests[0].name


def find_capacities(turns: Sequence[Turn], connections: int, depth: int, seconds: float) -> None:
    """Load each as far as it goes, one after the other, for so many seconds."""
    for turn in turns:
        closed = Stream("all", turn.requests, None, connections, depth)
        turn.capacity = calibrate(turn.service, [closed], seconds)


def measure(turns: Sequence[Turn], rates: Sequence[float], seconds: float, count: int, connections: int) -> None:
    """Rounds of each at its rate, another one first each time."""
    origin = time.perf_counter()
    for number in range(count):
        for place in range(len(turns)):
            turn = turns[(place + number) % len(turns)]
            rate = rates[(place + number) % len(turns)]
            stream = Stream("all", turn.requests, rate, connections, 64)
            turn.rounds.append(take(turn.service, [stream], seconds, origin))


def to_records(turns: Sequence[Turn], begun: record.Record, command: str) -> list[record.Record]:
    """A record each, with the same ``run``."""
    made = []
    for turn in turns:
        one = to_record(msgspec.structs.replace(begun, name=turn.name), turn.rounds, command, turn.capacity)
        if turn.payload:
            payload = record.Measure("payload", turn.of, (float(turn.payload),) * len(turn.rounds))
            one = msgspec.structs.replace(one, measures=(*one.measures, payload))
        made.append(one)
    return made
