"""Minting, narrowing and checking of bearer tokens.

A token's identifier is the text ``1/<root id>/<token id>``: the form's number, the id of the root key that signs it,
and a UUIDv7 by which it is rated and revoked. It is signed with the rest, in the clear for whoever inspects a token,
and holds no secret.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from blake3 import blake3

from ron_kms._core import SecretKey
from ron_kms.capabilities import caveats as grammar
from ron_kms.capabilities.macaroon import MAX_TOKEN, Macaroon
from ron_kms.errors import BadRequest, NoCapability, Unauthenticated
from ron_kms.model import Caller, is_uuid, new_uuid

_FORM = "1"
_ROOT_ID = r"[0-9a-z-]{1,36}"
_IDENTIFIER = re.compile(rf"{_FORM}/({_ROOT_ID})/([0-9a-f-]{{36}})".encode("ascii"))

_DAY = 86_400.0
"""For so long an expired token is still known to be revoked: the clock may be set back."""

_WRONG = "the token is not valid"
_EXPIRED = "the token has expired"


def mint(
    root_id: str,
    root_key: SecretKey,
    *,
    scopes: Iterable[str],
    tenant: str | None = None,
    prefix: str | None = None,
    expires: datetime | None = None,
    rate: int | None = None,
    token_id: str | None = None,
) -> str:
    """A new token; what is None is not restricted.

    :param root_id: up to 36 characters of ``[0-9a-z-]``.
    :param scopes: at least one of :data:`ron_kms.capabilities.caveats.SCOPES`.
    :param prefix: one to three whole kid segments, as ``acme/audit``.
    :param expires: with a time zone.
    :param rate: operations a second.
    :param token_id: a UUIDv7; a new one by default.
    :raises BadRequest: a value is outside the grammar of tokens.
    """
    identifier = f"{_FORM}/{root_id}/{token_id or new_uuid()}".encode("utf-8", "surrogatepass")
    _identify(identifier)
    texts = grammar.write(scopes=scopes, tenant=tenant, prefix=prefix, expires=expires, rate=rate)
    signed = (identifier, *map(grammar.to_bytes, texts))
    return Macaroon(identifier, signed[1:], root_key.chain(signed)).encode()


def mint_administrator(root_id: str, root_key: SecretKey, token_id: str | None = None) -> str:
    """The first token of a new service: every scope by name, every tenant, no expiry."""
    return mint(root_id, root_key, scopes=grammar.SCOPES, token_id=token_id)


def attenuate(token: str, caveats: Iterable[str]) -> str:
    """The same token with more caveats, made by its holder, offline.

    :param caveats: as :func:`ron_kms.capabilities.caveats.write` makes them.
    :raises BadRequest: the token is malformed, a caveat is unknown or malformed, or there is no room for it.
    """
    macaroon = Macaroon.decode(token)
    added = [grammar.to_bytes(caveat) for caveat in caveats]
    grammar.fold("", added)
    for caveat in added:
        macaroon = macaroon.narrow(caveat)
    return macaroon.encode()


class Inspected(NamedTuple):
    """What can be told of a token without any key, its signature unchecked and left out."""

    token_id: str
    root_id: str
    caveats: tuple[str, ...]
    caller: Caller


def inspect(token: str) -> Inspected:
    """What a token says, for its holder, offline; whether it is genuine only the service can tell.

    :raises BadRequest: it is malformed, or has a caveat that the service would not understand.
    """
    macaroon = Macaroon.decode(token)
    root_id, token_id = _identify(macaroon.identifier)
    caller = grammar.fold(token_id, macaroon.caveats, root_id)
    return Inspected(token_id, root_id, tuple(caveat.decode("ascii") for caveat in macaroon.caveats), caller)


def _identify(identifier: bytes) -> tuple[str, str]:
    """The ids of root and token."""
    match = _IDENTIFIER.fullmatch(identifier)
    if match is not None:
        root_id, token_id = (part.decode("ascii") for part in match.groups())
        if is_uuid(token_id) and token_id[14] == "7":
            return root_id, token_id
    raise BadRequest("the token's identifier is not <form>/<root id>/<token id>")


class _Roots(NamedTuple):
    """Root keys and the answers that came of them. Replaced together, so that a check under way cannot put an answer of
    a withdrawn root among those of its successor."""

    keys: dict[str, SecretKey]
    answers: OrderedDict[bytes, Caller]


class TokenChecker:
    """Says who a token's holder is and whether it has a scope, without a look into the store.

    Answers are remembered under the BLAKE3 digest of the token, the least recently used going first; refusals are not.
    Revocation, expiry and scope are looked at on every call, and a root that is withdrawn takes its answers with it.
    May be used by several threads.

    :param root_keys: by their ids; released by their owner, not here.
    :param cache_size: how many tokens are remembered, at about 1 KiB each. A revocation takes about 150 bytes.
    """

    __slots__ = ("_cache_size", "_revoked", "_roots", "_tidy_at")
    _revoked: dict[str, float | None]
    _tidy_at: int

    def __init__(self, root_keys: Mapping[str, SecretKey], *, cache_size: int = 16_384) -> None:
        self._cache_size = cache_size
        self._roots = _Roots(dict(root_keys), OrderedDict())
        self.replace_revoked({})

    def replace_roots(self, root_keys: Mapping[str, SecretKey]) -> None:
        """From now on tokens of these roots are valid and no others."""
        self._roots = _Roots(dict(root_keys), OrderedDict())

    def replace_revoked(self, revoked: Mapping[str, float | None]) -> None:
        """From now on tokens with these ids are refused, however narrowed, and no others.

        :param revoked: by id the second at which the token expires, from which on it need not be known; None for never.
        """
        self._revoked = dict(revoked)
        self._tidy_at = _tidy_at(len(revoked))

    def revoke(self, revoked: Mapping[str, float | None], now: float) -> None:
        """Refuse these too; those known that have expired are let go of, now and then. For one thread at a time.

        :param now: seconds since the epoch.
        """
        self._revoked.update(revoked)
        if len(self._revoked) > self._tidy_at:
            past = now - _DAY
            self.replace_revoked({one: until for one, until in self._revoked.items() if until is None or until > past})

    @property
    def cached(self) -> int:
        """How many tokens are remembered."""
        return len(self._roots.answers)

    def check(self, token: str, scope: str, now: float) -> Caller:
        """Tenant and prefixes are left to the caller's own methods, for each key that is named.

        :param scope: what the call needs.
        :param now: seconds since the epoch.
        :raises Unauthenticated: the token is wrong in any way, always with the same words, or has expired, which is
            said only of a token that was valid.
        :raises NoCapability: the token is valid and lacks the scope.
        """
        if len(token) > MAX_TOKEN or not token.isascii():
            raise Unauthenticated(_WRONG)
        keys, answers = self._roots
        digest = blake3(token.encode("ascii")).digest()
        caller = answers.get(digest)
        if caller is None:
            caller = answers[digest] = _authenticate(keys, token)
            if len(answers) > self._cache_size:
                answers.popitem(last=False)
        else:
            try:  # noqa: SIM105 (suppress() costs a third of this whole call)
                answers.move_to_end(digest)
            except KeyError:  # another thread has just put it out
                pass
        if caller.token_id in self._revoked:
            raise Unauthenticated(_WRONG)
        if caller.expires is not None and now >= caller.expires:
            raise Unauthenticated(_EXPIRED)
        if scope not in caller.scopes:
            raise NoCapability(f"this call needs a token with the scope {scope}")
        return caller


def _tidy_at(known: int) -> int:
    """At how many revocations to look for expired ones, so that each costs a constant share of that."""
    return max(1024, 2 * known)


def _authenticate(keys: dict[str, SecretKey], token: str) -> Caller:
    """The signature comes before the meaning of any caveat, so that what nobody signed learns nothing."""
    try:
        macaroon = Macaroon.decode(token)
        root_id, token_id = _identify(macaroon.identifier)
        key = keys.get(root_id)
        if key is not None and key.check_chain(macaroon.signed, macaroon.signature):
            return grammar.fold(token_id, macaroon.caveats, root_id)
    except BadRequest:
        pass
    raise Unauthenticated(_WRONG)
