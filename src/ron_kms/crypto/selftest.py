"""Known-answer and pairwise tests of every suite, run once when :mod:`ron_kms.crypto` is imported.

``known_answers.json`` has, for each signing track of liboqs, a public key from the published FIPS 204 vectors, a
message, and a signature that an independent implementation made with that vector's seed; for each key encapsulation,
the seed of a published vector's receiver and an HPKE message that an independent implementation made for it. What
libsodium does by itself, the core tests.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ron_kms import _core
from ron_kms.crypto.suites import SUITES, Suite, Track


class SignatureAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signature that is valid for ``message`` under ``public``, with the empty context."""

    source: str
    public: bytes
    message: bytes
    signature: bytes


class WrapAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An HPKE message for the key of ``seed`` that opens to ``plaintext`` under ``info``."""

    source: str
    seed: bytes
    info: bytes
    wrapped: bytes
    plaintext: bytes


class KnownAnswers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By track for signatures, by suite for wrapping."""

    sign: dict[str, SignatureAnswer]
    wrap: dict[str, WrapAnswer]


def known_answers() -> KnownAnswers:
    """The known answers that this package carries."""
    return msgspec.json.decode(Path(__file__).with_name("known_answers.json").read_bytes(), type=KnownAnswers)


def run() -> None:
    """:raises ImportError: an algorithm failed, by name."""
    answers = known_answers()
    tested = {"ed25519"}
    for suite in SUITES.values():
        if suite.use == "sign":
            for track in suite.tracks:
                if track.name not in tested:
                    tested.add(track.name)
                    _test_signatures(track, answers.sign.get(track.name))
        elif suite.use == "wrap":
            _test_wrapping(suite, answers.wrap.get(suite.name))
        if suite.available:
            _test_pair(suite)


def _test_signatures(track: Track, answer: SignatureAnswer | None) -> None:
    if answer is None:
        raise ImportError(f"{track.native} has no known answer to be tested with")
    key = _core.PublicKey(_core.SignatureScheme((track.native,)), [answer.public])
    message, forged = answer.message, bytearray(answer.signature)
    forged[len(forged) // 2] ^= 1
    masks = _core.verify(
        [key] * 3, [message, message + b"\0", message], [[answer.signature], [answer.signature], [forged]]
    )
    if masks != [1, 0, 0]:
        raise _failed(track.native)


def _test_wrapping(suite: Suite, answer: WrapAnswer | None) -> None:
    if answer is None or not isinstance(suite.scheme, _core.KemScheme):
        raise ImportError(f"{suite.name} has no known answer to be tested with")
    forged = bytearray(answer.wrapped)
    forged[0] ^= 1
    slot = _core.from_published_seed(suite.scheme, answer.seed)
    opened, refused = _core.hpke_open([slot] * 2, [answer.info] * 2, [answer.wrapped, forged])
    if opened != answer.plaintext or not isinstance(refused, _core.CoreError):
        raise _failed(suite.scheme.tracks[0])


def _test_pair(suite: Suite) -> None:
    try:
        _core.generate(suite.scheme)[0].release()  # proves that the new pair fits
    except _core.CoreError as error:
        raise ImportError(f"the pairwise self-test of {suite.name} failed: {error}") from None


def _failed(algorithm: str) -> ImportError:
    return ImportError(f"the known-answer self-test of {algorithm} failed: these libraries must not be used")
