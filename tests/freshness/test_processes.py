"""Several processes on one store: what one commits holds in the others within the bound."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import ron_kms
from ron_kms.model import Kid
from ron_kms.service.local import LocalKms
from tests.freshness.member import now
from tests.store.sample import Place

ROOT = Path(__file__).parents[2]


class Told(NamedTuple):
    """``before`` is when the last operation with the outcome before was begun."""

    verb: str
    outcome: str
    at: float
    before: float


class Member:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told: list[Told] = []

    def next(self, verb: str) -> Told:
        """The next new outcome of this verb."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found, outcome, at, before = line.split()
            self.told.append(Told(found, outcome, float(at), float(before)))
            if found == verb:
                return self.told[-1]
        raise AssertionError("it ended")

    def latest(self, verb: str, outcome: str) -> bool:
        """Whether this is what the verb came to last, or comes to next: another verb's outcome may be told later."""
        known = [told.outcome for told in self.told if told.verb == verb]
        return known[-1:] == [outcome] or self.next(verb).outcome == outcome


@contextmanager
def member(place: Place, kid: Kid, *, use: str = "sign", bound_ms: int = 1000) -> Iterator[Member]:
    command = [sys.executable, "-m", "tests.freshness.member", place.url, place.seal, str(kid), use, str(bound_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            member = Member(process)
            for verb in ("sign", "verify") if use == "sign" else ("unwrap",):
                assert member.next(verb).outcome == "ok"
            yield member
        finally:
            process.kill()


@pytest.fixture
def a(place: Place) -> Iterator[LocalKms]:
    """The process that commits: this one, with the library."""
    with ron_kms.open(place.url, seal=place.seal) as kms:
        yield kms


@pytest.fixture
def kid(a: LocalKms) -> Kid:
    return Kid.parse(a.create(tenant="acme", purpose="audit", suite="ed25519"))


def test_states(place: Place, a: LocalKms, kid: Kid) -> None:
    """Disabled, condemned, compromised by one process: refused in the others, in time."""
    with member(place, kid) as b, member(place, kid) as c:
        for change, undo in (
            (lambda: a.set_state(str(kid), "disabled"), lambda: a.set_state(str(kid), "enabled")),
            (lambda: a.destroy(kid.key), lambda: a.restore(kid.key)),
            (lambda: a.set_state(str(kid), "compromised"), None),
        ):
            change()
            committed = now()
            for other in (b, c):
                told = other.next("sign")
                assert told.outcome == "KeyDisabled"
                assert told.before < committed + 1.0
            if undo is not None:
                undo()
                for other in (b, c):
                    assert other.next("sign").outcome == "ok"
        for other in (b, c):
            assert other.latest("verify", "bad")


def test_a_raised_minimum(place: Place, a: LocalKms) -> None:
    kid = Kid.parse(a.create(tenant="acme", purpose="data", use="wrap", suite="x25519"))
    with member(place, kid, use="wrap") as b:
        a.rotate(kid.key)
        a.update(kid.key, min_open_version=2)
        committed = now()
        told = b.next("unwrap")
        assert told.outcome not in ("ok", "StoreUnavailable")
        assert told.before < committed + 1.0


def test_a_process_that_was_stopped_looks_before_it_signs(place: Place, a: LocalKms, kid: Kid) -> None:
    with member(place, kid, bound_ms=300) as other:
        other.process.send_signal(signal.SIGSTOP)
        a.set_state(str(kid), "disabled")
        committed = now()
        time.sleep(0.4)
        other.process.send_signal(signal.SIGCONT)
        outcomes = [other.next("sign")]
        if outcomes[0].outcome == "StoreUnavailable":
            outcomes.append(other.next("sign"))
        assert outcomes[-1].outcome == "KeyDisabled"
        assert outcomes[0].before < committed + 0.3


def test_without_the_store_signing_ends_and_verifying_goes_on(place: Place, kid: Kid) -> None:
    elsewhere = place.file.with_name("elsewhere.db")
    with member(place, kid, bound_ms=300) as other:
        place.file.rename(elsewhere)
        moved = now()
        told = other.next("sign")
        assert told.outcome == "StoreUnavailable"
        assert told.before < moved + 0.3
        elsewhere.rename(place.file)
        assert other.next("sign").outcome == "ok"
        with locked(place):
            taken = now()
            told = other.next("sign")
            assert told.outcome == "StoreUnavailable"
            assert told.before < taken + 0.3
        assert other.next("sign").outcome == "ok"
        assert [told.outcome for told in other.told if told.verb == "verify"] == ["ok"]


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """Another process holds the locks with which readers of a WAL begin (https://sqlite.org/walformat.html)."""
    program = """if True:
        import fcntl, sys
        with open(sys.argv[1], "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX, 8, 120)
            print("locked", flush=True)
            sys.stdin.read()
    """
    command = [sys.executable, "-c", program, str(place.file) + "-shm"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            yield
        finally:
            process.kill()
