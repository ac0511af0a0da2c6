"""Post-quantum policies of tenants, each with what the plan of its last step has named.

A tenant's head holds the MAC of its policy, and one row counts the heads: a policy that was taken out is noticed, and
does not silently become the default. Looking for the policy of a tenant that has none checks all heads, 10 us each.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from blake3 import blake3
from sqlalchemy import Connection, select

from ron_kms.errors import StoreCorrupt
from ron_kms.model import Policy
from ron_kms.store import changes
from ron_kms.store.rows import Rows
from ron_kms.store.schema import POLICIES, POLICY_PLANS, TENANT_HEADS

_COUNT = ""
"""The row that counts the heads; no tenant has an empty name."""


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
    _put(connection, rows, POLICIES, before, values)
    plan = {"tenant": tenant, "revision": policy.revision + 1, "named": named}
    _put(connection, rows, POLICY_PLANS, rows.find(connection, POLICY_PLANS, tenant), plan)
    _head(connection, rows, tenant, values)
    changes.record(connection, rows, "policy", tenant)
    return _policy(values)


def rolled_back(connection: Connection, rows: Rows, limit: int) -> list[str]:
    """Up to so many tenants whose policy the service itself took back, and no operator has set again."""
    query = select(POLICIES).where(POLICIES.c.rolled_back.is_not(None)).order_by(POLICIES.c.rolled_back).limit(limit)
    return [rows.load(POLICIES, row)["tenant"] for row in connection.execute(query)]


def _load(connection: Connection, rows: Rows, tenant: str) -> dict[str, Any] | None:
    values = rows.find(connection, POLICIES, tenant)
    head = rows.find(connection, TENANT_HEADS, tenant)
    if head is None:
        _check_heads(connection, rows)
    if (None if values is None else rows.tag(POLICIES, values)) != (None if head is None else head["digest"]):
        raise StoreCorrupt(f"row {tenant} of table policies is not what table tenant_heads says: one was changed")
    return values


def _check_heads(connection: Connection, rows: Rows) -> None:
    """For a tenant without a head: that it never had one. Every row must be genuine, or one could be passed off as
    another's, and there must be as many as were made."""
    found = [rows.load(TENANT_HEADS, row) for row in connection.execute(select(TENANT_HEADS))]
    heads = {head["tenant"]: head for head in found}
    if len(heads) != (heads[_COUNT]["revision"] + 1 if _COUNT in heads else 0):
        raise StoreCorrupt("a row of table tenant_heads is missing: it was taken out outside ron-kms")


def _head(connection: Connection, rows: Rows, tenant: str, policy: dict[str, Any]) -> None:
    head = rows.find(connection, TENANT_HEADS, tenant)
    revision = 1 if head is None else head["revision"] + 1
    values = {"tenant": tenant, "revision": revision, "digest": rows.tag(POLICIES, policy)}
    _put(connection, rows, TENANT_HEADS, head, values)
    if head is None:
        count = rows.find(connection, TENANT_HEADS, _COUNT)
        heads = 1 if count is None else count["revision"] + 1
        _put(connection, rows, TENANT_HEADS, count, {"tenant": _COUNT, "revision": heads, "digest": b""})


def _put(connection: Connection, rows: Rows, table: Any, before: dict[str, Any] | None, values: dict[str, Any]) -> None:
    if before is None:
        rows.insert(connection, table, values)
    else:
        rows.update(connection, table, before, values)


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
