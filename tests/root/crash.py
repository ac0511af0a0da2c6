"""Rotates a root key and is killed on the way, again and again, in a process of its own.

crash.py <folder> <rounds> <seal> <...>: every round forks a child that rotates to the next of the seals in turn and is
killed: every second time at one of its calls of the system or of SQLite, counted one by one, else at a random moment.
After it, the store must open with one of the seals, and every key in it must sign and verify. Prints what happened.
"""

from __future__ import annotations

import collections
import os
import random
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import ron_kms
from ron_kms.errors import KmsError
from ron_kms.root.passphrase import Cost, Passphrase
from ron_kms.root.seals import Seal, parse_seal
from ron_kms.store.rotation import rotate_root

PASSPHRASE = b"correct horse battery staple"
CHEAP = Cost(1, 8 * 2**20)
DIGEST = bytes(range(32))


def seal_of(text: str, folder: Path) -> Seal:
    """As parse_seal, with a cheap Argon2id and the passphrase from a file."""
    place = parse_seal(text)
    return Passphrase(place.path, folder / "passphrase", CHEAP) if isinstance(place, Passphrase) else place


def open_kms(url: str, text: str, folder: Path) -> Any:
    return ron_kms.open(url, seal=text, passphrase_file=folder / "passphrase")


CHANGING = {"open", "write", "fchmod", "fsync", "link", "mkdir", "replace", "rename", "unlink", "execute", "commit"}
"""Calls into the system and into SQLite that a crash may come between."""


class Countdown:
    """Kills this process at the n-th call into the system or SQLite, once the schema is up to date;
    0 only counts."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.count = 0
        self.counting = False

    def __call__(self, frame: FrameType, event: str, what: Any) -> None:
        if event == "call" and frame.f_code.co_name == "load" and frame.f_code.co_filename.endswith("seal.py"):
            self.counting = True
        if event == "c_call" and self.counting and what.__name__ in CHANGING:
            self.count += 1
            if self.count == self.n:
                os.kill(os.getpid(), signal.SIGKILL)


def rotate(url: str, current: Seal, target: Seal, step: int) -> None:
    """In a child; ends the process with the number of calls."""
    countdown = Countdown(step)
    try:
        sys.setprofile(countdown)
        rotate_root(url, current, target, lambda *_: None)
    finally:
        sys.setprofile(None)
        os._exit(min(countdown.count, 255))


def main() -> None:
    folder, rounds, texts = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    url = f"sqlite:///{folder}/keys.db"
    (folder / "passphrase").write_bytes(PASSPHRASE + b"\n")
    (folder / "passphrase").chmod(0o600)
    current = texts[0]
    seal_of(current, folder).create().release()
    signed = {}
    with open_kms(url, current, folder) as kms:
        for suite in ("ed25519", "hybrid"):
            kid = kms.create(tenant="acme", purpose="audit", suite=suite)
            signed[kid] = kms.sign(kid, digest=DIGEST).sigs
    duration, steps = 0.0, 0  # of the first rotation, which is not cut off
    outcomes: collections.Counter[str] = collections.Counter()
    for n in range(rounds):
        target = texts[(texts.index(current) + 1) % len(texts)]
        if target != current:
            seal_of(target, folder).path.unlink(missing_ok=True)  # the one that was in force two rounds before
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            rotate(url, seal_of(current, folder), seal_of(target, folder), n % 2 and 1 + steps * n // rounds)
        if n % 2 == 0 and n > 0:
            time.sleep(duration * random.uniform(0.3, 1.2))
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if n == 0:
            duration, steps = time.monotonic() - started, os.waitstatus_to_exitcode(status)
            assert 10 < steps < 255, steps
        current, moved = _reopen(url, [current, target], signed, folder)
        outcomes[f"{'killed' if os.WIFSIGNALED(status) else 'done'}-{'new' if moved else 'old'}"] += 1
    print(*(f"{name}={number}" for name, number in sorted(outcomes.items())))


IDS: list[str] = []


def _reopen(url: str, texts: list[str], signed: dict[str, Any], folder: Path) -> tuple[str, bool]:
    """Start over the store; which seal opened it, and whether with another root key than before."""
    for text in dict.fromkeys(texts):
        try:
            with open_kms(url, text, folder) as kms:
                for kid, sigs in signed.items():
                    assert kms.verify(kid, sigs, digest=DIGEST).ok
                    assert kms.verify(kid, kms.sign(kid, digest=DIGEST).sigs, digest=DIGEST).ok
        except KmsError as error:
            refusal = error
        else:
            held = seal_of(text, folder).identify()
            assert held is not None, "the root key is in its place after a start"
            IDS.append(held)
            return text, IDS[-2:-1] != [held]
    raise refusal


if __name__ == "__main__":
    main()
