"""Key slots: no way out for the secret, harmless texts, and inputs that are not what they should be."""

from __future__ import annotations

import copy
import io
import mmap
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ron_kms import _core
from ron_kms._core import CoreError, KeySlot, PublicKey, SecretKey, SignatureScheme, generate, sign, verify

ED25519 = SignatureScheme(("Ed25519",))
HYBRID = SignatureScheme(("Ed25519", "ML-DSA-44"))


@pytest.fixture(scope="module")
def slot() -> KeySlot:
    return generate(HYBRID)[0]


@pytest.fixture(params=["slot", "secret"])
def guarded(request: pytest.FixtureRequest) -> Any:
    return generate(HYBRID)[0] if request.param == "slot" else SecretKey.generate()


def test_no_pickle_no_copy(guarded: Any) -> None:
    attempts: list[Callable[[], object]] = [lambda: copy.copy(guarded), lambda: copy.deepcopy([guarded])]
    attempts += [partial(pickle.dumps, guarded, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for attempt in attempts:
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            attempt()


def test_no_way_to_bytes(guarded: Any) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: bytes(guarded),
        lambda: bytearray(guarded),
        lambda: memoryview(guarded),
        lambda: io.BytesIO().write(guarded),
        lambda: int(guarded),
        lambda: list(guarded),
        lambda: len(guarded),
        lambda: guarded[0],
        lambda: vars(guarded),
        lambda: guarded.memory,
        lambda: guarded.size,
        lambda: setattr(guarded, "memory", 1),
    ]
    for attempt in attempts:
        with pytest.raises((TypeError, AttributeError)):
            attempt()


def test_public_names_are_those_of_the_stub() -> None:
    def names(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert names(KeySlot) == {"closed", "fingerprint", "public_keys", "release", "scheme"}
    assert names(SecretKey) == {
        *("chain", "check", "check_chain", "closed", "derive", "generate", "id", "mac", "open_key", "open_slot"),
        *("read_hex", "receive", "release", "seal_key", "seal_slot", "send", "write_hex"),
    }


def test_texts_are_harmless(slot: KeySlot) -> None:
    assert repr(slot) == f"<KeySlot Ed25519+ML-DSA-44 {slot.fingerprint}>"
    assert str(slot) == f"{slot}" == repr(slot)
    assert repr(SignatureScheme(("Ed25519",))) == "SignatureScheme(('Ed25519',))"
    [gone] = generate(ED25519)
    gone.release()
    assert repr(gone) == f"<KeySlot Ed25519 {gone.fingerprint} released>"
    assert PublicKey(HYBRID, slot.public_keys).fingerprint == slot.fingerprint


def test_what_is_known_of_a_slot_cannot_be_changed(slot: KeySlot) -> None:
    for name in ("scheme", "public_keys", "fingerprint", "closed"):
        with pytest.raises(AttributeError):
            setattr(slot, name, None)


@pytest.mark.parametrize("kind", [KeySlot, SecretKey])
def test_guarded_things_are_made_by_the_core_only(kind: Any) -> None:
    with pytest.raises(TypeError, match="made only inside the core"):
        kind()
    with pytest.raises(TypeError, match="made only inside the core"):
        kind(b"\0" * 64)
    empty = kind.__new__(kind)
    assert empty.closed
    empty.release()
    assert "empty" in repr(empty) or "released" in repr(empty)


def test_schemes_and_public_keys_are_made_once_and_whole(slot: KeySlot) -> None:
    for kind in (SignatureScheme, PublicKey):
        with pytest.raises(TypeError):
            kind.__new__(kind)
    scheme = SignatureScheme(("Ed25519",))
    [own] = generate(scheme)
    public = PublicKey(scheme, own.public_keys)
    scheme.__init__(("ML-DSA-87",))  # type: ignore[misc]
    public.__init__(HYBRID, slot.public_keys)  # type: ignore[misc]
    assert scheme.tracks == ("Ed25519",)
    assert public.public_keys == own.public_keys
    assert verify([public], [b"m"], sign([own], [b"m"])) == [1]  # type: ignore[arg-type]


def test_empty_slots_and_secrets_do_nothing(slot: KeySlot) -> None:
    [refused] = sign([KeySlot.__new__(KeySlot)], [b""])
    assert isinstance(refused, CoreError)
    empty = SecretKey.__new__(SecretKey)
    with pytest.raises(CoreError, match="released"):
        empty.mac(b"")
    with pytest.raises(CoreError, match="released"):
        SecretKey.generate().seal_slot(KeySlot.__new__(KeySlot), b"")
    with pytest.raises(CoreError, match="released"):
        empty.seal_slot(slot, b"")


def test_a_bad_item_of_a_batch_is_refused_alone(slot: KeySlot) -> None:
    released = generate(ED25519)[0]
    released.release()
    strided = memoryview(bytes(100))[::2]
    items: list[tuple[Any, Any, type]] = [
        (slot, b"good", tuple),
        (None, b"", TypeError),
        ("slot", b"", TypeError),
        (PublicKey(HYBRID, slot.public_keys), b"", TypeError),
        (slot, None, TypeError),
        (slot, "text", TypeError),
        (slot, 7, TypeError),
        (slot, [b"list"], TypeError),
        (slot, strided, BufferError),
        (released, b"", CoreError),
        (slot, b"", tuple),
    ]
    results = sign([item[0] for item in items], [item[1] for item in items])
    for result, (_, _, expected) in zip(results, items, strict=True):
        assert isinstance(result, expected), result
    public = PublicKey(HYBRID, slot.public_keys)
    assert verify([public] * 2, [b"good", b""], [results[0], results[-1]]) == [3, 3]  # type: ignore[list-item]


def test_a_bad_item_of_a_verification_is_refused_alone(slot: KeySlot) -> None:
    public = PublicKey(HYBRID, slot.public_keys)
    [good] = sign([slot], [b"m"])
    assert isinstance(good, tuple)
    items: list[tuple[Any, Any, Any, object]] = [
        (public, b"m", good, 3),
        (slot, b"m", good, TypeError),
        (None, b"m", good, TypeError),
        (public, None, good, TypeError),
        (public, "m", good, TypeError),
        (public, b"m", None, TypeError),
        (public, b"m", (), TypeError),
        (public, b"m", good[:1], TypeError),
        (public, b"m", (*good, b""), TypeError),
        (public, b"m", ("a", "b"), TypeError),
        (public, b"m", (good[0], 5), TypeError),
        (public, b"m", (None, None), 0),
        (public, b"m", (good[0], None), 1),
        (public, b"m", (None, good[1]), 2),
        (public, b"m", (b"", b""), 0),
        (public, b"m", (good[0] + b"\0", good[1][:-1]), 0),
        (public, b"m", (good[1], good[0]), 0),
        (public, b"n", good, 0),
    ]
    results = verify([item[0] for item in items], [item[1] for item in items], [item[2] for item in items])
    for result, (_, _, _, expected) in zip(results, items, strict=True):
        assert isinstance(result, expected) if isinstance(expected, type) else result == expected, result


def test_lengths_that_differ_are_refused(slot: KeySlot) -> None:
    public = PublicKey(HYBRID, slot.public_keys)
    with pytest.raises(ValueError, match="2 slots but 1 messages"):
        sign([slot, slot], [b""])
    with pytest.raises(ValueError, match="1 keys but 0 messages"):
        verify([public], [], [])
    with pytest.raises(ValueError, match="0 signatures"):
        verify([public], [b""], [])
    assert sign([], []) == []
    assert verify([], [], []) == []


@pytest.mark.parametrize("not_a_sequence", [None, 5, object()])
def test_what_is_not_a_sequence_is_refused(not_a_sequence: Any) -> None:
    with pytest.raises(TypeError):
        sign(not_a_sequence, [])
    with pytest.raises(TypeError):
        verify([], not_a_sequence, [])


def test_every_buffer_is_read_in_place(slot: KeySlot) -> None:
    public = PublicKey(HYBRID, slot.public_keys)
    mapped = mmap.mmap(-1, 4096)
    mapped.write(b"message")
    messages: list[Any] = [b"message", bytearray(b"message"), memoryview(b"xmessagex")[1:-1], memoryview(mapped)[:7]]
    results = sign([slot] * 4, messages)
    assert verify([public] * 4, messages, results) == [3] * 4  # type: ignore[arg-type]
    assert verify([public] * 4, messages[::-1], results) == [3] * 4  # type: ignore[arg-type]
    views = [tuple(map(bytearray, result)) for result in results]  # type: ignore[arg-type]
    assert verify([public] * 4, messages, views) == [3] * 4
    del messages
    mapped.close()  # would raise if a view of it were still held


def test_buffers_are_let_go_of_on_every_path(slot: KeySlot) -> None:
    public = PublicKey(HYBRID, slot.public_keys)
    message, signature = bytearray(b"m"), bytearray(64)
    sign([slot, None, slot], [message, message, None])  # type: ignore[list-item]
    verify([public] * 3, [message] * 3, [(signature, None), (signature, 5), None])  # type: ignore[list-item]
    message.append(0)
    signature.append(0)


@pytest.mark.parametrize("count", [-1, -(2**63), 2**61, 2**62, 2**63 - 1])
def test_counts_that_cannot_be(count: int) -> None:
    with pytest.raises((ValueError, MemoryError)):
        generate(ED25519, count)


def test_no_keys_is_no_error() -> None:
    assert generate(HYBRID, 0) == []


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ((), ValueError),
        (("Ed25519",) * 3, ValueError),
        (("Ed448",), CoreError),
        (("ed25519",), CoreError),
        (("",), CoreError),
        (("Falcon-512",), CoreError),
        (("ML-DSA-65-é",), ValueError),
        ((5,), AttributeError),
        (["Ed25519"], TypeError),
        (None, TypeError),
    ],
)
def test_schemes_that_cannot_be(names: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        SignatureScheme(names)


def test_a_context_is_bounded() -> None:
    with pytest.raises(ValueError, match="255"):
        SignatureScheme(("ML-DSA-44",), b"x" * 256)
    [slot] = generate(SignatureScheme(("ML-DSA-44",), b"x" * 255))
    [signed] = sign([slot], [b""])
    plain = PublicKey(SignatureScheme(("ML-DSA-44",)), slot.public_keys)
    with_it = PublicKey(slot.scheme, slot.public_keys)
    assert verify([plain, with_it], [b""] * 2, [signed] * 2) == [0, 1]  # type: ignore[list-item]


def test_public_keys_of_wrong_shape_are_refused(slot: KeySlot) -> None:
    ed25519, ml_dsa = slot.public_keys
    for wrong in ([], [ed25519], [ml_dsa, ed25519], [ed25519, ml_dsa[:-1]], [ed25519 + b"\0", ml_dsa], [b"", b""]):
        with pytest.raises(ValueError, match="public key"):
            PublicKey(HYBRID, wrong)


@pytest.mark.parametrize("wrong", [None, "text", 5, bytearray(32), memoryview(b"")])
def test_secrets_take_bytes_only(wrong: Any) -> None:
    key = SecretKey.generate()
    attempts: list[Callable[[], object]] = [
        lambda: key.mac(wrong),
        lambda: key.derive(wrong),
        lambda: key.check(wrong, bytes(32)),
        lambda: key.check(b"", wrong),
        lambda: key.chain([b"", wrong]),
        lambda: key.check_chain([], wrong),
        lambda: key.seal_key(key, wrong),
        lambda: key.seal_key(wrong, b""),
        lambda: key.open_key(wrong, b""),
        lambda: key.open_key(bytes(72), wrong),
        lambda: key.seal_slot(wrong, b""),
        lambda: key.open_slot(wrong, [], b"", b""),
    ]
    for attempt in attempts:
        with pytest.raises(TypeError):
            attempt()


def test_versions_are_told() -> None:
    assert tuple(map(int, _core.liboqs_version().split("-")[0].split("."))) >= (0, 13, 0)
    assert tuple(map(int, _core.sodium_version().split("."))) >= (1, 0, 18)
