"""A thousand malformed bodies: never our fault, never a crash, and the service goes on."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections import Counter
from typing import Any

import httpx
import msgspec

from tests.counts import count
from tests.e2e.service import Service
from tests.e2e.wire import JSON, MSGPACK, digest_of

DIGEST = digest_of("a document")
VALUES: list[Any] = [
    *(None, True, -1, 0, 1.5, 2**63, "", "x", "\x00", "é" * 100, "a" * 70_000, b"", b"\xff" * 32),
    *([], {}, [[]], [None] * 50, {"": {}}, {"a": [1, {"b": 2}]}),
]


def valid(kid: str) -> list[tuple[str, dict[str, Any]]]:
    sigs = [{"alg": "ed25519", "signature": bytes(64)}]
    return [
        ("keys", {"tenant": "acme", "purpose": "garbage", "use": "sign", "suite": "ed25519", "labels": {"a": "b"}}),
        ("sign", {"kid": kid, "digest": DIGEST}),
        ("verify", {"kid": kid, "digest": DIGEST, "sigs": sigs}),
        ("sign:batch", {"kid": kid, "items": [{"digest": DIGEST}, {"kid": kid, "message": b"x"}]}),
        ("verify:batch", {"items": [{"kid": kid, "digest": DIGEST, "sigs": sigs}]}),
    ]


def spoil_fields(chance: random.Random, data: dict[str, Any]) -> dict[str, Any]:
    """One field replaced, removed, added or moved, at any depth."""
    spoiled = msgspec.msgpack.decode(msgspec.msgpack.encode(data))
    at = spoiled
    while chance.random() < 0.5:
        inner = [value for value in at.values() if isinstance(value, dict)]
        inner += [item for value in at.values() if isinstance(value, list) for item in value if isinstance(item, dict)]
        if not inner:
            break
        at = chance.choice(inner)
    name = chance.choice([*at, "other"])
    if chance.random() < 0.3:
        at.pop(name, None)
    else:
        at[name] = chance.choice(VALUES)
    return spoiled  # type: ignore[no-any-return]


def spoil_bytes(chance: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(4):
            case 0:
                changed[at : at + 1] = chance.randbytes(1)
            case 1:
                del changed[at : at + chance.randint(1, 20)]
            case 2:
                changed[at:at] = chance.randbytes(chance.randint(1, 8))
            case _:
                changed[at:at] = changed[: chance.randint(1, 40)]
    return bytes(changed)


def garbage(chance: random.Random, kid: str) -> tuple[str, bytes, dict[str, str]]:
    verb, data = chance.choice(valid(kid))
    media = chance.choice((JSON, MSGPACK))
    encode = msgspec.json.encode if media == JSON else msgspec.msgpack.encode
    headers = {"content-type": media, "accept": chance.choice((JSON, MSGPACK))}
    kind = chance.randrange(10)
    if kind < 4:
        body = encode(spoil_fields(chance, data))
    elif kind < 7:
        body = spoil_bytes(chance, encode(data))
    elif kind == 7:
        body = chance.randbytes(chance.randint(0, 200))
    elif kind == 8:
        body = chance.choice((b"[", b'{"items":[', b"\x91", b'{"kid":')) * chance.randint(1, 30_000)
    else:
        body = (
            spoil_bytes(chance, gzip.compress(encode(data))) if chance.random() < 0.5 else gzip.compress(bytes(100_000))
        )
        headers["content-encoding"] = "gzip"
    return verb, body, headers


def test_malformed_bodies_are_never_our_fault(service: Service) -> None:
    async def send_all() -> Counter[int]:
        chance = random.Random(20)
        statuses: Counter[int] = Counter()
        bearer = {"authorization": f"Bearer {service.token}"}
        async with httpx.AsyncClient(base_url=service.url, http2=True, http1=False, timeout=30) as client:

            async def send(verb: str, body: bytes, headers: dict[str, str]) -> None:
                answer = await client.post(f"/v1/kms/{verb}", content=body, headers={**bearer, **headers})
                statuses[answer.status_code] += 1
                if answer.status_code >= 400:
                    decode = msgspec.json.decode if answer.headers["content-type"] == JSON else msgspec.msgpack.decode
                    error = decode(answer.content)["error"]
                    assert answer.status_code < 500, (error, verb, body[:200])
                    assert error["message"].isprintable()

            for _ in range(count(1000, 20_000) // 20):
                requests = [garbage(chance, kid) for _ in range(20)]
                # This client stalls where a body waits for a window that another request's answer brings.
                large = [request for request in requests if len(request[1]) > 2000]
                await asyncio.gather(*(send(*request) for request in requests if request not in large))
                for request in large:
                    await send(*request)
        return statuses

    with service.client() as client:
        kid = client.create()
        statuses = asyncio.run(send_all())
        assert set(statuses) <= {200, 201, 400, 404, 413}
        assert statuses[400] > statuses.total() / 2
        assert client.post("sign", kid=kid, digest=DIGEST).status == 200


def test_a_bomb_takes_no_memory(service: Service) -> None:
    bomb = gzip.compress(bytes(300 << 20), 1)
    bomb = bomb if len(bomb) < 1 << 20 else gzip.compress(bytes(300 << 20))
    headers = {"content-encoding": "gzip"}
    with service.client() as client:
        for _ in range(5):
            assert client.call("POST", "/v1/kms/sign", bomb, headers=headers).code == "TooLarge"
        packed = gzip.compress(client.encode({"kid": client.create(), "digest": DIGEST}))
        assert client.call("POST", "/v1/kms/sign", packed, headers=headers).status == 200
