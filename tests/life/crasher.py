"""A process whose children change keys until they are killed: crasher.py <url> <seal>, a seed a line on its input.

A child tells its pid, what it asks for before it asks, and that it was done: lines of words on the output. It is forked
from a process that has loaded everything and opened nothing, so that a child is at work within a tenth of a second.
"""

from __future__ import annotations

import os
import random
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

import ron_kms
from ron_kms.service.due import DESTROY
from ron_kms.service.local import LocalKms
from tests.life.place import do_due


def tell(*words: str) -> None:
    os.write(1, (" ".join(words) + "\n").encode())


def work(kms: LocalKms, chance: random.Random) -> None:
    """Create, rotate, destroy, and do what is due; for ever."""
    keys = [key.kid for key in kms.list_keys(limit=1000).keys if key.state == "enabled"]
    while True:
        op = str(UUID(int=chance.getrandbits(128), version=4))
        verb = chance.choice(["create", "rotate", "rotate", "destroy", "due"]) if keys else "create"
        match verb:
            case "create":
                tell("ask", verb, op, "acme/crash")
                keys.append(kms.create(tenant="acme", purpose="crash", suite="ed25519", op_id=op).partition("#")[0])
                tell("did", keys[-1])
            case "rotate":
                key = chance.choice(keys)
                tell("ask", verb, op, key)
                tell("did", kms.rotate(key, op_id=op).kid)
            case "destroy":
                key = keys.pop(chance.randrange(len(keys)))
                tell("ask", verb, op, key)
                kms.destroy(key, op_id=op)
                tell("did", key)
            case "due":
                tell("ask", verb, op, "all")
                do_due(kms, DESTROY, datetime.now(UTC) + timedelta(days=31))
                tell("did", "all")


def main() -> None:
    url, seal = sys.argv[1:]
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            tell("pid", str(os.getpid()))
            with ron_kms.open(url, seal=seal) as kms:
                work(kms, random.Random(int(line)))
        os.waitpid(pid, 0)
        tell("dead")


if __name__ == "__main__":
    main()
