"""What a part is measured by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from perf.micro.cells import Cell
from perf.micro.contenders import Call


class Calls(NamedTuple):
    """
    :ivar ours: a batch each.
    :ivar floor: the same batches; empty where there is none.
    """

    ours: Sequence[Call]
    floor: Sequence[Call] = ()


Maker = Callable[[Cell], Calls]
