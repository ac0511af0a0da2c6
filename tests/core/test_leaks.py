"""Twenty thousand operations leave no object and no memory behind."""

from __future__ import annotations

import sys

import pytest

from ron_kms._core import PublicKey, SecretKey, SignatureScheme, generate, sign, verify
from tests.core import child

ED25519 = SignatureScheme(("Ed25519",))


def test_references_are_given_back() -> None:
    [slot] = generate(ED25519)
    public = PublicKey(ED25519, slot.public_keys)
    message = b"a message of the test's own"
    bad: object = object()
    [good] = sign([slot], [message])
    assert isinstance(good, tuple)
    watched = [slot, public, message, good, good[0], ED25519, bad, slot.public_keys]
    before = [sys.getrefcount(thing) for thing in watched]
    for _ in range(50):
        sign([slot] * 8, [message] * 8)
        sign([slot, bad, slot], [message, message, bad])  # type: ignore[list-item]
        verify([public] * 8, [message] * 8, [good] * 8)
        verify([public, bad, public], [message, message, bad], [good, good, (bad,)])  # type: ignore[list-item]
        key = SecretKey.generate()
        blob = key.seal_slot(slot, message)
        key.open_slot(ED25519, slot.public_keys, blob, message).release()
        key.check(message, key.mac(message))
        key.check_chain([message], key.chain([message, message]))
    assert [sys.getrefcount(thing) for thing in watched] == before


MEMORY = """
import gc, json, resource, tracemalloc
from pathlib import Path
from ron_kms import _core

hybrid = _core.SignatureScheme(("Ed25519", "ML-DSA-44"))
scheme = _core.SignatureScheme(("Ed25519",))
slots, hybrids = _core.generate(scheme, 4), _core.generate(hybrid, 2)
publics = [_core.PublicKey(scheme, slot.public_keys) for slot in slots]
key = _core.SecretKey.generate()

def work(rounds):
    for i in range(rounds):
        messages = [b"%d" % (i + j) for j in range(4)]
        signatures = _core.sign(slots, messages)
        assert _core.verify(publics, messages, signatures) == [1] * 4
        _core.sign([slots[0], None], ["text", b""])
        _core.verify([publics[0], None], [None, b""], [signatures[0], b""])
        if i % 25 == 0:
            _core.sign(hybrids, messages[:2])
            blob = key.seal_slot(_core.generate(scheme)[0], b"ad")
            try:
                key.open_slot(scheme, [b"wrong"], blob, b"ad")
            except ValueError:
                pass
            try:
                key.open_slot(scheme, slots[0].public_keys, blob[:-1], b"ad")
            except _core.CoreError:
                pass
            _core.SignatureScheme(("ML-DSA-44",))

def resident():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

work(500)
first = resident()
work(2500)
grown = resident() - first
tracemalloc.start()
work(50)
gc.collect()
before = tracemalloc.get_traced_memory()[0]
work(200)
gc.collect()
print(json.dumps([grown, tracemalloc.get_traced_memory()[0] - before]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_as_it_is() -> None:
    resident, traced = child.result(MEMORY)
    assert resident < 1024 * 1024  # 2,500 rounds of eight operations: 400 bytes lost in each would show
    assert traced < 4096
