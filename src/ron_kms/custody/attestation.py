"""What vouches for where a private key is kept, and what follows where nothing does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from ron_kms.errors import AttestationMissing

Posture = Literal["never", "if-available", "required"]
"""Whether evidence is asked for, and whether a key without any may sign."""


class Evidence(NamedTuple):
    """What a backend says of itself and of a key.

    :ivar kind: its class, as the audit log names it; ``none`` where nothing vouches for the key.
    :ivar statements: what is said, by name: of a token its manufacturer, model, serial number and firmware; of a key
        whether it was made there, and may never leave.
    """

    kind: str
    statements: Mapping[str, str]


SOFTWARE = Evidence("none", {})
"""For keys that rest in the store: nothing but this process vouches for them."""


def require_evidence(posture: Posture, evidence: Evidence) -> None:
    """For the beginning of signing.

    :raises AttestationMissing: the service is to sign with attested keys only, and this one is none.
    """
    if not satisfied(posture, evidence):
        raise AttestationMissing("signing needs an attested key, and nothing vouches for where this one is kept")


def satisfied(posture: Posture, evidence: Evidence) -> bool:
    """Whether a key with this evidence may sign."""
    return posture != "required" or evidence.kind != SOFTWARE.kind
