"""Post-quantum policies of tenants, each with what the plan of its last step has named.

A tenant's head holds the MAC of its policy: one that was taken out is noticed, and does not silently become the
default.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from blake3 import blake3
from sqlalchemy import Connection, select

from ron_kms.errors import StoreCorrupt
from ron_kms.model import Policy
from ron_kms.store import changes
from ron_kms.store.heads import find_head, put, save_head
from ron_kms.store.rows import Rows
from ron_kms.store.schema import POLICIES, POLICY_PLANS


def load_policy(connection: Connection, rows: Rows, tenant: str) -> Policy | None:
    """A tenant's own policy, None where it never had one.

    :raises StoreCorrupt: it was edited or taken out.
    """
    values = _load(connection, rows, tenant)
    return None if values is None else _policy(values)


def load_named(connection: Connection, rows: Rows, tenant: str, revision: int) -> bytes:
    """What the plan behind this revision of the policy has named; nothing where it is not the last.

    :raises StoreCorrupt: it was edited or taken out.
    """
    policy = _load(connection, rows, tenant)
    if policy is None or policy["revision"] != revision:
        return b""
    plan = rows.find(connection, POLICY_PLANS, tenant)
    if plan is None or blake3(plan["named"]).digest() != policy["named"]:
        raise StoreCorrupt(f"row {tenant} of table policy_plans is not that of its policy: it was changed")
    named: bytes = plan["named"]
    return named


def save_policy(connection: Connection, rows: Rows, tenant: str, policy: Policy, named: bytes) -> Policy:
    """Write a tenant's policy, count its revision up and announce it.

    :param policy: as it is to be; its ``revision`` is the one that it replaces, 0 where there is none yet, as it was
        read in this transaction.
    :param named: what the plan of this step has named.
    :returns: the policy as it is now.
    """
    before = _load(connection, rows, tenant)
    if (0 if before is None else before["revision"]) != policy.revision:
        raise ValueError("a policy is written over the one that was read in this transaction")
    values = {
        "tenant": tenant,
        "revision": policy.revision + 1,
        "phase": policy.phase,
        "rollout_percent": policy.rollout_percent,
        "stepped": policy.stepped,
        "named": blake3(named).digest(),
        "rolled_back": policy.rolled_back,
        "rolled_back_by": policy.rolled_back_by,
    }
    put(connection, rows, POLICIES, before, values)
    plan = {"tenant": tenant, "revision": policy.revision + 1, "named": named}
    put(connection, rows, POLICY_PLANS, rows.find(connection, POLICY_PLANS, tenant), plan)
    save_head(connection, rows, tenant, digest=rows.tag(POLICIES, values))
    changes.record(connection, rows, "policy", tenant)
    return _policy(values)


def rolled_back(connection: Connection, rows: Rows, limit: int) -> list[str]:
    """Up to so many tenants whose policy the service itself took back, and no operator has set again."""
    query = select(POLICIES).where(POLICIES.c.rolled_back.is_not(None)).order_by(POLICIES.c.rolled_back).limit(limit)
    return [rows.load(POLICIES, row)["tenant"] for row in connection.execute(query)]


def _load(connection: Connection, rows: Rows, tenant: str) -> dict[str, Any] | None:
    values = rows.find(connection, POLICIES, tenant)
    head = find_head(connection, rows, tenant)
    if (b"" if values is None else rows.tag(POLICIES, values)) != (b"" if head is None else head["digest"]):
        raise StoreCorrupt(f"row {tenant} of table policies is not what table tenant_heads says: one was changed")
    return values


def _policy(values: dict[str, Any]) -> Policy:
    stepped: datetime = values["stepped"]
    return Policy(
        phase=values["phase"],
        rollout_percent=values["rollout_percent"],
        revision=values["revision"],
        stepped=stepped,
        rolled_back=values["rolled_back"],
        rolled_back_by=values["rolled_back_by"],
    )
