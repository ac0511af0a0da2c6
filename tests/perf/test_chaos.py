"""Drills harm a real service, and tell what held; a quick one is run here, all of them with the long counts."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

if not (Path(__file__).parents[2] / "perf" / "chaos").is_dir():
    pytest.skip("the drills are not beside the tests", allow_module_level=True)

from perf import record
from perf.chaos.__main__ import run_drill
from perf.chaos.drill import Drill, NotHere, Trial
from perf.chaos.drills import DRILLS, NOT_YET
from perf.chaos.outcome import table
from tests.counts import LONG, SERVER

QUICK = ("stopped",)


def _chaos(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "perf.chaos", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


@pytest.mark.parametrize("name", DRILLS if LONG else QUICK)
def test_a_service_holds_what_is_said_of_it(name: str, tmp_path: Path) -> None:
    done = _chaos(name, "--seconds", "8" if LONG else "1", "--server", SERVER, "--json", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    if "  not here: " in done.stdout:
        pytest.skip(done.stdout)
    [path] = tmp_path.iterdir()
    made = record.load(path)
    assert (made.suite, made.name, made.setting["server"]) == ("chaos", name, SERVER)
    assert [check["statement"] for check in made.detail["checks"]] == list(DRILLS[name].holds.values())
    assert all(check["held"] and check["seen"] for check in made.detail["checks"])


def test_what_is_not_there_yet_says_so() -> None:
    done = _chaos(next(iter(NOT_YET)))
    assert done.returncode == 2
    assert "not yet" in done.stderr
    assert _chaos("nothing").returncode == 2
    listed = _chaos("--list").stdout
    assert all(name in listed for name in (*DRILLS, *NOT_YET))


@pytest.mark.parametrize(
    ("held", "last"), [((True, True), True), ((True, False), False), ((False, True), False), ((), False)]
)
def test_a_statement_that_is_broken_once_is_broken(held: tuple[bool, ...], last: bool, tmp_path: Path) -> None:
    def told(trial: Trial) -> None:
        for one in held:
            trial.check("it", one, f"was {one}")

    drill = Drill("made-up", "nothing is harmed", {"it": "it holds"}, told, ("it",))
    assert run_drill(drill, SERVER, 1.0, tmp_path) is last
    [path] = tmp_path.iterdir()
    assert [check["held"] for check in record.load(path).detail["checks"]] == [last]
    row = table({"made-up": drill}, tmp_path).splitlines()[-1]
    assert f"{int(last)} of 1" in row
    assert ("**broken**: it holds" in row) is not last
    assert "not run" in row


def test_a_drill_that_ends_early_is_broken_and_one_that_cannot_be_done_is_not(tmp_path: Path) -> None:
    def ends(trial: Trial) -> None:
        trial.check("it", True, "so far")
        raise RuntimeError("the harm went wrong")

    def cannot(trial: Trial) -> None:
        raise NotHere("no such file system")

    assert not run_drill(Drill("ends", "", {"it": "it holds"}, ends), SERVER, 1.0, tmp_path)
    assert run_drill(Drill("cannot", "", {"it": "it holds"}, cannot), SERVER, 1.0, tmp_path)
    [path] = tmp_path.iterdir()
    assert "the harm went wrong" in record.load(path).detail["fault"]


def test_packets_come_late_in_their_order_or_not_at_all() -> None:
    """The forwarder, between two sockets that keep packets apart as TUN devices do."""
    near, first = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far.settimeout(10)
    command = [sys.executable, "-m", "perf.chaos.forwarder", str(first.fileno()), str(second.fileno())]
    fds = (first.fileno(), second.fileno())
    started = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=fds, bufsize=0)
    with near, first, far, second, started as forwarder:
        assert forwarder.stdin is not None
        forwarder.stdin.write(b"0.2 0.1 0\n")
        near.send(b"early")  # it may be read before the line is
        assert far.recv(100) == b"early"
        began = time.monotonic()
        for number in range(20):
            near.send(b"%d" % number)
        assert [int(far.recv(100)) for _ in range(20)] == list(range(20))
        assert time.monotonic() - began >= 0.2
        forwarder.stdin.write(b"0 0 1\n")
        far.settimeout(0.5)

        def passes() -> bool:
            near.send(b"lost")
            try:
                return bool(far.recv(100))
            except TimeoutError:
                return False

        assert not all(passes() for _ in range(50)), "the line that loses all was not heard"
        assert not passes()
