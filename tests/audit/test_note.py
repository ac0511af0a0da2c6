"""Signed notes and checkpoints: published ones, our own, and whatever else somebody may send."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ron_kms.audit.checkpoint import Checkpoint, Signer, cosigned_message, sign, verify
from ron_kms.audit.note import (
    ED25519,
    ML_DSA_44,
    Note,
    NoteKey,
    NoteSignature,
    format_keys,
    format_note,
    parse_keys,
    parse_note,
)
from ron_kms.audit.tree import EMPTY_ROOT
from ron_kms.crypto.signing import VerifyKey
from ron_kms.errors import Malformed
from tests.audit.keys import signer, signers

ORIGIN = "deployment/node/0"
NOW = 1_790_000_000

# The example of golang.org/x/mod/sumdb/note.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()

# The examples of C2SP signed-note and tlog-cosignature.
QUASIMODO_NOTE = (
    "Ognuno sta solo sul cuor della terra\n"
    "trafitto da un raggio di sole:\n"
    "\n"
    "\u00e8d \u00e8 subito sera.\n"
    "\n"
    "\u2014 quasimodo.example/salvatore "
    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
).encode()
SOFA_NOTE = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "\u2014 example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "\u2014 witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()


@pytest.fixture(scope="module")
def log() -> tuple[Signer, Signer]:
    return signers(ORIGIN)


@pytest.fixture(scope="module")
def signed(log: tuple[Signer, Signer]) -> bytes:
    return sign(Checkpoint(ORIGIN, 5, bytes(range(32))), log, NOW)


def test_the_published_note_of_go() -> None:
    key = NoteKey.parse(NEUMANN)
    note = parse_note(NEUMANN_NOTE)
    (line,) = note.signatures
    assert (line.name, line.key_id) == (key.name, key.id)
    assert VerifyKey.from_bytes({"ed25519": key.public}).is_valid(note.text.encode(), [("ed25519", line.signature)])
    assert key.text == NEUMANN
    assert format_note(note) == NEUMANN_NOTE


def test_the_published_notes_of_c2sp() -> None:
    quasimodo = parse_note(QUASIMODO_NOTE)
    assert quasimodo.text.count("\n") == 4
    assert [(line.name, len(line.signature)) for line in quasimodo.signatures] == [("quasimodo.example/salvatore", 64)]
    sofa = parse_note(SOFA_NOTE)
    checkpoint = Checkpoint.parse(sofa.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.text == sofa.text
    assert [len(line.signature) for line in sofa.signatures] == [64, 72]


def test_what_ml_dsa_signs() -> None:
    """Byte by byte as tlog-cosignature's ``cosigned_message``."""
    message = cosigned_message("w.example", 1, Checkpoint("log.example", 258, b"\xaa" * 32))
    assert message == (
        b"subtree/v1\n\x00" + b"\x09w.example" + bytes(7) + b"\x01" + b"\x0blog.example" + bytes(8)
        + bytes(6) + b"\x01\x02" + b"\xaa" * 32
    )  # fmt: skip


def test_a_checkpoint_signed_by_both_keys(log: tuple[Signer, Signer], signed: bytes) -> None:
    keys = [one.key for one in log]
    found = verify(signed, keys)
    assert found.checkpoint == Checkpoint(ORIGIN, 5, bytes(range(32)))
    assert found.signed == tuple(keys)
    assert found.times == {keys[1]: NOW}
    for key in keys:
        assert verify(signed, [key]).signed == (key,)
        assert NoteKey.parse(key.text) == key


def test_signatures_of_others_are_ignored(log: tuple[Signer, Signer], signed: bytes) -> None:
    note = parse_note(signed)
    witness = NoteSignature("witness.example/w1", b"\1\2\3\4", bytes(72))
    namesake = NoteSignature(ORIGIN, b"\1\2\3\4", bytes(64))
    more = format_note(Note(note.text, (witness, *note.signatures, namesake)))
    assert len(verify(more, [one.key for one in log]).signed) == 2


def test_whoever_did_not_sign(log: tuple[Signer, Signer], signed: bytes) -> None:
    with pytest.raises(Malformed, match="none of the known keys"):
        verify(signed, [signer(ORIGIN, ED25519).key, signer(ORIGIN, ML_DSA_44).key])
    with pytest.raises(Malformed, match="none of the known keys"):
        verify(signed, [NoteKey("another", ED25519, log[0].key.public)])
    with pytest.raises(Malformed, match="none of the known keys"):
        verify(signed, [])


@pytest.mark.parametrize("number", [0, 1])
def test_a_forged_signature_of_a_known_key(log: tuple[Signer, Signer], signed: bytes, number: int) -> None:
    note = parse_note(signed)
    lines = list(note.signatures)
    for forged in (bytes(len(lines[number].signature)), lines[number].signature[:-1], b"\xff" * 8 + bytes(2420), b"x"):
        broken = [*lines[:number], lines[number]._replace(signature=forged), *lines[number + 1 :]]
        with pytest.raises(Malformed, match=f"{log[number].key.algorithm} signature of {ORIGIN}"):
            verify(format_note(Note(note.text, tuple(broken))), [one.key for one in log])


def test_nothing_that_is_signed_can_be_changed(log: tuple[Signer, Signer], signed: bytes) -> None:
    """Each key protects origin, size and root by itself, and ML-DSA its time."""
    note = parse_note(signed)
    for changed in (
        Checkpoint("deployment/node/1", 5, bytes(range(32))),
        Checkpoint(ORIGIN, 6, bytes(range(32))),
        Checkpoint(ORIGIN, 5, EMPTY_ROOT),
    ):
        for one in log:
            with pytest.raises(Malformed, match="does not hold"):
                verify(format_note(Note(changed.text, note.signatures)), [one.key])
    line = note.signatures[1]
    later = line._replace(signature=(NOW + 1).to_bytes(8, "big") + line.signature[8:])
    with pytest.raises(Malformed, match="does not hold"):
        verify(format_note(Note(note.text, (later,))), [log[1].key])


@given(st.binary(max_size=300))
@example(b"")
@example(b"\n\n")
@example(b"text\n\n")
@example(b"text\n\n\xe2\x80\x94 name\n")
@example(b"text\n\n\xe2\x80\x94 name AAAAAA==\n")
@example(b"text\n\n\xe2\x80\x94 na+me AAAAAAA=\n")
@example(b"text\n\n\xe2\x80\x94  AAAAAAA=\n")
@example(b"text\n\n\xe2\x80\x94 name AAAAAAB=\n")
@example(b"text\n\n\xe2\x80\x94 name AAAAAAA=")
@example(b"te\txt\n\n\xe2\x80\x94 name AAAAAAA=\n")
@example(b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAA=\n")
@example(b"text\n\n\xe2\x80\x94 name AAAAAAA=\n\xe2\x80\x94 name AAAAAAA= \n")
@example(b"text\n\xe2\x80\x94 name AAAAAAA=\n")
def test_any_other_bytes_are_no_note(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_note(data)


@given(st.data())
def test_a_changed_byte_never_verifies(log: tuple[Signer, Signer], signed: bytes, data: st.DataObject) -> None:
    end = signed.index(b"\n\n")
    at, value = data.draw(st.integers(0, end)), data.draw(st.integers(0, 255))
    changed = signed[:at] + bytes((value,)) + signed[at + 1 :]
    if changed != signed:
        with pytest.raises(Malformed):
            verify(changed, [one.key for one in log])


def test_notes_are_bounded() -> None:
    line = "\u2014 name AAAAAAA=\n"
    assert len(parse_note(f"text\n\n{line * 64}".encode()).signatures) == 64
    with pytest.raises(Malformed, match="at most 64 signatures, not 65"):
        parse_note(f"text\n\n{line * 65}".encode())
    with pytest.raises(Malformed, match="at most 131072 bytes"):
        parse_note(b"a" * 131_073)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        "a\n01\nAAAA\n",
        "a\n-1\nAAAA\n",
        f"a\n9223372036854775808\n{b64encode(EMPTY_ROOT).decode()}\n",
        "a\n1\n!\n",
        f"a\n1\n{b64encode(bytes(31)).decode()}\n",
        f"a b\n1\n{b64encode(EMPTY_ROOT).decode()}\n",
        f"a\n1\n{b64encode(EMPTY_ROOT).decode()}\nextension\n",
        f"{'a' * 256}\n1\n{b64encode(EMPTY_ROOT).decode()}\n",
        f"a\n\u0661\n{b64encode(EMPTY_ROOT).decode()}\n",
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(Malformed):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        NEUMANN.replace("c74f20a3", "c74f20a4"),
        NEUMANN.replace("c74f20a3", "C74F20A3"),
        NEUMANN.replace("+ARp", "+Axp"),
        NEUMANN[:-4],
        NEUMANN + "\n",
        "na me" + NEUMANN.removeprefix("PeterNeumann"),
        f"name+00000000+{b64encode(b'').decode()}",
    ],
)
def test_what_is_no_verifier_key(text: str) -> None:
    with pytest.raises(Malformed):
        NoteKey.parse(text)


def test_keys_in_a_file(log: tuple[Signer, Signer]) -> None:
    keys = tuple(one.key for one in log)
    assert parse_keys(format_keys(keys)) == keys
    assert parse_keys(b"# of the log\n\n" + format_keys(keys)) == keys
    for data in (b"", b"# none\n", b"key\n", b"\xff\n", format_keys(keys) * 33, bytes(200_000)):
        with pytest.raises(Malformed):
            parse_keys(data)


def test_a_key_is_of_one_kind_and_size() -> None:
    public = b64decode(NEUMANN.rpartition("+")[2])[1:]
    assert NoteKey("PeterNeumann", ED25519, public).id.hex() == "c74f20a3"
    for kind, size in ((ED25519, 31), (ML_DSA_44, 32), (0x04, 32)):
        with pytest.raises(Malformed):
            NoteKey("name", kind, bytes(size))
