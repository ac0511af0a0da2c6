"""What is fuzzed, from which examples on, and what must hold for every input.

A target takes any bytes. It may refuse them with the error that callers get, and nothing else may come out of it. What
it accepts must come out the same when it is written and read again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from ron_kms._core import SecretKey
from ron_kms.api.http.decode import Decoder
from ron_kms.api.http.headers import Format, answer_format, body_headers, gather, if_match, request_id
from ron_kms.audit import note, record, tiles
from ron_kms.capabilities import caveats
from ron_kms.capabilities.macaroon import Macaroon
from ron_kms.capabilities.tokens import attenuate, mint_administrator
from ron_kms.errors import CallerError, Malformed
from ron_kms.model import Kid, new_uuid
from ron_kms.service.pipeline import OPERATIONS

KID = "core/audit/01932c07-209c-7e1b-8f31-2f1c4c0d5f1a#v3"
DIGEST = "E5rDicao8w/G1ngXjluE8fLAw8FJge9WaaMSgbxfoeA="
LONGEST = 4096
"""Bytes of an input; longer ones are refused by their length alone, which other tests try."""


class Target(NamedTuple):
    """Something that decodes.

    :ivar seeds: inputs that are good, to begin from.
    """

    fuzz: Callable[[bytes], None]
    seeds: Sequence[bytes]


_DECODERS = [
    Decoder(operation.request, operation.path)
    for operation in OPERATIONS
    if operation.method != "GET" and "{" not in operation.path
]
_REQUESTS = (
    {"tenant": "a", "purpose": "b", "use": "sign", "suite": "hybrid", "labels": {"x": "y"}, "raw_messages": True},
    {"kid": KID, "digest": DIGEST, "policy": {"mode": "and"}},
    {"kid": KID, "digest": DIGEST, "sigs": [{"alg": "ed25519", "signature": "AAAA"}]},
    {"kid": KID, "items": [{"digest": DIGEST}, {"kid": KID, "message": "aGk="}]},
    {"kid": KID, "size": 32, "context": "aGk="},
    {"kid": KID, "wrapped": "AQAAAAE="},
    {"kid": KID, "plaintext": "aGk=", "aad": "aGk="},
)


_RECORD = record.Record(
    None, "r-1", "core", "t-1", KID, "sign", "ed25519", bytes(32), 1_767_225_600_000_000, "ok", None, "none", 1, 0
)


def _body(format_: Format, content: bytes) -> None:
    for decoder in _DECODERS:
        try:
            decoded = decoder.body(format_, content)
        except CallerError as error:
            _is_ours(error)
            continue
        encode = msgspec.json.encode if format_ == "json" else msgspec.msgpack.encode
        assert decoder.body(format_, encode(decoded)) == decoded


def _is_ours(error: CallerError) -> None:
    assert error.message.isprintable(), "an error's text is what the client wrote"


def _json(content: bytes) -> None:
    _body("json", content)


def _msgpack(content: bytes) -> None:
    _body("msgpack", content)


def _kid(content: bytes) -> None:
    text = content.decode("utf-8", "surrogateescape")
    try:
        kid = Kid.parse(text)
    except CallerError:
        return
    assert str(kid) == text


def _macaroon(content: bytes) -> None:
    text = content.decode("latin-1")
    try:
        macaroon = Macaroon.decode(text)
    except CallerError:
        return
    assert Macaroon.decode(macaroon.encode()) == macaroon
    _caveats(b"\n".join(macaroon.caveats))


def _caveats(content: bytes) -> None:
    try:
        caller = caveats.fold("id", content.split(b"\n"))
    except CallerError:
        return
    assert caller.scopes <= caveats.ALL_SCOPES


def _headers(content: bytes) -> None:
    pairs = [line.partition(b":")[::2] for line in content.split(b"\n")]
    found = gather([(name.lower(), value.strip()) for name, value in pairs])
    assert request_id(found).isprintable()
    assert answer_format(found) in {"json", "msgpack"}
    for read in (body_headers, if_match):
        try:
            read(found)
        except CallerError:
            continue


def _record(content: bytes) -> None:
    try:
        decoded = record.decode(content)
    except Malformed:
        return
    assert record.encode(decoded) == content


def _bundle(content: bytes) -> None:
    width = content[0] if content else 0
    try:
        entries = tiles.decode_bundle(content[1:], width)
    except Malformed:
        return
    assert len(entries) == width
    assert tiles.encode_bundle(entries) == content[1:]


def _tile_path(content: bytes) -> None:
    try:
        place = tiles.parse(content.decode("latin-1"))
    except Malformed:
        return
    assert tiles.path(*place).encode() == content


def _note(content: bytes) -> None:
    try:
        decoded = note.parse_note(content)
    except Malformed:
        return
    assert note.format_note(decoded) == content


def _note_keys(content: bytes) -> None:
    try:
        keys = note.parse_keys(content)
    except Malformed:
        return
    assert note.parse_keys(note.format_keys(keys)) == keys


def _token() -> bytes:
    key = SecretKey.generate()
    try:
        return attenuate(mint_administrator(new_uuid(), key), caveats.write(tenant="a", scopes=["kms:sign"])).encode()
    finally:
        key.release()


_HEADERS = (
    b"accept: application/json;q=0.5, */*\ncontent-type: application/msgpack; charset=utf-8\nx-corr-id: a-1\n"
    b'content-length: 12\ncontent-encoding: gzip\nif-match: "12"'
)

TARGETS = {
    "json": Target(_json, [json.dumps(one).encode() for one in _REQUESTS]),
    "msgpack": Target(_msgpack, [msgspec.msgpack.encode(one) for one in _REQUESTS]),
    "kid": Target(_kid, [KID.encode(), KID.partition("#")[0].encode()]),
    "macaroon": Target(_macaroon, [_token()]),
    "caveats": Target(_caveats, [b"scope = kms:sign kms:verify\ntenant = a\nexpires = 2026-12-01T00:00:00Z\nrate = 5"]),
    "headers": Target(_headers, [_HEADERS]),
    "record": Target(_record, [record.encode(_RECORD)]),
    "bundle": Target(_bundle, [b"\x02\x00\x02hi\x00\x01x"]),
    "tile-path": Target(_tile_path, [b"tile/entries/x001/234", b"tile/2/000.p/17"]),
    "note": Target(_note, [b"ron/a/0\n17\nAAAA\n\n\xe2\x80\x94 ron/a/0 AAAAAAAA\n"]),
    "note-keys": Target(_note_keys, [b"ron/a/0+00000000+AQID"]),
}
