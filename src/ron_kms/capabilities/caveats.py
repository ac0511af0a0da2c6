"""What caveats say: ``name = value`` in ASCII, one space on each side of the sign.

    scope = kms:sign kms:verify      any of the known scopes, each once, one space between
    tenant = acme
    prefix = acme/audit              one to three whole segments of a kid without version
    expires = 2026-12-01T00:00:00Z   RFC 3339 in UTC; valid before that moment
    rate = 100                       operations a second

Several caveats of one kind all hold: scopes intersect, the earliest expiry and the smallest rate count, unlike tenants
or prefixes leave no key. A token without a caveat of some kind is not restricted in that: this is how macaroons work,
and any other meaning of "absent" would let a holder gain something by adding a caveat. Minting therefore always states
the scopes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from ron_kms.errors import BadRequest
from ron_kms.model import NAME_PATTERN, Caller, Kid

SCOPES: Final = (
    "kms:create",
    "kms:read",
    "kms:rotate",
    "kms:admin",
    "kms:destroy",
    "kms:sign",
    "kms:verify",
    "kms:wrap",
    "kms:unwrap",
    "kms:seal",
    "kms:open",
    "kms:policy",
    "kms:audit",
)
"""Every scope there is."""

ALL_SCOPES: Final = frozenset(SCOPES)

_CAVEAT = re.compile(rb"([a-z]+) = ([!-~](?:[ -~]*[!-~])?)")
_NAME = re.compile(NAME_PATTERN)
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?(?:Z|\+00:00)")
RATE_MAX: Final = 999_999_999
"""Operations a second."""

_RATE = re.compile(r"[1-9][0-9]{0,8}")
_HINT: Final = "Caveats are scope, tenant, prefix, expires and rate, as the documentation of tokens writes them."


def write(
    *,
    scopes: Iterable[str] | None = None,
    tenant: str | None = None,
    prefix: str | None = None,
    expires: datetime | None = None,
    rate: int | None = None,
) -> tuple[str, ...]:
    """The caveats that say this, in a fixed order.

    >>> write(tenant="acme", scopes=["kms:verify", "kms:sign"])
    ('scope = kms:sign kms:verify', 'tenant = acme')

    :param expires: with a time zone; fractions of a second are kept to the microsecond.
    :raises BadRequest: a value is outside the grammar.
    """
    texts: list[str] = []
    if scopes is not None:
        wanted = _known(tuple(scopes))
        texts.append("scope = " + " ".join(scope for scope in SCOPES if scope in wanted))
    if tenant is not None:
        texts.append(f"tenant = {tenant}")
    if prefix is not None:
        texts.append(f"prefix = {prefix}")
    if expires is not None:
        texts.append(f"expires = {_format_time(expires)}")
    if rate is not None:
        texts.append(f"rate = {rate}")
    fold("", map(to_bytes, texts))
    return tuple(texts)


def to_bytes(caveat: str) -> bytes:
    """A caveat as it stands in a macaroon; what is not ASCII is left for :func:`fold` to refuse."""
    return caveat.encode("utf-8", "surrogatepass")


def fold(token_id: str, caveats: Iterable[bytes], root_id: str = "") -> Caller:
    """Who asks, when every caveat holds.

    :raises BadRequest: a caveat is unknown or malformed.
    """
    scopes = ALL_SCOPES
    tenants: set[str] = set()
    prefixes: set[tuple[str, ...]] = set()
    expiries: list[float] = []
    rates: list[int] = []
    for name, value in map(_split, caveats):
        match name:
            case "scope":
                scopes &= _read_scopes(value)
            case "tenant":
                tenants.add(_read_tenant(value))
            case "prefix":
                prefixes.add(_read_prefix(value))
            case "expires":
                expiries.append(_read_time(value))
            case "rate":
                rates.append(_read_rate(value))
            case _:
                raise BadRequest("a caveat's name is not known", hint=_HINT)
    tenant = min(tenants, default=None)
    prefixes |= {(other,) for other in tenants if other != tenant}
    return Caller(
        token_id=token_id,
        scopes=scopes,
        tenant=tenant,
        prefixes=_reduce(prefixes),
        expires=min(expiries, default=None),
        rate=min(rates, default=None),
        root_id=root_id,
    )


def _reduce(prefixes: set[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Without those that a longer one implies: one is left, or several that contradict each other."""
    return tuple(
        sorted(
            prefix
            for prefix in prefixes
            if not any(len(other) > len(prefix) and other[: len(prefix)] == prefix for other in prefixes)
        )
    )


def _split(caveat: bytes) -> tuple[str, str]:
    match = _CAVEAT.fullmatch(caveat)
    if match is None:
        raise BadRequest("a caveat is not 'name = value'", hint=_HINT)
    name, value = match.groups()
    return name.decode("ascii"), value.decode("ascii")


@lru_cache(maxsize=256)
def _read_scopes(value: str) -> frozenset[str]:
    """Cached so that the many tokens with one list of scopes share one set."""
    return _known(tuple(value.split(" ")))


def _known(scopes: tuple[str, ...]) -> frozenset[str]:
    wanted = frozenset(scopes)
    if not wanted or len(wanted) != len(scopes) or not wanted <= ALL_SCOPES:
        raise BadRequest("scopes are known ones, at least one, each once", hint=f"The scopes are {', '.join(SCOPES)}.")
    return wanted


def _read_tenant(value: str) -> str:
    if _NAME.fullmatch(value) is None:
        raise BadRequest("a tenant caveat is not a tenant's name", hint=_HINT)
    return value


def _read_prefix(value: str) -> tuple[str, ...]:
    segments = tuple(value.split("/"))
    if len(segments) == 3:
        if Kid.parse(value).version is None:
            return segments
    elif len(segments) < 3 and all(map(_NAME.fullmatch, segments)):
        return segments
    raise BadRequest("a prefix is one to three whole segments of a kid: <tenant>/<purpose>/<uuid>", hint=_HINT)


def _read_time(value: str) -> float:
    match = _TIME.fullmatch(value)
    if match is not None:
        whole, fraction = match.groups()
        try:
            moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
        except ValueError:
            pass
        else:
            return moment.timestamp() + float(f"0{fraction or ''}")
    raise BadRequest("an expiry is a time in RFC 3339 and UTC", hint=_HINT)


def _format_time(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise BadRequest("an expiry needs a time zone")
    try:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise BadRequest("an expiry is outside the years 1 to 9999") from None


def _read_rate(value: str) -> int:
    if _RATE.fullmatch(value) is None:
        raise BadRequest("a rate is a whole number of operations a second, 1 to 999999999", hint=_HINT)
    return int(value)
