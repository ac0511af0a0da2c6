"""What a version of a key may be asked for, by the key's use and the version's state."""

from __future__ import annotations

from blake3 import blake3

from ron_kms.crypto.framing import ciphertext_version
from ron_kms.crypto.suites import Suite
from ron_kms.errors import Conflict, KeyDisabled, PolicyRefused, Unsupported
from ron_kms.keys import life
from ron_kms.keys.directory import Entry
from ron_kms.model import Caller, Kid, Policy, Use
from ron_kms.policy.pq import AND, phase_of
from ron_kms.service.schema import does_not_open


def require_use(entry: Entry, use: Use) -> None:
    """:raises Unsupported: the key is for another use."""
    if entry.key.use != use:
        raise Unsupported(f"this key is for use '{entry.key.use}', not '{use}'")


def require_newest(entry: Entry) -> None:
    """For whatever makes something new under a key: signing, wrapping, sealing.

    :raises Conflict: this is not the key's newest version.
    :raises KeyDisabled: the newest is not enabled; no older one takes its place.
    """
    if not entry.newest:
        raise Conflict("only the newest version of a key does this", hint="Leave the version away, or name the newest.")
    require_enabled(entry)


def require_enabled(entry: Entry) -> None:
    """For private operations.

    :raises KeyDisabled: the version is not enabled.
    """
    if not life.may_do_private(entry.state):
        raise KeyDisabled(f"version {entry.kid.version} of this key is {entry.state}")


def require_openable(entry: Entry) -> None:
    """For opening what was wrapped for a version or sealed under it, which need not be the newest.

    :raises KeyDisabled: the version is not enabled, or older than the key's minimum for opening.
    """
    require_enabled(entry)
    if (entry.kid.version or 0) < entry.key.min_open_version:
        raise KeyDisabled(
            f"versions below {entry.key.min_open_version} of this key open nothing any more",
            hint="What it has wrapped or sealed cannot be opened again: a minimum version only ever rises.",
        )


def named_inside(kid: Kid, ciphertext: bytes) -> Kid:
    """The version that wrapped keys or sealed data name.

    :raises BadRequest: they are of another form, or the kid names another version, which contradicts them.
    """
    version = ciphertext_version(ciphertext)
    if kid.version not in (None, version):
        raise does_not_open()
    return kid.at(version)


def require_suite(caller: Caller, policy: Policy, kid: Kid, suite: Suite) -> None:
    """For a suite that is asked for by name.

    Where policy demands a post-quantum track, a classical version could never verify, and its first signature would
    roll the policy back; so only who may set the policy may make one.

    :raises PolicyRefused: it is classical, and policy demands more of this key.
    """
    if suite.use != "sign" or suite.post_quantum or phase_of(policy, kid.uuid) < AND:
        return
    if "kms:policy" not in caller.scopes or not caller.may_govern(kid.tenant):
        raise PolicyRefused(
            f"this tenant's policy demands a post-quantum track, which {suite.name} has not",
            hint="Leave the suite away, or name a hybrid or post-quantum one.",
        )


def digest_of_ciphertext(ciphertext: bytes | None) -> bytes:
    """What the audit log says of it, and of none, where an item has come to nothing: 32 zero bytes."""
    return bytes(32) if ciphertext is None else blake3(ciphertext).digest()
