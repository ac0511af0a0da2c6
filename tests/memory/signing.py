"""A process that signs through :func:`ron_kms.open` at its parent's word, one JSON object a line each way.

Run as ``python -m tests.memory.signing <store> <keyfile>``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ron_kms.crypto.suites import names
from ron_kms.service.local import LocalKms

DIGEST = bytes(32)
THREADS = 3

spilt: list[bytes] = []


def main(database: str, keyfile: str) -> None:
    # The threads stay, and with them what is left on their stacks.
    with (
        ThreadPoolExecutor(THREADS) as pool,
        LocalKms(f"sqlite:///{database}", seal=f"keyfile:{keyfile}", key_slots=16) as kms,
    ):
        answer("ready")
        for line in sys.stdin:
            command = json.loads(line)
            answer(act(kms, pool, command["do"], command.get("kids", [])))


def act(kms: LocalKms, pool: ThreadPoolExecutor, do: str, kids: list[str]) -> Any:
    match do:
        case "create":
            return [kms.create(tenant="core", purpose="audit", suite=suite) for suite in suites()]
        case "sign":
            for kid in kids:
                kms.sign(kid, digest=DIGEST)
        case "batch":
            items = [{"kid": kid, "digest": DIGEST} for kid in kids] * 3
            for results in pool.map(kms.sign_batch, [items] * THREADS):
                assert not any(result.error for result in results)
        case "loaded":
            return [str(kid) for kid in kms._kms.custodian._slots]
        case "spill":
            spilt.append(bytes.fromhex(kids[0]))
        case "close":
            kms.close()
    return None


def suites() -> Iterator[str]:
    for _ in range(4):
        yield from names("sign")


def answer(what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
