"""The application over a real store, in this process, and tokens of any kind for it."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ron_kms.api.http.app import App, create_app
from ron_kms.capabilities.caveats import SCOPES
from ron_kms.capabilities.macaroon import Macaroon
from ron_kms.model import Caller, Kid, Use, new_uuid
from ron_kms.service.pipeline import OPERATIONS
from ron_kms.store.minted import Minted, insert_minted
from tests.api.drive import Answer, Stream, chunked, scope
from tests.service.place import DIGEST, Place, act

TENANT, PURPOSE = "acme", "audit"
OWNER = Caller(new_uuid(), frozenset(SCOPES))


class Asked(NamedTuple):
    """One request.

    :ivar key: the name that it is about, as far as it has one.
    """

    method: str
    path: str
    body: dict[str, Any] | None = None
    key: str = ""


class World:
    """May be used by one thread."""

    def __init__(self, folder: Path) -> None:
        self.kms = Place(folder).open()
        self.old_root: str = act(self.kms, OWNER, "rotate-token-root").id
        self.root: str = act(self.kms, OWNER, "rotate-token-root").id
        inner = self.kms._kms
        self.app: App = create_app(OPERATIONS, inner, inner.issuer.checker)
        self._runner = asyncio.Runner()
        signing = inner.issuer._signing
        assert signing is not None
        self._key = signing.key

    def close(self) -> None:
        self._runner.close()
        self.kms.close()

    def token(self, *caveats: str, token_id: str | None = None) -> str:
        """Signed by the root, whatever its caveats say."""
        identifier = f"1/{self.root}/{token_id or new_uuid()}".encode()
        parts = tuple(caveat.encode() for caveat in caveats)
        return Macaroon(identifier, parts, self._key.chain((identifier, *parts))).encode()

    def revoked(self, *caveats: str) -> str:
        token_id = new_uuid()
        act(self.kms, OWNER, "revoke-token", id=token_id)
        return self.token(*caveats, token_id=token_id)

    def call(self, asked: Asked, token: str | None) -> Answer:
        headers = [] if token is None else [("authorization", f"Bearer {token}")]
        content = b""
        if asked.body is not None:
            content = msgspec.json.encode(asked.body)
            headers.append(("content-type", "application/json"))
        if asked.method in ("PATCH", "PUT"):
            headers.append(("if-match", "*"))
        stream = Stream(chunked(content))
        self._runner.run(self.app(scope(asked.method, f"/v1/kms/{asked.path}", headers), stream.receive, stream.send))
        return stream.answer()

    def key(self, use: Use = "sign", suite: str = "ed25519", versions: int = 1, tenant: str = TENANT) -> Kid:
        """A new key."""
        kid = Kid.parse(self.kms.create(tenant=tenant, purpose=PURPOSE, use=use, suite=suite)).at(None)
        for _ in range(versions - 1):
            self.kms.rotate(str(kid))
        return kid

    def listed_token(self) -> str:
        """The id of a token that covers the purpose."""
        one = Minted(new_uuid(), (TENANT, PURPOSE), ("kms:sign",), None, None, self.root, "", "", datetime.now(UTC))
        inner = self.kms._kms
        inner.database.write(lambda connection: insert_minted(connection, inner.rows, one)).result()
        return one.id

    def ask(self, name: str) -> Asked:
        """A request of an operation that succeeds for who may make it, about something new."""
        verb, _, batch = name.partition(":")
        match verb:
            case "sign" | "verify" | "wrap" | "unwrap" | "rewrap" | "seal" | "open":
                kid, item = self._item(verb)
                body = {"kid": str(kid), **({"items": [item]} if batch else item)}
                return Asked("POST", name, body, str(kid.at(None)))
            case "create":
                return Asked(
                    "POST", "keys", {"tenant": TENANT, "purpose": PURPOSE, "use": "sign"}, f"{TENANT}/{PURPOSE}"
                )
            case "rotate":
                kid = self.key()
                return Asked("POST", "rotate", {"kid": str(kid)}, str(kid))
            case "rotate-key":
                kid = self.key()
                return Asked("POST", f"keys/{kid}/rotate", None, str(kid))
            case "update-key":
                kid = self.key()
                return Asked("PATCH", f"keys/{kid}", {"labels": {"team": "blue"}}, str(kid))
            case "update-version":
                kid = self.key()
                return Asked("PATCH", f"keys/{kid}/versions/1", {"state": "disabled"}, str(kid))
            case "destroy-key":
                kid = self.key()
                return Asked("DELETE", f"keys/{kid}", None, str(kid))
            case "destroy-version":
                kid = self.key(versions=2)
                return Asked("DELETE", f"keys/{kid}/versions/1", None, str(kid))
            case "restore-key":
                kid = self.key()
                self.kms.destroy(str(kid))
                return Asked("POST", f"keys/{kid}/restore", None, str(kid))
            case "restore-version":
                kid = self.key(versions=2)
                self.kms.destroy(str(kid.at(1)))
                return Asked("POST", f"keys/{kid}/versions/1/restore", None, str(kid))
            case "list":
                kid = self.key()
                return Asked("GET", "keys?limit=1000", None, str(kid))
            case "get":
                kid = self.key()
                return Asked("GET", f"keys/{kid}", None, str(kid))
            case "get-policy":
                return Asked("GET", f"policy/{TENANT}")
            case "put-policy":
                return Asked("PUT", f"policy/{TENANT}", {"phase": 1})
            case "plan-policy":
                return Asked("GET", f"policy/{TENANT}/plan")
            case "mint-token":
                return Asked("POST", "tokens", {"scopes": ["kms:admin"], "prefix": f"{TENANT}/{PURPOSE}"})
            case "list-tokens":
                return Asked("GET", "tokens?limit=1000", None, self.listed_token())
            case "revoke-token":
                return Asked("DELETE", f"tokens/{self.listed_token()}")
            case "list-token-roots":
                return Asked("GET", "token-roots")
            case "rotate-token-root":
                return Asked("POST", "token-roots")
            case "retire-token-root":
                return Asked("DELETE", f"token-roots/{self.old_root}")
            case "list-audit-logs":
                return Asked("GET", "audit")
            case "get-audit-log":
                return Asked("GET", f"audit/{self.kms._kms.audit.log.origin}/keys")  # type: ignore[union-attr]
        raise LookupError(name)

    def _item(self, verb: str) -> tuple[Kid, dict[str, Any]]:
        """A key and the fields of an item beside it."""
        digest = _text(DIGEST)
        if verb == "sign":
            return self.key(), {"digest": digest}
        if verb == "verify":
            kid = self.key().at(1)
            sigs = self.kms.sign(str(kid), digest=DIGEST).sigs
            return kid, {
                "digest": digest,
                "sigs": [{"alg": one.alg, "signature": _text(one.signature)} for one in sigs],
            }
        if verb in ("wrap", "unwrap", "rewrap"):
            kid = self.key("wrap", "x25519")
            if verb == "wrap":
                return kid, {"plaintext": _text(DIGEST)}
            return kid, {"wrapped": _text(self.kms.wrap(str(kid), plaintext=DIGEST).wrapped)}
        kid = self.key("seal", "xchacha20-poly1305")
        if verb == "seal":
            return kid, {"plaintext": _text(DIGEST)}
        return kid, {"sealed": _text(self.kms.seal(str(kid), DIGEST).sealed)}


def outcome(asked: Asked, answer: Answer) -> str:
    """``yes``, the code of the refusal, or ``absent`` where a list leaves out what is asked for."""
    if answer.headers["content-type"] != "application/json":
        return "yes"
    data = answer.data
    if answer.status >= 400:
        code: str = data["error"]["code"]
        return code if code in ("Unauthenticated", "NoCapability", "NotFound") else "yes"
    if "items" in data:
        [item] = data["items"]
        return item["error"]["code"] if "error" in item else "yes"
    for field, name in (("keys", "kid"), ("tokens", "id")):
        if field in data:
            return "yes" if asked.key in {one[name] for one in data[field]} else "absent"
    return "yes"


def scopes(names: Iterable[str]) -> str:
    return f"scope = {' '.join(names)}"


def _text(content: bytes) -> str:
    return b64encode(content).decode()
