"""Who runs in a cell without a C loop: keys that wrap, keys that seal, and sealed keys that are loaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import nacl.bindings as sodium
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

from perf.micro.cells import PYCA_CALLS, Cell
from perf.micro.contenders import Call, Contender, PythonLane, windows
from perf.micro.floor import Floor
from perf.micro.material import MESSAGE_SIZE, MESSAGES, PYCA
from ron_kms import _core
from ron_kms.crypto import suites

DATA_KEY_SIZE = 32
LOADED_KEYS = 8
"""So many different keys are loaded again and again."""

_CONTEXT = b"ron-kms bench: what a key is bound to"
_NONCE = 24


class _Calls(NamedTuple):
    """
    :ivar core: one batch each.
    :ivar beside: who it is compared with, by one operation a call; nobody where there are none.
    """

    core: Sequence[Call]
    beside: str = ""
    others: Sequence[Call] = ()


def contenders(cell: Cell, floor: Floor) -> list[Contender]:
    """Everyone in this cell, the core first.

    :raises RuntimeError: the core and who it is compared with do not understand each other.
    """
    calls = _MAKERS[cell.operation](cell)
    found = [
        Contender("core", threads, PythonLane(floor, calls.core), cell.calls, cell.batch, sample)
        for threads, sample in ((1, calls.core[0]), (2, None))
    ]
    if calls.others:
        lane = PythonLane(floor, calls.others)
        found.append(Contender(calls.beside, 1, lane, PYCA_CALLS, 1, calls.others[0]))
    return found


def _x_wing(seed: bytes) -> MLKEM768X25519PrivateKey:
    return MLKEM768X25519PrivateKey(
        mlkem.MLKEM768PrivateKey.from_seed_bytes(seed[:64]), X25519PrivateKey.from_private_bytes(seed[64:])
    )


class _Kem(NamedTuple):
    """How pyca/cryptography names a KEM and makes its private key; the seed's size in bytes."""

    kem: KEM
    private: Callable[[bytes], Any]
    seed_size: int


_KEMS: Mapping[str, _Kem] = {
    "x25519": _Kem(KEM.X25519, X25519PrivateKey.from_private_bytes, 32),
    "ml-kem-768": _Kem(KEM.MLKEM768, mlkem.MLKEM768PrivateKey.from_seed_bytes, 64),
    "ml-kem-1024": _Kem(KEM.MLKEM1024, mlkem.MLKEM1024PrivateKey.from_seed_bytes, 64),
    "x25519+ml-kem-768": _Kem(KEM.MLKEM768_X25519, _x_wing, 96),
}


def _public(suite: str, seed: bytes) -> bytes:
    if suite == "x25519+ml-kem-768":
        return _public("ml-kem-768", seed[:64]) + _public("x25519", seed[64:])
    raw: bytes = _KEMS[suite].private(seed).public_key().public_bytes_raw()
    return raw


def _wrap(cell: Cell) -> _Calls:
    scheme = suites.find("wrap", cell.suite).scheme
    [slot] = _core.generate(scheme)
    key = _core.PublicKey(scheme, slot.public_keys)
    plaintexts = [os.urandom(DATA_KEY_SIZE) for _ in range(MESSAGES)]
    keys, infos = [key] * cell.batch, [_CONTEXT] * cell.batch
    core = [partial(_core.hpke_seal, keys, infos, window) for [window] in windows(cell.batch, plaintexts)]
    kem = _KEMS[cell.suite]
    private = kem.private(os.urandom(kem.seed_size))
    theirs = partial(_suite(kem).encrypt, public_key=private.public_key(), info=_CONTEXT)
    return _Calls(core, "pyca", [partial(theirs, plaintext) for plaintext in plaintexts])


def _unwrap(cell: Cell) -> _Calls:
    """Each opens what the core wrapped for it."""
    scheme = suites.find("wrap", cell.suite).scheme
    kem = _KEMS[cell.suite]
    seed = os.urandom(kem.seed_size)
    [slot] = _core.generate(scheme)
    plaintexts = [os.urandom(DATA_KEY_SIZE) for _ in range(max(cell.batch, 64))]
    wrapped, for_pyca = (
        _whole(
            _core.hpke_seal([_core.PublicKey(scheme, keys)] * len(plaintexts), [_CONTEXT] * len(plaintexts), plaintexts)
        )
        for keys in (slot.public_keys, (_public(cell.suite, seed),))
    )
    theirs = partial(_suite(kem).decrypt, private_key=kem.private(seed), info=_CONTEXT)
    if theirs(for_pyca[0]) != plaintexts[0]:
        raise RuntimeError(f"pyca/cryptography opens {cell.suite} in another way")
    slots, infos = [slot] * cell.batch, [_CONTEXT] * cell.batch
    core = [partial(_core.hpke_open, slots, infos, window) for [window] in windows(cell.batch, wrapped)]
    return _Calls(core, "pyca", [partial(theirs, one) for one in for_pyca])


def _suite(kem: _Kem) -> Suite:
    return Suite(kem.kem, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def _seal(cell: Cell) -> _Calls:
    [slot] = _core.generate(suites.find("seal", cell.suite).scheme)
    plaintexts = [os.urandom(MESSAGE_SIZE) for _ in range(MESSAGES)]
    slots, ads = [slot] * cell.batch, [_CONTEXT] * cell.batch
    core = [partial(_core.aead_seal, slots, ads, window) for [window] in windows(cell.batch, plaintexts)]
    if cell.suite != "xchacha20-poly1305":
        return _Calls(core)
    key = os.urandom(32)
    return _Calls(core, "pynacl", [partial(_seal_theirs, key, plaintext) for plaintext in plaintexts])


def _open(cell: Cell) -> _Calls:
    scheme = suites.find("seal", cell.suite).scheme
    [slot] = _core.generate(scheme)
    plaintexts = [os.urandom(MESSAGE_SIZE) for _ in range(MESSAGES)]
    sealed = _whole(_core.aead_seal([slot] * MESSAGES, [_CONTEXT] * MESSAGES, plaintexts))
    slots, ads = [slot] * cell.batch, [_CONTEXT] * cell.batch
    core = [partial(_core.aead_open, slots, ads, window) for [window] in windows(cell.batch, sealed)]
    if cell.suite != "xchacha20-poly1305":
        return _Calls(core)
    key = os.urandom(32)
    return _Calls(core, "pynacl", [partial(_open_theirs, key, _seal_theirs(key, one)) for one in plaintexts])


def _seal_theirs(key: bytes, plaintext: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, _CONTEXT, nonce, key)


def _open_theirs(key: bytes, sealed: bytes) -> bytes:
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed[_NONCE:], _CONTEXT, sealed[:_NONCE], key)


def _load(cell: Cell) -> _Calls:
    """From a sealed blob to a key that works, in guarded memory here. There PyNaCl opens the same AEAD over the key's
    seed, from which pyca/cryptography makes its key in plain memory."""
    suite = suites.SUITES[cell.suite]
    seal = _core.SecretKey.generate()
    made = [(slot.public_keys, seal.seal_slot(slot, _CONTEXT)) for slot in _core.generate(suite.scheme, LOADED_KEYS)]
    items = [made[i % LOADED_KEYS] for i in range(MESSAGES)]
    core = [partial(_load_all, seal, suite.scheme, window) for [window] in windows(cell.batch, items)]
    if suite.use == "wrap":
        makers = [(_KEMS[cell.suite].private, _KEMS[cell.suite].seed_size)]
    else:
        kinds = {track: PYCA[track] for track in suite.track_names}
        makers = [
            (kind.from_private_bytes if track == "ed25519" else kind.from_seed_bytes, 32)
            for track, kind in kinds.items()
        ]
    key = os.urandom(32)
    blobs = [_seal_theirs(key, os.urandom(sum(size for _, size in makers))) for _ in range(LOADED_KEYS)]
    return _Calls(core, "pyca", [partial(_load_theirs, key, blob, makers) for blob in blobs])


def _load_all(
    seal: _core.SecretKey, scheme: _core.Scheme, items: Sequence[tuple[tuple[bytes, ...], bytes]]
) -> list[_core.KeySlot]:
    return [seal.open_slot(scheme, public_keys, blob, _CONTEXT) for public_keys, blob in items]


def _load_theirs(key: bytes, blob: bytes, makers: Sequence[tuple[Callable[[bytes], Any], int]]) -> list[Any]:
    seeds, at, made = _open_theirs(key, blob), 0, []
    for make, size in makers:
        made.append(make(seeds[at : at + size]))
        at += size
    return made


def _whole(results: Sequence[bytes | Exception]) -> list[bytes]:
    found = [result for result in results if isinstance(result, bytes)]
    if len(found) != len(results):
        raise RuntimeError("the core could not wrap or seal")
    return found


_MAKERS: Mapping[str, Callable[[Cell], _Calls]] = {
    "wrap": _wrap,
    "unwrap": _unwrap,
    "seal": _seal,
    "open": _open,
    "load": _load,
}
