"""A process that signs, verifies and rotates until it is killed, and says what it has answered.

    python -m tests.audit.victim FOLDER

For each line on its standard input it forks a child that goes to work on the folder, and prints the child's id.
Children write a line into ``answered`` for each answer: ``sign <request id>`` or ``change <kid>``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from blake3 import blake3

from ron_kms.capabilities.caveats import ALL_SCOPES
from ron_kms.metrics import Metrics
from ron_kms.model import Caller, new_uuid
from ron_kms.service.create import CreateRequest, create
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context
from ron_kms.service.rotate import RotateRequest, rotate
from ron_kms.service.sign import SignBatchRequest, SignItem, SignRequest, sign, sign_batch
from ron_kms.service.start import start
from tests.audit.place import BRISK, Place

AT_ONCE = 12
CALLER = Caller("victim", ALL_SCOPES)


async def wait(future: Future[Any]) -> Any:
    return await asyncio.wrap_future(future)


def context() -> Context:
    return Context(caller=CALLER, request_id=new_uuid())


async def sign_for_ever(kms: Kms, kid: str, out: int) -> None:
    while True:
        asked = context()
        digest = blake3(asked.request_id.encode()).digest()
        await sign(kms, asked, SignRequest(kid=kid, digest=digest))
        os.write(out, f"sign {asked.request_id}\n".encode())


async def batch_for_ever(kms: Kms, kid: str, out: int) -> None:
    items = [SignItem(digest=bytes([number]) * 32) for number in range(40)]
    while True:
        asked = context()
        await sign_batch(kms, asked, SignBatchRequest(items=items, kid=kid))
        os.write(out, f"sign {asked.request_id}\n".encode())


async def change_for_ever(kms: Kms, out: int) -> None:
    while True:
        made = await create(kms, context(), CreateRequest(tenant="acme", purpose="load", use="sign", suite="ed25519"))
        os.write(out, f"change {made.kid}\n".encode())
        turned = await rotate(kms, context(), RotateRequest(kid=made.kid))
        os.write(out, f"change {turned.kid}\n".encode())


async def work(kms: Kms, out: int) -> None:
    made = await create(kms, context(), CreateRequest(tenant="acme", purpose="load", use="sign", suite="ed25519"))
    os.write(out, f"change {made.kid}\n".encode())
    await asyncio.gather(
        change_for_ever(kms, out),
        batch_for_ever(kms, made.kid, out),
        *(sign_for_ever(kms, made.kid, out) for _ in range(AT_ONCE)),
    )


def child(folder: Path) -> None:
    place = Place(folder)
    store = place.store()
    trail = place.open(store, pace=BRISK)
    assert not trail.log.damage, trail.log.damage
    kms = start(store, metrics=Metrics(), wait=wait, threads=1, audit=trail)
    out = os.open(folder / "answered", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    asyncio.run(work(kms, out))


def main(folder: Path) -> None:
    for _ in sys.stdin:
        pid = os.fork()
        if not pid:
            sys.stdin.close()
            try:
                child(folder)
            except BaseException as error:  # noqa: BLE001 - the parent reads it
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        print(pid, flush=True)
        os.waitpid(pid, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
