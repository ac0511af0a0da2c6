"""Who asks, and whether there is room: a token's check, the gate."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from blake3 import blake3

from perf.micro.cells import Cell
from perf.micro.contenders import windows
from perf.micro.material import MESSAGES
from perf.micro.parts.calls import Calls
from ron_kms._core import SecretKey
from ron_kms.capabilities.macaroon import Macaroon
from ron_kms.capabilities.tokens import TokenChecker, inspect, mint
from ron_kms.engine.gate import Gate, Lane, Limits
from ron_kms.engine.queue import CryptoQueue
from ron_kms.model import Caller

_ROOT = "bench"
_SCOPE = "kms:sign"


def check(cell: Cell) -> Calls:
    """Tokens that are remembered. Floor: their digests, by which they are found."""
    key, tokens = _tokens()
    checker = TokenChecker({_ROOT: key})
    _check_all(checker, tokens)
    plain = [token.encode("ascii") for token in tokens]
    return Calls(
        [partial(_check_all, checker, window) for [window] in windows(cell.batch, tokens)],
        [partial(_hash_all, window) for [window] in windows(cell.batch, plain)],
    )


def check_new(cell: Cell) -> Calls:
    """Tokens that are not remembered. Floor: the chain of HMACs that signs each, in the core."""
    key, tokens = _tokens()
    checker = TokenChecker({_ROOT: key}, cache_size=0)
    signed = [(macaroon.signed, macaroon.signature) for macaroon in map(Macaroon.decode, tokens)]
    return Calls(
        [partial(_check_all, checker, window) for [window] in windows(cell.batch, tokens)],
        [partial(_chain_all, key, window) for [window] in windows(cell.batch, signed)],
    )


def enter_and_leave(cell: Cell) -> Calls:
    """One request after the other is let in and leaves, of so many tenants as there are items."""
    lane = Gate(Limits(), CryptoQueue(0)).lane(_SCOPE)
    _, tokens = _tokens()
    callers = [inspect(token).caller for token in tokens]
    return Calls([partial(_pass_all, lane, window) for [window] in windows(cell.batch, callers)])


def _tokens() -> tuple[SecretKey, list[str]]:
    """As programs have them: for one scope and one tenant, with an end."""
    key = SecretKey.generate()
    expires = datetime.now(UTC) + timedelta(days=1)
    return key, [mint(_ROOT, key, scopes=[_SCOPE], tenant=f"t{n}", expires=expires) for n in range(MESSAGES)]


def _check_all(checker: TokenChecker, tokens: Sequence[str]) -> list[Caller]:
    return [checker.check(token, _SCOPE, time.time()) for token in tokens]


def _hash_all(tokens: Sequence[bytes]) -> list[bytes]:
    return [blake3(token).digest() for token in tokens]


def _chain_all(key: SecretKey, signed: Sequence[tuple[Sequence[bytes], bytes]]) -> list[bool]:
    return [key.check_chain(parts, signature) for parts, signature in signed]


def _pass_all(lane: Lane, callers: Sequence[Caller]) -> None:
    for caller in callers:
        lane.leave(lane.enter(caller))
