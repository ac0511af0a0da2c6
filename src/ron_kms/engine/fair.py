"""Fair turns: deficit round robin (Shreedhar and Varghese, SIGCOMM 1995). Pure: no clock, no loop, no threads.

Each flow has a queue of its own. In every round each flow that waits is granted the same quantum of cost, takes what
that pays for, in order, and keeps the rest for the next round; who has nothing left to wait for keeps nothing. So over
any time in which two flows both wait, what they get differs by less than a quantum and the dearest item of each,
however many or dear the items of either are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairTurns(Generic[T]):
    """Items that wait, by flow.

    :param quantum: what a flow is granted in a round, in the unit of the costs.
    :param gone: whether nobody wants an item any more: then it is dropped when its turn comes, and costs nothing.
    :ivar waiting: the cost of all that waits.
    """

    __slots__ = ("_count", "_flows", "_gone", "_quantum", "_ring", "waiting")

    def __init__(self, quantum: float, gone: Callable[[T], bool]) -> None:
        self._quantum = quantum
        self._gone = gone
        self._flows: dict[str, _Flow[T]] = {}
        self._ring: deque[_Flow[T]] = deque()
        self._count = 0
        self.waiting = 0.0

    def add(self, name: str, cost: float, item: T) -> None:
        """Let an item wait at the end of its flow."""
        flow = self._flows.get(name)
        if flow is None:
            flow = self._flows[name] = _Flow(name, self._quantum)
            self._ring.append(flow)
        flow.items.append((cost, item))
        self._count += 1
        flow.waiting += cost
        self.waiting += cost

    def take(self, budget: float) -> list[T]:
        """Those whose turn it is: as many as the budget pays for, and one at least if any is still wanted."""
        taken: list[T] = []
        ring = self._ring
        while ring:
            flow = ring[0]
            items = flow.items
            while items:
                cost, item = items[0]
                if not self._gone(item):
                    if cost > flow.deficit:
                        break
                    if taken and cost > budget:
                        return taken
                    flow.deficit -= cost
                    budget -= cost
                    taken.append(item)
                items.popleft()
                self._count -= 1
                flow.waiting -= cost
                self.waiting -= cost
            if items:
                flow.deficit += self._quantum
                ring.rotate(-1)
            else:
                ring.popleft()
                del self._flows[flow.name]
        self.waiting = 0.0  # and no crumbs of rounding
        return taken

    def ahead(self, name: str) -> float:
        """The most that is taken before what would be added to this flow now.

        Its own items come first; the other flows get no more than as many rounds as it needs for these, each, and no
        more than they wait for.
        """
        flow = self._flows.get(name)
        if flow is None:
            return min(self.waiting, self._quantum * len(self._ring))
        return min(self.waiting, (flow.waiting + self._quantum) * len(self._ring))

    def __len__(self) -> int:
        """How many items wait."""
        return self._count


class _Flow(Generic[T]):
    """One flow's queue, with the cost of all in it, and what it may spend in this round."""

    __slots__ = ("deficit", "items", "name", "waiting")

    def __init__(self, name: str, deficit: float) -> None:
        self.name = name
        self.items: deque[tuple[float, T]] = deque()
        self.deficit = deficit
        self.waiting = 0.0
