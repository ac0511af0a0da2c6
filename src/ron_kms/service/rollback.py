"""The way back: a step to ``and`` that breaks what its plan had not named is undone by the service itself."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from blake3 import blake3

from ron_kms.errors import KmsError
from ron_kms.model import Kid, Policy
from ron_kms.service.audit import by_itself, recorded
from ron_kms.service.kms import Kms
from ron_kms.service.policy import fact_of_policy
from ron_kms.store.database import Connection
from ron_kms.store.policies import load_named, load_policy, save_policy

_log = logging.getLogger(__name__)


async def roll_back(kms: Kms, policy: Policy, kid: Kid) -> None:
    """Take a tenant's policy back to ``or``, unless its step is too long ago, or its plan had named this version.

    Verification goes on whatever becomes of it: where the store cannot be written, the next refusal tries again.

    :param policy: under which a valid signature by ``kid`` (with its version) was refused as ``pq_policy``.
    """
    now = datetime.now(UTC)
    if policy.stepped is None or now - policy.stepped >= timedelta(seconds=kms.rollback_seconds):
        return
    try:
        if (await kms.policies.named(kid.tenant, policy.revision)).covers(kid.uuid, kid.version or 0):
            return
        back = await recorded(
            kms,
            by_itself(),
            lambda connection: _write(kms, connection, policy, kid, now),
            lambda made: None if made is None else fact_of_policy("rollback-policy", kid.tenant, made, kid),
        )
    except KmsError as error:
        _log.error("the policy of tenant %s could not be rolled back: %s", kid.tenant, error.message)
        return
    kms.policies.forget((kid.tenant,))
    if back is None:
        return
    kms.metrics.rolled_back()
    _log.warning(
        "the policy of tenant %s was rolled back to 'or': it refused a valid signature by a version that its plan had"
        " not named, of key %s; 'ron-kms pq show' names it",
        kid.tenant,
        blake3(kid.key.encode()).hexdigest()[:8],
    )


def _write(kms: Kms, connection: Connection, policy: Policy, kid: Kid, now: datetime) -> Policy | None:
    """The policy from now on; None where it was not this call that took it back."""
    current = load_policy(connection, kms.rows, kid.tenant)
    if current is None or current.revision != policy.revision:
        return None
    # Where the step came up from phase 1 or 0 nothing becomes looser than it was before; down from 3 it does.
    back = Policy(
        phase=1,
        rollout_percent=100,
        revision=current.revision,
        stepped=current.stepped,
        rolled_back=now,
        rolled_back_by=str(kid),
    )
    named = load_named(connection, kms.rows, kid.tenant, current.revision)
    return save_policy(connection, kms.rows, kid.tenant, back, named)
