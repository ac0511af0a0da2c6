"""Guarded memory: what is around a secret's pages, how they are locked, and when they go."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from pathlib import Path

import pytest

from ron_kms._core import CoreError, KeySlot, PublicKey, SecretKey, SignatureScheme, generate, sign, verify
from tests.core import child
from tests.memory.mappings import Mapping, contents, guarded

if not Path("/proc/self/smaps").exists():
    pytest.skip("needs Linux's view of a process's memory", allow_module_level=True)

ED25519 = SignatureScheme(("Ed25519",))
HYBRID = SignatureScheme(("Ed25519", "ML-DSA-65"))


def made_by(make: object) -> list[Mapping]:
    """The guarded mappings that a call brought, while what it returned is kept."""
    before = {mapping.start for mapping in guarded()}
    kept = make()  # type: ignore[operator]
    found = [mapping for mapping in guarded() if mapping.start not in before]
    del kept
    return found


@pytest.mark.parametrize(
    "make",
    [
        lambda: generate(HYBRID),
        lambda: generate(ED25519),
        SecretKey.generate,
        lambda: SecretKey.generate().derive(b""),
    ],
)
def test_secrets_are_in_locked_read_only_pages_that_no_core_file_holds(make: object) -> None:
    found = made_by(make)
    assert len(found) == 1
    [mapping] = found
    assert mapping.permissions == "r--p"
    assert {"dd", "lo"} <= mapping.flags
    assert mapping.locked == (mapping.end - mapping.start) // 1024


def test_the_search_finds_a_secret_in_its_pages() -> None:
    # What the other tests of memory rely on: an Ed25519 secret ends with its public key.
    [slot] = generate(ED25519)
    holding = [mapping for mapping, bytes_ in contents("self", guarded()) if slot.public_keys[0] in bytes_]
    assert len(holding) == 1


CRIMES = """
import ctypes, json, os
from ron_kms import _core
from tests.memory.mappings import guarded

before = {mapping.start for mapping in guarded()}
slots = _core.generate(_core.SignatureScheme(("Ed25519", "ML-DSA-65")))
[pages] = [mapping for mapping in guarded() if mapping.start not in before]
crimes = {
    "read": lambda: ctypes.string_at(pages.start, pages.end - pages.start),
    "read past": lambda: ctypes.string_at(pages.end - 8, 9),
    "read before": lambda: ctypes.string_at(pages.start - 1, 1),
    "write": lambda: ctypes.memset(pages.end - 64, 0, 1),
    "write past": lambda: ctypes.memset(pages.end, 0, 1),
}
ends = {}
for name, crime in crimes.items():
    pid = os.fork()
    if not pid:
        crime()
        os._exit(0)
    ends[name] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(json.dumps(ends))
"""


def test_reading_past_a_slot_or_writing_into_it_ends_the_process() -> None:
    ends = child.result(CRIMES)
    assert ends.pop("read") == 0  # the pages themselves are where the test believes
    assert set(ends.values()) == {-signal.SIGSEGV}, ends


def test_release_takes_the_pages_away() -> None:
    def released() -> KeySlot:
        [slot] = generate(HYBRID)
        slot.release()
        return slot

    assert made_by(released) == []


def test_dropping_the_last_reference_takes_the_pages_away() -> None:
    before = {mapping.start for mapping in guarded()}
    slots = generate(HYBRID, 5)
    key = SecretKey.generate()
    assert len({mapping.start for mapping in guarded()} - before) == 6
    del slots, key
    gc.collect()
    assert {mapping.start for mapping in guarded()} <= before


ITEMS = 400


def running(message: bytes) -> bool:
    """Whether a batch has prepared all its items: each holds the message, besides the caller's list and the core's."""
    return sys.getrefcount(message) > 3 * ITEMS


def test_a_slot_that_is_released_while_it_signs_ends_its_batch_first() -> None:
    scheme = SignatureScheme(("ML-DSA-87",))
    before = {mapping.start for mapping in guarded()}
    [slot] = generate(scheme)
    public = PublicKey(scheme, slot.public_keys)
    message = b"message %d" % ITEMS
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.extend(sign([slot] * ITEMS, [message] * ITEMS)))
    thread.start()
    while not running(message):
        assert thread.is_alive()
    slot.release()
    assert slot.closed
    assert running(message)
    [refused] = sign([slot], [b"late"])
    assert isinstance(refused, CoreError)
    thread.join()
    assert verify([public] * ITEMS, [message] * ITEMS, results) == [1] * ITEMS  # type: ignore[arg-type]
    assert {mapping.start for mapping in guarded()} <= before


def test_release_from_many_threads_while_signing() -> None:
    slots = generate(HYBRID, 8)
    outcomes: list[object] = []

    def work(first: int) -> None:
        order = slots[first:] + slots[:first]
        for _ in range(10):
            outcomes.extend(sign(order, [b"m"] * 8))
        order[0].release()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8 * 8 * 10
    assert all(slot.closed for slot in slots)
    assert {type(outcome) for outcome in outcomes} <= {tuple, CoreError}


EXHAUSTION = """
import json, resource
from pathlib import Path
from ron_kms import _core

scheme = _core.SignatureScheme(("Ed25519",))
# Small objects of Python's come from what is there already; only mappings are refused.
ballast = [bytes(400) for _ in range(20_000)]
kept = ballast[::1000]
del ballast
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 4 * 2**20, resource.RLIM_INFINITY))
outcomes = []
for make in (lambda: _core.generate(scheme, 2000), lambda: [_core.SecretKey.generate() for _ in range(2000)]) * 2:
    try:
        make()
        outcomes.append("made")
    except _core.GuardedMemoryError as error:
        outcomes.append(str(error))
again = _core.generate(scheme, 20)
print(json.dumps([outcomes, len(again), [len(s) for s, in _core.sign(again, [b"m"] * 20)]]))
"""


def test_exhausted_guarded_memory_is_told_and_given_back() -> None:
    outcomes, again, sizes = child.result(EXHAUSTION)
    assert len(outcomes) == 4
    assert all("no guarded memory left" in outcome for outcome in outcomes)
    assert again == 20
    assert sizes == [64] * 20
