"""A process that uses a key all the time, as a worker does, and tells whenever the outcome is another one.

member.py <url> <seal> <kid> <use> <bound ms>

With a key that signs it signs and verifies; with one that wraps it unwraps what it had wrapped first. A line says: the
verb, its new outcome, when the first operation with it was begun, and when the last one before it was; times are of
CLOCK_BOOTTIME, which all processes share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

from ron_kms.errors import KmsError
from ron_kms.model import Kid
from ron_kms.store.bootstrap import open_store
from tests.freshness.parts import serve, sign_with, unwrap_with, verifies, wrapped_for


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def main(url: str, seal: str, name: str, use: str, bound: str) -> None:
    kid = Kid.parse(name)
    told: dict[str, str] = {}
    begun: dict[str, float] = {}

    def tell(verb: str, outcome: str, at: float) -> None:
        if told.get(verb) != outcome:
            print(verb, outcome, at, begun.get(verb, at), flush=True)
        told[verb], begun[verb] = outcome, at

    async def attempt(verb: str, act: Callable[[], Awaitable[object]]) -> None:
        at = now()
        try:
            outcome = "ok" if await act() else "bad"
        except KmsError as error:
            outcome = error.code
        tell(verb, outcome, at)

    with serve(open_store(url, seal), bound_ms=int(bound)) as kms:
        verbs: dict[str, Callable[[], Awaitable[object]]]
        if use == "sign":
            sigs = (await sign_with(kms, kid)).sigs
            verbs = {"sign": lambda: sign_with(kms, kid), "verify": lambda: verifies(kms, kid, sigs)}
        else:
            wrapped = await wrapped_for(kms, kid)
            verbs = {"unwrap": lambda: unwrap_with(kms, kid, wrapped)}
        while True:
            for verb, act in verbs.items():
                await attempt(verb, act)
            await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
