"""The requests of a cell, and the same cryptography without anything around it."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from perf.edge.cells import MOST, SUITES, Cell, Operation
from perf.edge.service import Client, Service
from ron_kms import _core
from ron_kms.crypto.framing import HEADER_SIZE, digest_message, seal_ad, wrap_info
from ron_kms.crypto.suites import find
from ron_kms.model import Kid

PLAIN = bytes(range(32))
"""What is signed, wrapped and sealed: a digest, a data key."""
_TEXT = b64encode(PLAIN).decode()
_AT_ONCE = 64


class Work(NamedTuple):
    """
    :ivar bodies: of requests, to be taken in turns.
    :ivar crypto: what the core does for one of them.
    """

    path: str
    bodies: tuple[bytes, ...]
    crypto: Callable[[], object]


class Made(NamedTuple):
    """Keys of one operation's suite and what a request says of an item.

    :ivar kid: with a version, where the operation wants one; for the whole request.
    :ivar items: fields of an item each; more than one where they differ.
    :ivar crypto: the core's call for so many items.
    """

    kid: str | None
    items: list[dict[str, Any]]
    crypto: Callable[[int], Callable[[], object]]


async def make(service: Service, operation: Operation) -> Made:
    """Make the keys that an operation needs.

    :raises RuntimeError: the service does not do what it should.
    """
    return await _MAKERS[operation](service)


def work(cell: Cell, made: Made) -> Work:
    """The requests of one cell."""
    whole = {} if made.kid is None else {"kid": made.kid}
    path, crypto = f"/v1/kms/{cell.verb}", made.crypto(cell.items)
    if cell.items == 1:
        return Work(path, tuple(msgspec.json.encode({**whole, **item}) for item in made.items), crypto)
    items = made.items * (cell.items if len(made.items) == 1 else 1)
    batches = [items[at : at + cell.items] for at in range(0, len(items), cell.items)]
    return Work(f"{path}:batch", tuple(msgspec.json.encode({**whole, "items": batch}) for batch in batches), crypto)


async def _create(client: Client, use: str, suite: str) -> Any:
    return await client.post("/v1/kms/keys", {"tenant": "bench", "purpose": "edge", "use": use, "suite": suite})


def _message() -> bytes:
    return digest_message("ed25519", PLAIN)


async def _sign(service: Service) -> Made:
    kid = (await _create(service.client, "sign", SUITES["sign"]))["kid"]
    await service.client.post("/v1/kms/sign", {"kid": _newest(kid), "digest": _TEXT})
    slot, message = _slot(service, kid), _message()
    return Made(_newest(kid), [{"digest": _TEXT}], lambda n: lambda: _core.sign([slot] * n, [message] * n))


async def _verify(service: Service) -> Made:
    return _verifying([await _signed(service)])


async def _verify_miss(service: Service) -> Made:
    """So many keys that none is met twice in a request."""
    found: list[_Signed] = []
    while len(found) < MOST:
        found += await asyncio.gather(*(_signed(service) for _ in range(_AT_ONCE)))
    return _verifying(found[:MOST])


class _Signed(NamedTuple):
    kid: str
    public: bytes
    sigs: Any


async def _signed(service: Service) -> _Signed:
    created = await _create(service.client, "sign", SUITES["verify"])
    answer = await service.client.post("/v1/kms/sign", {"kid": _newest(created["kid"]), "digest": _TEXT})
    return _Signed(created["kid"], b64decode(created["public"][0]["public_key"]), answer["sigs"])


def _verifying(found: list[_Signed]) -> Made:
    scheme = find("sign", SUITES["verify"]).scheme
    public = _core.PublicKey(scheme, (found[0].public,))
    signature, message = (b64decode(found[0].sigs[0]["signature"]),), _message()
    if _core.verify([public], [message], [signature]) != [1]:
        raise RuntimeError("a signature that was just made does not hold")
    items = [{"kid": one.kid, "digest": _TEXT, "sigs": one.sigs} for one in found]
    return Made(None, items, lambda n: lambda: _core.verify([public] * n, [message] * n, [signature] * n))


async def _wrap(service: Service) -> Made:
    kid = (await _create(service.client, "wrap", SUITES["wrap"]))["kid"]
    entry = service.kms.directory.cached(Kid.parse(kid))
    if entry is None or entry.wrap_key is None:
        raise RuntimeError("a key that was just made is not in memory")
    key, info = entry.wrap_key.native, wrap_info(entry.kid, b"")
    item = {"plaintext": _TEXT, "context": ""}
    return Made(_newest(kid), [item], lambda n: lambda: _core.hpke_seal([key] * n, [info] * n, [PLAIN] * n))


async def _unwrap(service: Service) -> Made:
    kid = (await _create(service.client, "wrap", SUITES["unwrap"]))["kid"]
    answer = await service.client.post("/v1/kms/wrap", {"kid": _newest(kid), "plaintext": _TEXT})
    await service.client.post("/v1/kms/unwrap", {"kid": _newest(kid), "wrapped": answer["wrapped"]})
    slot, info = _slot(service, kid), wrap_info(Kid.parse(kid), b"")
    message = b64decode(answer["wrapped"])[HEADER_SIZE:]
    if _core.hpke_open([slot], [info], [message]) != [PLAIN]:
        raise RuntimeError("what was just wrapped does not open")
    item = {"wrapped": answer["wrapped"], "context": ""}
    return Made(_newest(kid), [item], lambda n: lambda: _core.hpke_open([slot] * n, [info] * n, [message] * n))


async def _seal(service: Service) -> Made:
    kid, _, slot, ad = await _sealing(service)
    item = {"plaintext": _TEXT, "aad": ""}
    return Made(_newest(kid), [item], lambda n: lambda: _core.aead_seal([slot] * n, [ad] * n, [PLAIN] * n))


async def _open(service: Service) -> Made:
    kid, sealed, slot, ad = await _sealing(service)
    message = b64decode(sealed)[HEADER_SIZE:]
    if _core.aead_open([slot], [ad], [message]) != [PLAIN]:
        raise RuntimeError("what was just sealed does not open")
    item = {"sealed": sealed, "aad": ""}
    return Made(_newest(kid), [item], lambda n: lambda: _core.aead_open([slot] * n, [ad] * n, [message] * n))


async def _sealing(service: Service) -> tuple[str, str, _core.KeySlot, bytes]:
    kid = (await _create(service.client, "seal", SUITES["seal"]))["kid"]
    answer = await service.client.post("/v1/kms/seal", {"kid": _newest(kid), "plaintext": _TEXT})
    return kid, answer["sealed"], _slot(service, kid), seal_ad(Kid.parse(kid), SUITES["seal"], b"")


def _slot(service: Service, kid: str) -> _core.KeySlot:
    slot = service.kms.custodian.find(Kid.parse(kid))
    if slot is None:
        raise RuntimeError("a key that was just used is not in memory")
    return slot


def _newest(kid: str) -> str:
    return kid.partition("#")[0]


_MAKERS = {
    "sign": _sign,
    "verify": _verify,
    "verify-miss": _verify_miss,
    "wrap": _wrap,
    "unwrap": _unwrap,
    "seal": _seal,
    "open": _open,
}
