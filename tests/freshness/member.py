"""A process that signs and verifies all the time, as a worker does, and tells whenever the outcome is another one.

member.py <url> <seal> <kid> <bound ms>

A line says: the verb, its new outcome, when the first operation with it was begun, and when the last one before it was;
times are of CLOCK_BOOTTIME, which all processes share.
"""

from __future__ import annotations

import asyncio
import sys
import time

from ron_kms.errors import KmsError
from ron_kms.model import Kid
from ron_kms.store.bootstrap import open_store
from tests.freshness.parts import serve, sign_with, verifies


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def main(url: str, seal: str, name: str, bound: str) -> None:
    kid = Kid.parse(name)
    told: dict[str, str] = {}
    begun: dict[str, float] = {}

    def tell(verb: str, outcome: str, at: float) -> None:
        if told.get(verb) != outcome:
            print(verb, outcome, at, begun.get(verb, at), flush=True)
        told[verb], begun[verb] = outcome, at

    with serve(open_store(url, seal), bound_ms=int(bound)) as kms:
        sigs = (await sign_with(kms, kid)).sigs
        while True:
            at = now()
            try:
                await sign_with(kms, kid)
            except KmsError as error:
                tell("sign", error.code, at)
            else:
                tell("sign", "ok", at)
            at = now()
            try:
                tell("verify", "ok" if await verifies(kms, kid, sigs) else "bad", at)
            except KmsError as error:
                tell("verify", error.code, at)
            await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
