"""What changes while it is signed is signed as it was at one moment."""

from __future__ import annotations

import threading

import pytest

from ron_kms import SigningKey
from tests.counts import count

SIZE = 1 << 20


@pytest.mark.parametrize("suite", ["ed25519", "ed25519+ml-dsa-65"])
def test_a_message_that_changes_is_signed_as_it_was_at_one_moment(suite: str) -> None:
    """Ed25519 reads a message twice. A signature over two different readings is valid for neither, and with an honest
    one beside it gives the private key away."""
    message = bytearray(SIZE)
    stop = threading.Event()

    def flip() -> None:
        while not stop.is_set():
            message[-1] ^= 1

    flipping = threading.Thread(target=flip)
    with SigningKey.generate(suite) as key:
        flipping.start()
        try:
            signed = [key.sign(message) for _ in range(count(20, 200))]
        finally:
            stop.set()
            flipping.join()
    even, odd = bytes(SIZE), bytes(SIZE - 1) + b"\1"
    for sigs in signed:
        assert key.verify_key.is_valid(even, sigs) or key.verify_key.is_valid(odd, sigs)
