"""A client of the wire that knows nothing of the service's code, and an independent look at its signatures."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Self

import httpx
import msgspec
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey, MLDSA87PublicKey
from pymacaroons import Macaroon

from tests.e2e.quiet import hear

JSON, MSGPACK = "application/json", "application/msgpack"

VERIFIERS: dict[str, Any] = {
    "ed25519": Ed25519PublicKey,
    "ml-dsa-44": MLDSA44PublicKey,
    "ml-dsa-65": MLDSA65PublicKey,
    "ml-dsa-87": MLDSA87PublicKey,
}


@dataclass
class Answer:
    status: int
    headers: httpx.Headers
    content: bytes
    http_version: str

    @property
    def data(self) -> Any:
        if self.headers["content-type"] == MSGPACK:
            return msgspec.msgpack.decode(self.content)
        return json.loads(self.content)

    @property
    def code(self) -> str:
        code: str = self.data["error"]["code"]
        return code

    def good(self, status: int = 200) -> Any:
        """The answer's fields, once its status is as it should be."""
        assert self.status == status, self.content[:500]
        return self.data

    def without_names(self) -> Any:
        """An error without what differs from one request to the next."""
        error = dict(self.data["error"])
        del error["ts"], error["request_id"]
        return self.status, error, {name for name in self.headers if name != "date"}


class Client:
    """One connection; JSON unless told otherwise.

    :param media: the content type of bodies and answers.
    """

    def __init__(
        self, url: str, token: str | None = None, *, media: str = JSON, http2: bool = True, **options: Any
    ) -> None:
        self.url = url
        self.token = token
        self.media = media
        if not url.startswith("https"):
            options.setdefault("verify", False)  # spares reading the system's authorities
        self._http = httpx.Client(base_url=url, http2=http2, http1=not http2, timeout=30, trust_env=False, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = "", headers: dict[str, str] | None = None
    ) -> Answer:
        """One request; a dict is encoded, bytes or an iterator of them sent as they are; ``token=None`` sends none."""
        sent = {"accept": self.media}
        if body is not None:
            sent["content-type"] = self.media
        token = self.token if token == "" else token
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        content = self.encode(body) if isinstance(body, dict) else body
        answer = self._http.request(method, path, content=content, headers={**sent, **(headers or {})})
        result = Answer(answer.status_code, answer.headers, answer.content, answer.http_version)
        self._hear(path, body, token, result)
        return result

    def _hear(self, path: str, body: Any, token: str | None, answer: Answer) -> None:
        """For the search of the log afterwards (:mod:`tests.e2e.quiet`)."""
        hear([path, token])
        if isinstance(body, dict):
            hear(body)
        if answer.headers.get("content-type") in {JSON, MSGPACK} and answer.content:
            hear(answer.data)

    def encode(self, body: Any) -> bytes:
        return msgspec.msgpack.encode(body) if self.media == MSGPACK else msgspec.json.encode(body)

    def bytes_of(self, field: Any) -> bytes:
        """A binary field of an answer, as this client's format has it."""
        return field if self.media == MSGPACK else base64.b64decode(field, validate=True)

    def post(self, verb: str, /, **fields: Any) -> Answer:
        return self.call("POST", f"/v1/kms/{verb}", fields)

    def get(self, path: str, /, **query: str) -> Answer:
        return self.call("GET", f"/v1/kms/{path}" + (f"?{httpx.QueryParams(query)}" if query else ""))

    def create(self, suite: str = "ed25519", tenant: str = "acme", purpose: str = "tests", **fields: Any) -> str:
        """The kid of a new key."""
        made = self.post("keys", tenant=tenant, purpose=purpose, use="sign", suite=suite, **fields).good(201)
        kid: str = made["kid"]
        return kid


def digest_of(text: str) -> bytes:
    return blake3(text.encode()).digest()


def signed_bytes(suite: str, digest: bytes) -> bytes:
    """What the specification says is signed for a digest."""
    return b"ron-kms-b3-v1\x00" + suite.encode() + b"\x00" + digest


def holds(alg: str, public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether pyca/cryptography takes the signature."""
    try:
        VERIFIERS[alg].from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def narrowed(token: str, *caveats: str) -> str:
    """The token with more caveats, made by pymacaroons, offline."""
    macaroon = Macaroon.deserialize(token)
    for caveat in caveats:
        macaroon.add_first_party_caveat(caveat)
    text: str = macaroon.serialize()
    return text
