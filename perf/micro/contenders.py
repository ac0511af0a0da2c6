"""Who runs in a cell of signatures: the core, the C loop, pyca/cryptography, and the library's own classes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from perf.micro.cells import PYCA_CALLS, THROUGH_LIBRARY, Cell
from perf.micro.floor import Floor, FloorLane, Span
from perf.micro.material import PYCA, Material, signing_key, verify_key
from ron_kms import _core
from ron_kms.crypto.signing import SigningKey, verify_batch

Call = Callable[[], object]


class Runner(Protocol):
    def run(self, first: int, calls: int, seed: int, parties: int = 1, party: int = 0) -> Span: ...


class Contender(NamedTuple):
    """
    :ivar runner: makes the calls of one thread and times them.
    :ivar calls: how many of them in a lap.
    :ivar operations: in each.
    :ivar sample: one call, to look at its memory; C has none to look at.
    """

    name: str
    threads: int
    runner: Runner
    calls: int
    operations: int
    sample: Call | None


class PythonLane:
    """Calls from Python, timed one by one; what they return is freed between them, as a caller would."""

    def __init__(self, floor: Floor, calls: Sequence[Call]) -> None:
        self._floor = floor
        self._calls = calls

    def run(self, first: int, calls: int, seed: int, parties: int = 1, party: int = 0) -> Span:  # noqa: ARG002
        chosen = [self._calls[(first + i) % len(self._calls)] for i in range(calls)]
        walls, cpu = [0] * calls, 0
        self._floor.replay(seed)
        span = self._floor.start(parties)
        for i, call in enumerate(chosen):
            cpu_before, before = time.thread_time_ns(), time.perf_counter_ns()
            result = call()
            walls[i] = time.perf_counter_ns() - before
            cpu += time.thread_time_ns() - cpu_before
            del result
        start, end, waited = self._floor.end(span)
        self._floor.replay(0)
        return Span(walls, cpu, start, end, waited)


def contenders(cell: Cell, material: Material, floor: Floor) -> list[Contender]:
    """Everyone in this cell, the core first."""
    core = _core_calls(cell, material)
    joined = [b"".join(parts) for parts in material.signatures]
    lanes: dict[str, Runner] = {
        "core": PythonLane(floor, core),
        "floor": FloorLane(floor, material.floor, cell.operation, cell.batch, material.messages, joined),
    }
    found = [
        Contender(name, threads, lane, cell.calls, cell.batch, core[0] if name == "core" and threads == 1 else None)
        for threads in (1, 2)
        for name, lane in lanes.items()
    ]
    pyca = _pyca_calls(cell, material)
    found.append(Contender("pyca", 1, PythonLane(floor, pyca), PYCA_CALLS, 1, pyca[0]))
    if cell.suite in THROUGH_LIBRARY and (cell.operation != "generate" or cell.batch == 1):
        library = _library_calls(cell, material)
        found.append(Contender("library", 1, PythonLane(floor, library), cell.calls, cell.batch, library[0]))
    return found


def windows(batch: int, *columns: Sequence[Any]) -> list[list[list[Any]]]:
    """Every batch that the items fall into, as a list for each column."""
    return [[list(column[at : at + batch]) for column in columns] for at in range(0, len(columns[0]), batch)]


def _core_calls(cell: Cell, material: Material) -> list[Call]:
    if cell.operation == "generate":
        return [partial(_core.generate, material.suite.scheme, cell.batch)]
    batches = windows(cell.batch, material.messages, material.signatures)
    if cell.operation == "sign":
        slots = [material.slot] * cell.batch
        return [partial(_core.sign, slots, messages) for messages, _ in batches]
    keys = [material.public] * cell.batch
    return [partial(_core.verify, keys, messages, signatures) for messages, signatures in batches]


def _library_calls(cell: Cell, material: Material) -> list[Call]:
    """The single calls of SigningKey and VerifyKey for a batch of one, else their batches."""
    if cell.operation == "generate":
        return [partial(SigningKey.generate, material.suite.name)]
    names = material.suite.track_names
    pairs = [tuple(zip(names, signature, strict=True)) for signature in material.signatures]
    if cell.operation == "sign":
        private = signing_key(material)
        if cell.batch == 1:
            return [partial(private.sign, message) for message in material.messages]
        return [partial(private.sign_batch, messages) for [messages] in windows(cell.batch, material.messages)]
    public = verify_key(material)
    if cell.batch == 1:
        return [partial(public.is_valid, *item) for item in zip(material.messages, pairs, strict=True)]
    items = [(public, *item) for item in zip(material.messages, pairs, strict=True)]
    return [partial(verify_batch, window) for [window] in windows(cell.batch, items)]


def _pyca_calls(cell: Cell, material: Material) -> list[Call]:
    """One operation a call: pyca/cryptography has no batches."""
    if cell.operation == "generate":
        makers = [PYCA[track].generate for track in material.suite.track_names]
        return [makers[0] if len(makers) == 1 else partial(_each, makers)]
    if cell.operation == "sign":
        signers = [private.sign for private in material.pyca]
        if len(signers) == 1:
            return [partial(signers[0], message) for message in material.messages]
        return [partial(_each, signers, message) for message in material.messages]
    verifiers = [private.public_key().verify for private in material.pyca]
    items = zip(material.signatures, material.messages, strict=True)
    if len(verifiers) == 1:
        return [partial(verifiers[0], signature[0], message) for signature, message in items]
    return [partial(_verify_each, verifiers, signatures, message) for signatures, message in items]


def _each(functions: Sequence[Callable[..., object]], *arguments: object) -> tuple[object, ...]:
    return tuple([function(*arguments) for function in functions])


def _verify_each(verifiers: Sequence[Callable[..., object]], signatures: Sequence[bytes], message: bytes) -> None:
    for verifier, signature in zip(verifiers, signatures, strict=True):
        verifier(signature, message)
