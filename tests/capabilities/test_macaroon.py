"""The format: one encoding a macaroon, and any input gives a value or one clear error."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ron_kms.capabilities.macaroon import MAX_CAVEATS, MAX_TOKEN, Macaroon
from ron_kms.errors import BadRequest
from tests.capabilities.parts import IDENTIFIER

SIGNATURE = bytes(32)
EOS = b"\0"
HEADER = b"\x02\x01\x07ron-kms"
TAIL = b"\x06\x20" + SIGNATURE


def field(kind: int, payload: bytes) -> bytes:
    assert len(payload) < 128
    return bytes((kind, len(payload))) + payload


def text(body: bytes) -> str:
    return urlsafe_b64encode(body).rstrip(b"=").decode()


WHOLE = HEADER + field(2, b"id") + EOS + field(2, b"rate = 1") + EOS + EOS + TAIL


def test_the_layout_is_the_published_one() -> None:
    macaroon = Macaroon(b"id", (b"rate = 1",), SIGNATURE)
    assert macaroon.encode() == text(WHOLE)
    assert Macaroon.decode(text(WHOLE)) == macaroon


def test_a_step_of_the_chain_is_the_published_one() -> None:
    """The signatures in the readme of libmacaroons, before and after its first caveat."""
    before = bytes.fromhex("e3d9e02908526c4c0039ae15114115d97fdd68bf2ba379b342aaf0f617d0552f")
    after = Macaroon(b"we used our secret key", (), before).narrow(b"test = caveat").signature
    assert after.hex() == "197bac7a044af33332865b9266e26d493bdd668a660e44d88ce1a998c23dbd67"


MALFORMED = {
    "nothing": b"",
    "version 1 of the format": b"0016location ron-kms\n",
    "another version byte": b"\x01" + WHOLE[1:],
    "only a version": b"\x02",
    "no location": b"\x02" + field(2, b"id") + EOS + EOS + TAIL,
    "another location": b"\x02" + field(1, b"ron-kmz") + field(2, b"id") + EOS + EOS + TAIL,
    "no identifier": HEADER + EOS + EOS + TAIL,
    "two locations": HEADER + field(1, b"ron-kms") + field(2, b"id") + EOS + EOS + TAIL,
    "two identifiers": HEADER + field(2, b"id") + field(2, b"id") + EOS + EOS + TAIL,
    "fields out of order": b"\x02" + field(2, b"id") + field(1, b"ron-kms") + EOS + EOS + TAIL,
    "an unknown field": HEADER + field(2, b"id") + field(3, b"x") + EOS + EOS + TAIL,
    "a verification key in the header": HEADER + field(2, b"id") + field(4, b"x") + EOS + EOS + TAIL,
    "a caveat with a location": HEADER + field(2, b"id") + EOS + field(1, b"x") + field(2, b"c") + EOS + EOS + TAIL,
    "a third-party caveat": HEADER + field(2, b"id") + EOS + field(2, b"c") + field(4, b"v") + EOS + EOS + TAIL,
    "a caveat twice in its section": HEADER + field(2, b"id") + EOS + field(2, b"c") * 2 + EOS + EOS + TAIL,
    "no end of the caveats": HEADER + field(2, b"id") + EOS + TAIL,
    "no signature": HEADER + field(2, b"id") + EOS + EOS,
    "a signature too short": HEADER + field(2, b"id") + EOS + EOS + field(6, SIGNATURE[1:]),
    "a signature too long": HEADER + field(2, b"id") + EOS + EOS + field(6, SIGNATURE + b"x"),
    "another field in the signature's place": HEADER + field(2, b"id") + EOS + EOS + field(5, SIGNATURE),
    "an end in the signature's place": HEADER + field(2, b"id") + EOS + EOS + EOS,
    "something after the signature": WHOLE + EOS,
    "a second signature": WHOLE + TAIL,
    "a type not minimal": b"\x02\x81\x00\x07ron-kms" + WHOLE[len(HEADER) :],
    "a length not minimal": b"\x02\x01\x87\x00ron-kms" + WHOLE[len(HEADER) :],
    "a length of three bytes": HEADER + b"\x02\x80\x80\x01" + bytes(128),
    "a length that never ends": HEADER + b"\x02" + b"\xff" * 20,
    "a length cut short": HEADER + b"\x02\xff",
    "a type cut short": HEADER + b"\xff",
    "a length beyond the end": HEADER + b"\x02\x7fid",
    "more caveats than allowed": HEADER + field(2, b"id") + EOS + (field(2, b"c") + EOS) * 33 + EOS + TAIL,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_written_so_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match=r"^the token "):
        Macaroon.decode(text(body))


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_cut_anywhere_it_is_refused(end: int) -> None:
    with pytest.raises(BadRequest):
        Macaroon.decode(text(WHOLE[:end]))


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(text(WHOLE) + "=", id="padding"),
        pytest.param(text(WHOLE) + "==", id="more padding"),
        pytest.param(" " + text(WHOLE), id="space before"),
        pytest.param(text(WHOLE) + "\n", id="newline after"),
        pytest.param(text(WHOLE)[:8] + "\n" + text(WHOLE)[8:], id="newline inside"),
        pytest.param(text(WHOLE)[:-1] + "B", id="stray bits at the end"),
        pytest.param(text(WHOLE)[:8] + "!" + text(WHOLE)[8:], id="foreign character"),
        pytest.param(text(WHOLE)[:8] + "é" + text(WHOLE)[8:], id="not ASCII"),
        pytest.param(text(WHOLE) + "A", id="a character too many"),
        pytest.param(text(WHOLE)[:8] + "\ud800", id="half a surrogate"),
        pytest.param("A" * (MAX_TOKEN + 1), id="too long"),
    ],
)
def test_one_spelling_only(token: str) -> None:
    with pytest.raises(BadRequest, match=r"^the token "):
        Macaroon.decode(token)


def test_the_other_alphabet_is_refused() -> None:
    token = text(HEADER + field(2, b"\xff\xef\xbf") + EOS + EOS + TAIL)
    other = token.replace("-", "+").replace("_", "/")
    assert other != token
    Macaroon.decode(token)
    with pytest.raises(BadRequest):
        Macaroon.decode(other)


def test_bounds_hold_for_the_writer_too() -> None:
    Macaroon(b"id", (b"c",) * MAX_CAVEATS, SIGNATURE).encode()
    with pytest.raises(BadRequest, match="32 caveats"):
        Macaroon(b"id", (b"c",) * (MAX_CAVEATS + 1), SIGNATURE).encode()
    for size in (MAX_TOKEN, 2**14, 2**20):
        with pytest.raises(BadRequest, match="4096"):
            Macaroon(b"id", (bytes(size),), SIGNATURE).encode()


def test_the_longest_token_is_read_back() -> None:
    overhead = len(HEADER + b"\x02\x00\x00" + EOS + EOS + TAIL)
    macaroon = Macaroon(bytes(MAX_TOKEN * 3 // 4 - overhead), (), SIGNATURE)
    token = macaroon.encode()
    assert len(token) == MAX_TOKEN
    assert Macaroon.decode(token) == macaroon
    with pytest.raises(BadRequest):
        macaroon._replace(identifier=macaroon.identifier + b"x").encode()


def test_its_repr_shows_no_credential() -> None:
    macaroon = Macaroon(IDENTIFIER, (b"rate = 1",), b"\xabsecret signature".ljust(32))
    assert repr(macaroon) == "<Macaroon with 1 caveats>" == str(macaroon)


@given(st.binary(max_size=200), st.lists(st.binary(max_size=200), max_size=8), st.binary(min_size=32, max_size=32))
def test_whatever_is_written_is_read_back(identifier: bytes, caveats: list[bytes], signature: bytes) -> None:
    macaroon = Macaroon(identifier, tuple(caveats), signature)
    assert Macaroon.decode(macaroon.encode()) == macaroon


def total(token: str) -> None:
    with suppress(BadRequest):
        assert Macaroon.decode(token).encode() == token


@given(st.text(max_size=300))
@example("\ud800")
def test_any_text_gives_a_value_or_one_error(token: str) -> None:
    total(token)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_value_or_one_error(body: bytes) -> None:
    total(text(body))


@given(st.data())
def test_any_mutation_gives_a_value_or_one_error(data: st.DataObject) -> None:
    body = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        match data.draw(st.sampled_from(("change", "insert", "delete", "repeat"))):
            case "change":
                body[at] = data.draw(st.integers(0, 255))
            case "insert":
                body[at:at] = data.draw(st.binary(min_size=1, max_size=3))
            case "delete":
                del body[at : at + 3]
            case _:
                body[at:at] = body[at : at + 20]
        if not body:
            break
    total(text(bytes(body)))
