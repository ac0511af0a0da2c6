"""Known-answer and pairwise tests of every suite, run once when :mod:`ron_kms.crypto` is imported.

``known_answers.json`` has, for each track of liboqs, a public key from the published FIPS 204 vectors, a message, and a
signature that an independent implementation made with that vector's seed. What libsodium does, the core tests itself.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ron_kms import _core
from ron_kms.crypto.suites import SUITES, Suite, Track


class KnownAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signature that is valid for ``message`` under ``public``, with the empty context."""

    source: str
    public: bytes
    message: bytes
    signature: bytes


def known_answers() -> dict[str, KnownAnswer]:
    """The known answers by track."""
    data = Path(__file__).with_name("known_answers.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, KnownAnswer])


def run() -> None:
    """:raises ImportError: an algorithm failed, by name."""
    answers = known_answers()
    tested: set[str] = {"ed25519"}
    for suite in SUITES.values():
        for track in suite.tracks:
            if track.name not in tested:
                tested.add(track.name)
                _test_track(track, answers.get(track.name))
        _test_pair(suite)


def _test_track(track: Track, answer: KnownAnswer | None) -> None:
    if answer is None:
        raise ImportError(f"{track.native} has no known answer to be tested with")
    key = _core.PublicKey(_core.SignatureScheme((track.native,)), [answer.public])
    message, forged = answer.message, bytearray(answer.signature)
    forged[len(forged) // 2] ^= 1
    masks = _core.verify(
        [key] * 3, [message, message + b"\0", message], [[answer.signature], [answer.signature], [forged]]
    )
    if masks != [1, 0, 0]:
        raise ImportError(f"the known-answer self-test of {track.native} failed: this liboqs must not be used")


def _test_pair(suite: Suite) -> None:
    try:
        _core.generate(suite.scheme)[0].release()  # signs and verifies with the new pair
    except _core.CoreError as error:
        raise ImportError(f"the pairwise self-test of {suite.name} failed: {error}") from None
