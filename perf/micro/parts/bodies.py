"""Bodies of requests and answers: one of sign for a single item, one of sign:batch for more."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import msgspec

from perf.micro.cells import Cell
from perf.micro.parts.calls import Calls
from ron_kms.api.http.decode import Decoder
from ron_kms.api.http.encode import encoders
from ron_kms.api.http.headers import Format
from ron_kms.model import Kid, new_uuid
from ron_kms.service.schema import TrackSignature
from ron_kms.service.sign import SignAnswer, SignBatchAnswer, SignBatchRequest, SignRequest, SignResult

_SIZE = 64
"""Bytes of an Ed25519 signature."""


def decode(cell: Cell) -> Calls:
    """A request that is read and looked through for repeated fields. Floor: what msgspec alone takes to read it."""
    digests: list[dict[str, Any]] = [{"digest": os.urandom(32)} for _ in range(cell.batch)]
    whole: dict[str, Any] = {"kid": str(_kid())}
    type_: Any = SignRequest if cell.batch == 1 else SignBatchRequest
    fields = whole | (digests[0] if cell.batch == 1 else {"items": digests})
    form = _format(cell)
    content = (msgspec.json if form == "json" else msgspec.msgpack).encode(fields)
    alone = (msgspec.json.Decoder if form == "json" else msgspec.msgpack.Decoder)(type_)
    return Calls([partial(Decoder(type_).body, form, content)], [partial(alone.decode, content)])


def encode(cell: Cell) -> Calls:
    """An answer that is written; msgspec does that alone."""
    kid = str(_kid().at(1))
    sigs = [TrackSignature("ed25519", os.urandom(_SIZE))]
    answer: msgspec.Struct = SignAnswer(kid=kid, sigs=sigs)
    if cell.batch > 1:
        answer = SignBatchAnswer(items=[SignResult(kid=kid, sigs=sigs) for _ in range(cell.batch)])
    return Calls([partial(encoders(type(answer))[_format(cell)], answer)])


def _format(cell: Cell) -> Format:
    return "json" if cell.suite == "json" else "msgpack"


def _kid() -> Kid:
    return Kid("bench", "micro", new_uuid())
