"""The library's keys: modes, tracks, inputs, copies, and what a closed key does."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ron_kms import Internal, InvalidSignature, Signature, SigningKey, Unsupported, VerifyKey, verify_batch
from ron_kms.crypto.signing import judge_batch
from ron_kms.crypto.suites import ALIASES, SUITES, find, names
from tests.counts import count
from tests.crypto.samples import HYBRIDS, NAMES, key

MODES: list[Any] = ["and", "or", "pq_only"]


@settings(max_examples=count(40, 1000))
@given(st.sampled_from(NAMES), st.binary(max_size=200), st.sampled_from(MODES))
def test_what_is_signed_verifies(suite: str, message: bytes, mode: Any) -> None:
    ours = key(suite)
    sigs = ours.sign(message)
    expected = mode != "pq_only" or suite != "ed25519"
    assert ours.verify_key.is_valid(message, sigs, mode) is expected
    assert verify_batch([(ours.verify_key, message, sigs)] * 2, mode) == [expected] * 2
    if expected:
        ours.verify_key.verify(message, sigs, mode)
    with pytest.raises(InvalidSignature):
        ours.verify_key.verify(message + b"x", sigs, mode)


@pytest.mark.parametrize("suite", HYBRIDS)
def test_modes_of_a_hybrid(suite: str) -> None:
    ours = key(suite)
    classical, quantum = ours.sign(b"m")
    wrong_classical, wrong_quantum = ours.sign(b"other")
    table: list[tuple[list[Signature], tuple[bool, bool, bool]]] = [
        ([classical, quantum], (True, True, True)),
        ([quantum, classical], (True, True, True)),
        ([classical], (False, True, False)),
        ([quantum], (False, True, True)),
        ([classical, wrong_quantum], (False, True, False)),
        ([wrong_classical, quantum], (False, True, True)),
        ([wrong_classical, wrong_quantum], (False, False, False)),
        ([], (False, False, False)),
        ([classical, quantum, quantum], (False, False, False)),
        ([classical, quantum, Signature("ml-dsa-1", b"")], (False, False, False)),
        ([Signature(quantum.alg, classical.signature), quantum], (False, False, False)),
    ]
    for sigs, expected in table:
        assert tuple(ours.verify_key.is_valid(b"m", sigs, mode) for mode in MODES) == expected


@pytest.mark.parametrize("suite", HYBRIDS)
def test_a_verdict_tells_the_tracks(suite: str) -> None:
    ours = key(suite)
    classical, quantum = ours.sign(b"m")
    first, second = SUITES[suite].track_names
    broken = Signature(quantum.alg, bytes(len(quantum.signature)))
    both, one, none = judge_batch(
        [(ours.verify_key, b"m", sigs) for sigs in ([classical, quantum], [classical, broken], [quantum])]
    )
    assert (both.checked, both.valid, both.failed) == ((first, second), (first, second), ())
    assert (one.checked, one.valid, one.failed) == ((first, second), (first,), (second,))
    assert (none.checked, none.valid, none.failed) == ((second,), (second,), ())


@pytest.mark.parametrize("suite", NAMES)
def test_any_other_keys_signature_is_not_valid(suite: str) -> None:
    ours, other = key(suite), SigningKey.generate(suite)
    assert not ours.verify_key.is_valid(b"m", other.sign(b"m"), "or")
    assert ours.verify_key != other.verify_key
    assert ours.verify_key.fingerprint != other.verify_key.fingerprint


@pytest.mark.parametrize("suite", NAMES)
def test_batches_and_singles_of_the_library(suite: str) -> None:
    ours = key(suite)
    released = memoryview(b"released")
    released.release()
    messages: list[Any] = [b"", bytearray(b"1"), memoryview(b"2"), "text", released, bytes(64 * 1024)]
    results = ours.sign_batch(messages)
    assert [type(result).__name__ for result in results] == ["tuple"] * 3 + ["TypeError"] * 2 + ["tuple"]
    good = [(ours.verify_key, m, r) for m, r in zip(messages, results, strict=True) if isinstance(r, tuple)]
    assert verify_batch(good) == [True] * 4
    assert verify_batch([(k, m, good[0][2]) for k, m, _ in good]) == [True, False, False, False]
    assert ours.sign_batch([]) == verify_batch([]) == []
    with pytest.raises(TypeError):
        ours.sign("text")  # type: ignore[arg-type]


def test_a_closed_key_signs_no_more() -> None:
    with SigningKey.generate("hybrid") as ours:
        sigs = ours.sign(b"m")
    [result] = ours.sign_batch([b"m"])
    assert isinstance(result, Internal)
    with pytest.raises(Internal):
        ours.sign(b"m")
    ours.close()
    ours.verify_key.verify(b"m", sigs)


def test_no_key_leaves_by_pickling_or_copying() -> None:
    ours = SigningKey.generate("hybrid")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError):
            pickle.dumps(ours, protocol)
    with pytest.raises(TypeError):
        copy.deepcopy(ours)
    for attempt in (bytes, bytearray, memoryview, vars):
        with pytest.raises(TypeError):
            attempt(ours)  # type: ignore[operator]
    with pytest.raises(TypeError, match="generate"):
        SigningKey()


def test_texts_tell_suite_and_fingerprint_only() -> None:
    ours = key("ed25519+ml-dsa-65")
    assert repr(ours) == f"<SigningKey ed25519+ml-dsa-65 {ours.verify_key.fingerprint}>" == str(ours)
    assert repr(ours.verify_key) == f"<VerifyKey ed25519+ml-dsa-65 {ours.verify_key.fingerprint}>"


def test_a_verify_key_is_its_bytes() -> None:
    for suite in NAMES:
        ours = key(suite).verify_key
        again = VerifyKey.from_bytes(dict(reversed(ours.public.items())))
        assert again == ours
        assert hash(again) == hash(ours)
        assert again.suite == suite
        short = {track: raw[:-1] for track, raw in ours.public.items()}
        with pytest.raises(ValueError, match="public key"):
            VerifyKey.from_bytes(short)
    for wrong in ({}, {"ed448": b""}, {"ml-dsa-44": b"", "ml-dsa-65": b""}):
        with pytest.raises(Unsupported):
            VerifyKey.from_bytes(wrong)


def test_suites_are_found_by_name_and_alias() -> None:
    for name in NAMES:
        assert find("sign", name) is SUITES[name]
    for (use, alias), name in ALIASES.items():
        assert find(use, alias).name == name
        assert alias in names(use)
    for wrong in ("", "ED25519", "rsa", "ml-dsa-65+ed25519"):
        with pytest.raises(Unsupported):
            find("sign", wrong)
    with pytest.raises(Unsupported):
        find("wrap", "ed25519")
