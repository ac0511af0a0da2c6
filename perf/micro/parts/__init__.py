"""Who runs in a cell of the service's own parts: what a request or a record passes besides its cryptography.

``core`` is the part as the service has it, ``floor`` what of its work nothing in Python can do away with.
"""

from __future__ import annotations

from collections.abc import Mapping

from perf.micro.cells import Cell
from perf.micro.contenders import Contender, PythonLane
from perf.micro.floor import Floor
from perf.micro.parts import admission, audit, bodies, keys, queue
from perf.micro.parts.calls import Maker

_MAKERS: Mapping[tuple[str, str], Maker] = {
    ("check", "token"): admission.check,
    ("check-new", "token"): admission.check_new,
    ("pass", "gate"): admission.enter_and_leave,
    ("decode", "json"): bodies.decode,
    ("encode", "json"): bodies.encode,
    ("decode", "msgpack"): bodies.decode,
    ("encode", "msgpack"): bodies.encode,
    ("find", "cache"): keys.find,
    ("run", "engine"): queue.run,
    ("append", "audit"): audit.append,
}


def contenders(cell: Cell, floor: Floor) -> list[Contender]:
    """The part, and its floor where it has one."""
    calls = _MAKERS[cell.operation, cell.suite](cell)
    lanes = {"core": calls.ours, "floor": calls.floor}
    return [
        Contender(name, 1, PythonLane(floor, found), cell.calls, cell.batch, calls.ours[0] if name == "core" else None)
        for name, found in lanes.items()
        if found
    ]
