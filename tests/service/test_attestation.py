"""Signing with keys that nothing vouches for, where that is demanded and where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ron_kms.custody.attestation import SOFTWARE, Evidence, Posture, satisfied
from ron_kms.errors import AttestationMissing
from ron_kms.service.local import LocalKms

DIGEST = bytes(32)


@pytest.mark.parametrize(
    ("posture", "evidence", "enough"),
    [
        ("never", SOFTWARE, True),
        ("if-available", SOFTWARE, True),
        ("required", SOFTWARE, False),
        ("required", Evidence("hsm", {"serial": "1"}), True),
    ],
)
def test_postures(posture: Posture, evidence: Evidence, enough: bool) -> None:
    assert satisfied(posture, evidence) is enough


def test_required_refuses_signing_and_nothing_else(tmp_path: Path) -> None:
    with LocalKms(f"sqlite:///{tmp_path}/keys.db", seal=f"keyfile:{tmp_path}/root.key") as local:
        kid = local.create(tenant="acme", purpose="audit", suite="ed25519")
        vault = local.create(tenant="acme", purpose="vault", use="seal")
        sigs = local.sign(kid, digest=DIGEST).sigs
        assert local.get(kid).versions[0].attestation == "none"
        kms = local._kms
        kms.attestation = "required"
        assert not kms.attested
        for refused in (
            lambda: local.sign(kid, digest=DIGEST),
            lambda: local.sign_batch([{"digest": DIGEST}], kid=kid),
        ):
            with pytest.raises(AttestationMissing):
                refused()
        assert kms.metrics.registry.get_sample_value("kms_attest_total", {"result": "missing"}) == 2
        assert local.verify(kid, sigs, digest=DIGEST).ok
        assert local.open(vault, local.seal(vault, b"plaintext").sealed) == b"plaintext"
        kms.tend()
        assert kms.metrics.registry.get_sample_value("attestation_ready") == 0
        kms.attestation = "if-available"
        kms.tend()
        assert kms.metrics.registry.get_sample_value("attestation_ready") == 1
        assert local.sign(kid, digest=DIGEST).sigs
