"""The native core: guarded key memory, and batch loops over liboqs and libsodium with the GIL released.

Internal to ron-kms; :mod:`ron_kms.crypto` and :mod:`ron_kms.custody` give it meaning. Messages, signatures and keys
come through the buffer protocol: bytes are read where they are, of anything else (bytearray, memoryview, mmap) a copy
is taken first, for a message that changed while Ed25519 signs it would give the private key away.
"""

from collections.abc import Iterable, Sequence
from typing import Never

from typing_extensions import Buffer

class CoreError(Exception):
    """A C function refused: a blob that does not open, guarded memory that cannot be had, a released key."""

class GuardedMemoryError(CoreError):
    """No more guarded memory: the limits of locked memory or of mappings are reached."""

def liboqs_version() -> str: ...
def sodium_version() -> str: ...
def harden_process(*, dumpable: bool = False) -> None:
    """Forbid core files and, unless ``dumpable``, debuggers and other processes' access to this one's memory.

    PR_SET_DUMPABLE 0 and RLIMIT_CORE 0; only the latter outside Linux.

    :raises CoreError: the system refuses.
    """

def process_is_dumpable() -> bool: ...

class Scheme:
    """What a key is made of, in compiled form: up to two public keys and a secret."""

    @property
    def tracks(self) -> tuple[str, ...]: ...
    @property
    def public_sizes(self) -> tuple[int, ...]:
        """Bytes of each public key, one a track; none for a symmetric key."""

class SignatureScheme(Scheme):
    """A signing suite in compiled form: one or two tracks.

    :param names: ``Ed25519`` (libsodium, RFC 8032) or a name of liboqs, such as ``ML-DSA-65`` (FIPS 204).
    :param context: FIPS 204's context string for the ML-DSA tracks, at most 255 bytes; every suite uses the empty one.
    :raises CoreError: liboqs was built without one of them.
    """

    def __init__(self, names: tuple[str, ...], context: bytes = b"") -> None: ...
    @property
    def secret_sizes(self) -> tuple[int, ...]: ...
    @property
    def signature_sizes(self) -> tuple[int, ...]: ...

class KemScheme(Scheme):
    """A key encapsulation as HPKE uses it.

    :param name: ``X25519`` (RFC 9180 DHKEM 0x0020), ``ML-KEM-768`` or ``ML-KEM-1024`` (FIPS 203; 0x0041, 0x0042), or
        ``X-Wing`` (draft-connolly-cfrg-xwing-kem, 0x647A; its public key is ML-KEM's and then X25519's).
    :raises CoreError: there is no such one in this build.
    """

    def __init__(self, name: str) -> None: ...
    @property
    def enc_size(self) -> int:
        """Bytes of an encapsulated key, before the ciphertext in an HPKE message."""

class AeadScheme(Scheme):
    """Authenticated encryption with a random nonce of 24 bytes.

    :param name: ``XChaCha20-Poly1305`` or ``XAES-256-GCM`` (C2SP).
    :raises CoreError: it needs AES instructions which this CPU has not.
    """

    def __init__(self, name: str) -> None: ...

def has_aes_gcm() -> bool:
    """Whether this CPU has the AES instructions that libsodium's AES-GCM needs."""

class PublicKey:
    """The public keys of one key version, one a track, checked for their sizes.

    :raises ValueError: a wrong number or size.
    """

    def __init__(self, scheme: Scheme, public_keys: Iterable[bytes]) -> None: ...
    @property
    def scheme(self) -> Scheme: ...
    @property
    def public_keys(self) -> tuple[bytes, ...]: ...
    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of BLAKE2b over the public keys."""

class _Guarded:
    @property
    def closed(self) -> bool: ...
    def release(self) -> None:
        """Wipe and free the secret now, or as soon as the last running batch that uses it has ended."""
    def __reduce__(self) -> Never: ...

class KeySlot(_Guarded):
    """A private key in libsodium's guarded memory: between guard pages, locked, read-only, wiped when released.

    Made by :func:`generate` or :meth:`SecretKey.open_slot` only; there is no way to read its bytes, pickle or copy it.
    """

    @property
    def scheme(self) -> Scheme: ...
    @property
    def public_keys(self) -> tuple[bytes, ...]: ...
    @property
    def fingerprint(self) -> str: ...

def generate(scheme: Scheme, count: int = 1) -> list[KeySlot]:
    """Make ``count`` keys; each pair has passed its pairwise test (sign-verify, encapsulate-decapsulate).

    :raises GuardedMemoryError: there is none left.
    :raises CoreError: a pair does not fit.
    """

def from_published_seed(scheme: KemScheme | AeadScheme, seed: bytes) -> KeySlot:
    """The key that a published seed stands for: for known answers, never for keys that are to keep a secret.

    :param seed: 32 bytes for X25519 (the scalar), X-Wing and AEADs (the key), 64 for ML-KEM (d and z).
    """

def sign(slots: Sequence[KeySlot], messages: Sequence[Buffer]) -> list[tuple[bytes, ...] | Exception]:
    """Sign ``messages[i]`` with ``slots[i]``, every track, the GIL released for the whole loop.

    :returns: for each item one signature a track, or the exception that concerns this item alone.
    :raises ValueError: the lengths differ.
    """

def verify(
    keys: Sequence[PublicKey], messages: Sequence[Buffer], signatures: Sequence[Sequence[Buffer | None]]
) -> list[int | Exception]:
    """Check ``signatures[i]``, one a track and None where missing, over ``messages[i]`` under ``keys[i]``.

    :returns: for each item a mask, bit t set where track t's signature is valid, or the exception that concerns it. A
        signature of the wrong size is not valid.
    :raises ValueError: the lengths differ.
    """

def hpke_seal(
    keys: Sequence[PublicKey], infos: Sequence[Buffer], plaintexts: Sequence[Buffer]
) -> list[bytes | Exception]:
    """HPKE base mode (RFC 9180, HKDF-SHA256, ChaCha20-Poly1305, empty aad), the GIL released for the whole loop.

    :returns: for each item the encapsulated key and the ciphertext, or the exception that concerns it.
    :raises ValueError: the lengths differ.
    """

def hpke_open(
    slots: Sequence[KeySlot], infos: Sequence[Buffer], sealed: Sequence[Buffer], aad: bytes = b""
) -> list[bytes | Exception]:
    """Open what :func:`hpke_seal` made.

    :returns: for each item the plaintext, or the exception that concerns it: one and the same CoreError for whatever is
        wrong with key, info or message.
    """

def hpke_rewrap(
    slots: Sequence[KeySlot],
    infos: Sequence[Buffer],
    sealed: Sequence[Buffer],
    new_keys: Sequence[PublicKey],
    new_infos: Sequence[bytes],
) -> list[bytes | Exception]:
    """Open each message and seal it for another key; the plaintext stays inside and is wiped."""

def aead_seal(slots: Sequence[KeySlot], ads: Sequence[Buffer], plaintexts: Sequence[Buffer]) -> list[bytes | Exception]:
    """Encrypt each plaintext: 24 random bytes of nonce, ciphertext, tag; the GIL released for the whole loop."""

def aead_open(slots: Sequence[KeySlot], ads: Sequence[Buffer], sealed: Sequence[Buffer]) -> list[bytes | Exception]:
    """Open what :func:`aead_seal` made; one and the same CoreError for whatever is wrong with an item."""

class SecretKey(_Guarded):
    """A symmetric secret of 32 bytes in guarded memory. No method gives it to Python."""

    @staticmethod
    def generate() -> SecretKey: ...
    @staticmethod
    def receive(fd: int) -> SecretKey:
        """Read exactly 32 bytes from a descriptor straight into guarded memory.

        :raises CoreError: it ended early.
        """
    @staticmethod
    def read_hex(fd: int) -> SecretKey:
        """Read 64 hexadecimal digits, with or without a newline, and nothing else.

        :raises ValueError: it is not that.
        :raises OSError: it cannot be read.
        """
    def write_hex(self, fd: int) -> None: ...
    def send(self, fd: int) -> None: ...
    @property
    def id(self) -> str:
        """16 hexadecimal digits that name the key and tell nothing of it (HMAC-SHA256 of a constant, cut)."""
    def derive(self, info: bytes) -> SecretKey:
        """HKDF-SHA256 (RFC 5869), no salt, 32 bytes."""
    def mac(self, data: bytes) -> bytes:
        """HMAC-SHA256 (RFC 2104), 32 bytes."""
    def check(self, data: bytes, tag: bytes) -> bool:
        """Whether ``tag`` is :meth:`mac` of ``data``, in constant time."""
    def chain(self, parts: Sequence[bytes]) -> bytes:
        """The signature of a macaroon of these parts, identifier and caveats, as libmacaroons computes it; 32 bytes."""
    def check_chain(self, parts: Sequence[bytes], tag: bytes) -> bool:
        """Whether ``tag`` is :meth:`chain` of ``parts``, in constant time."""
    def seal_key(self, key: SecretKey, ad: bytes) -> bytes:
        """Encrypt another secret: 24 random bytes of nonce, then XChaCha20-Poly1305 under ``ad``."""
    def open_key(self, blob: bytes, ad: bytes) -> SecretKey:
        """:raises CoreError: wrong key, or the blob or ``ad`` was changed."""
    def seal_slot(self, slot: KeySlot, ad: bytes) -> bytes: ...
    def open_slot(self, scheme: Scheme, public_keys: Iterable[bytes], blob: bytes, ad: bytes) -> KeySlot:
        """Open what :meth:`seal_slot` made; ``ad`` must bind the public keys.

        :raises CoreError: wrong key, or the blob or ``ad`` was changed.
        :raises ValueError: the public keys have wrong sizes.
        """

def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """The root of the tree whose leaves are these (RFC 6962, section 2.1), the GIL released; 32 bytes.

    :raises TypeError: a leaf is not bytes.
    """

def from_passphrase(passphrase: Buffer, salt: bytes, opslimit: int, memlimit: int) -> SecretKey:
    """A secret made of a passphrase by Argon2id (RFC 9106, version 1.3, one lane), the GIL released.

    :param salt: 16 bytes.
    :param opslimit: passes over the memory.
    :param memlimit: bytes of memory.
    :raises ValueError: the salt has another size.
    :raises CoreError: there is too little memory, or the parameters are below Argon2's least.
    """

class Writer:
    """A thread that writes and syncs files and never takes the GIL. One order at a time; for one thread at a time, but
    for :meth:`wait`.

    :param tell: a descriptor to which it writes 8 bytes whenever an order is done: of an eventfd or of a pipe. It must
        stay open until :meth:`close` has returned.
    :raises CoreError: no thread can be had.
    """

    def __init__(self, tell: int) -> None: ...
    def order(self, fd: int, data: bytes, *, sync: bool) -> None:
        """Have all of the data written where the file stands, and the file on the disk where ``sync`` says so.

        :raises RuntimeError: the last order is not done, or :meth:`outcome` has not told yet what came of it.
        :raises ValueError: it is closed.
        """

    def wait(self) -> None:
        """Until no order is under way, the GIL released; any thread may."""

    def outcome(self) -> int | None:
        """What came of the order, told once: 0, or the errno of a failure; None where there is none yet.

        :raises ValueError: it is closed.
        """

    def close(self) -> None:
        """Let the order end that is under way, and the thread. Once more does nothing."""
