"""What caveats may say and what several of them leave."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ron_kms.capabilities import caveats
from ron_kms.capabilities.caveats import ALL_SCOPES, SCOPES, fold
from ron_kms.errors import BadRequest
from ron_kms.model import Caller
from tests.capabilities.parts import TOKEN_ID, UUID_1


def read(*texts: str) -> Caller:
    return fold(TOKEN_ID, [text.encode() for text in texts])


def test_without_caveats_nothing_is_restricted() -> None:
    assert read() == Caller(TOKEN_ID, ALL_SCOPES)


def test_each_kind_is_read() -> None:
    assert read("scope = kms:sign kms:verify").scopes == {"kms:sign", "kms:verify"}
    assert read("tenant = acme").tenant == "acme"
    assert read("prefix = acme").prefixes == (("acme",),)
    assert read("prefix = acme/audit").prefixes == (("acme", "audit"),)
    assert read(f"prefix = acme/audit/{UUID_1}").prefixes == (("acme", "audit", UUID_1),)
    assert read("rate = 100").rate == 100


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-12-01T00:00:00Z", 1796083200.0),
        ("2026-12-01T00:00:00+00:00", 1796083200.0),
        ("2026-12-01T00:00:00.5Z", 1796083200.5),
        ("2026-12-01T00:00:00.250000000Z", 1796083200.25),
        ("9999-12-31T23:59:59Z", 253402300799.0),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert read(f"expires = {text}").expires == seconds


@pytest.mark.parametrize(
    "caveat",
    [
        "",
        " ",
        "scope",
        "scope =",
        "scope = ",
        "scope=kms:sign",
        "scope  = kms:sign",
        "scope =  kms:sign",
        "scope = kms:sign ",
        " scope = kms:sign",
        "Scope = kms:sign",
        "scope = KMS:SIGN",
        "scope = kms:sign  kms:verify",
        "scope = kms:sign,kms:verify",
        "scope = kms:sign kms:sign",
        "scope = kms:*",
        "scope = kms:nothing",
        "scope = kms:sign kms:nothing",
        "scope = kms:sign\tkms:verify",
        "scope = kms:sign\n",
        "scope = kms:sign\0",
        "tenant = Acme",
        "tenant = acme/audit",
        "tenant = -acme",
        "tenant = acmé",
        "tenant = acme\n",
        "tenant = " + "a" * 64,
        "tenant = acme core",
        "prefix = /",
        "prefix = acme/",
        "prefix = /acme",
        "prefix = acme//audit",
        "prefix = acme/audit/",
        "prefix = acme/audit/x",
        "prefix = acme/audit/" + UUID_1.upper(),
        "prefix = acme/audit/" + UUID_1.replace("-7abc-", "-4abc-"),
        f"prefix = acme/audit/{UUID_1}#v1",
        f"prefix = acme/audit/{UUID_1}/x",
        "prefix = acme/*",
        "prefix = acme/au dit",
        "expires = 2026-12-01",
        "expires = 2026-12-01 00:00:00Z",
        "expires = 2026-12-01t00:00:00z",
        "expires = 2026-12-01T00:00:00",
        "expires = 2026-12-01T00:00Z",
        "expires = 2026-12-01T00:00:00+01:00",
        "expires = 2026-12-01T00:00:00-00:00",
        "expires = 2026-02-30T00:00:00Z",
        "expires = 2026-13-01T00:00:00Z",
        "expires = 2026-12-01T24:00:00Z",
        "expires = 2026-12-01T00:60:00Z",
        "expires = 2026-12-01T23:59:60Z",
        "expires = 0000-01-01T00:00:00Z",
        "expires = 2026-12-01T00:00:00.Z",
        "expires = 2026-12-01T00:00:00.0000000001Z",
        "expires = \u0662\u0660\u0662\u0666-12-01T00:00:00Z",
        "expires = 1796083200",
        "expires = never",
        "rate = 0",
        "rate = -1",
        "rate = +1",
        "rate = 01",
        "rate = 1.5",
        "rate = 1e3",
        "rate = 1_000",
        "rate = 1000000000",
        "rate = 100/s",
        "rate = \u0661",
        "ip = 127.0.0.1",
        "scopes = kms:sign",
        "time < 2026-12-01T00:00:00Z",
        "x" * 3000,
    ],
)
def test_anything_else_is_refused(caveat: str) -> None:
    with pytest.raises(BadRequest):
        read(caveat)


@pytest.mark.parametrize("caveat", [b"tenant = \xff", b"\xff", b"tenant = acme\0", b"rate = 1\xc2\xa0"])
def test_what_is_not_ascii_is_refused(caveat: bytes) -> None:
    with pytest.raises(BadRequest):
        fold(TOKEN_ID, [caveat])


@pytest.mark.parametrize("name", ["scope", "tenant", "prefix", "expires", "rate", "secretname"])
def test_a_refusal_does_not_echo_its_input(name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(f"{name} = SECRETVALUE")
    assert "SECRET" not in (caught.value.message + caught.value.hint).upper()


KINDS = ("scope", "tenant", "prefix", "expires", "rate", "other")
PAIRS = st.builds("{} = {}".format, st.sampled_from(KINDS), st.text(max_size=40)).map(caveats.to_bytes)


@given(st.binary(max_size=60) | PAIRS)
def test_any_bytes_give_limits_or_one_error(caveat: bytes) -> None:
    with suppress(BadRequest):
        assert isinstance(fold(TOKEN_ID, [caveat]), Caller)


def test_several_of_a_kind_all_hold() -> None:
    both = read("scope = kms:sign kms:verify", "scope = kms:verify kms:read", "rate = 5", "rate = 3", "rate = 9")
    assert both.scopes == {"kms:verify"}
    assert both.rate == 3
    assert read("expires = 2027-01-01T00:00:00Z", "expires = 2026-12-01T00:00:00Z").expires == 1796083200.0
    assert read("scope = kms:sign", "scope = kms:verify").scopes == frozenset()
    assert read("tenant = acme", "tenant = acme") == read("tenant = acme")


def test_prefixes_keep_what_the_others_do_not_imply() -> None:
    assert read("prefix = acme/audit", "prefix = acme").prefixes == (("acme", "audit"),)
    assert read("prefix = acme", "prefix = acme-prod").prefixes == (("acme",), ("acme-prod",))
    assert read("prefix = acme/audit", "prefix = core").prefixes == (("acme", "audit"), ("core",))
    assert read("tenant = acme", "tenant = core").prefixes == (("core",),)


def test_one_bad_caveat_spoils_the_token() -> None:
    with pytest.raises(BadRequest):
        read("scope = kms:sign", "tenant = acme", "unknown = 1")


def test_written_caveats_are_read_back() -> None:
    paris = timezone(timedelta(hours=1))
    texts = caveats.write(
        scopes={"kms:verify", "kms:sign"},
        tenant="acme",
        prefix="acme/audit",
        expires=datetime(2026, 12, 1, 1, tzinfo=paris),
        rate=100,
    )
    assert texts == (
        "scope = kms:sign kms:verify",
        "tenant = acme",
        "prefix = acme/audit",
        "expires = 2026-12-01T00:00:00Z",
        "rate = 100",
    )
    assert read(*texts) == Caller(
        TOKEN_ID, frozenset({"kms:sign", "kms:verify"}), "acme", (("acme", "audit"),), 1796083200.0, 100
    )
    assert caveats.write() == ()


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_written_expiry_is_the_same_moment(moment: datetime) -> None:
    (text,) = caveats.write(expires=moment)
    assert read(text).expires == pytest.approx(moment.timestamp(), abs=1e-5)


def test_what_cannot_be_read_is_not_written() -> None:
    for wrong in (
        lambda: caveats.write(scopes=[]),
        lambda: caveats.write(scopes=["kms:everything"]),
        lambda: caveats.write(scopes="kms:sign"),
        lambda: caveats.write(scopes=["kms:sign", "kms:sign"]),
        lambda: caveats.write(tenant=""),
        lambda: caveats.write(tenant="acme\nscope = kms:admin"),
        lambda: caveats.write(prefix="acme/"),
        lambda: caveats.write(rate=0),
        lambda: caveats.write(rate=True),
        lambda: caveats.write(expires=datetime(2026, 12, 1)),  # noqa: DTZ001
        lambda: caveats.write(expires=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
    ):
        with pytest.raises(BadRequest):
            wrong()


def test_scopes_are_those_of_the_wire() -> None:
    assert len(SCOPES) == len(ALL_SCOPES) == 13
    assert all(scope.startswith("kms:") for scope in SCOPES)
