"""Who may make what policy does not accept: only those who may set the policy, for it takes the policy back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from ron_kms.capabilities.caveats import ALL_SCOPES
from ron_kms.errors import PolicyRefused
from ron_kms.model import Caller, new_uuid
from ron_kms.service.create import CreateRequest, create
from ron_kms.service.local import LocalKms
from ron_kms.service.operation import Context
from ron_kms.service.rotate import RotateRequest, rotate

CREATE = CreateRequest(tenant="acme", purpose="sandbox", use="sign", suite="ed25519")


def run(act: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(act)


def by(**caller: Any) -> Context:
    fields: dict[str, Any] = {"token_id": "t", "scopes": ALL_SCOPES, "tenant": "acme", **caller}
    return Context(Caller(**fields), new_uuid())


@pytest.mark.parametrize(
    "narrowed",
    [
        {"scopes": frozenset({"kms:create", "kms:rotate", "kms:sign", "kms:verify"})},
        {"prefixes": (("acme", "sandbox"),)},
    ],
)
def test_a_lesser_token_makes_no_classical_version_where_policy_demands_more(
    kms: LocalKms, narrowed: dict[str, Any]
) -> None:
    old = kms.create(tenant="acme", purpose="sandbox", suite="ed25519")
    assert run(create(kms._kms, by(**narrowed), CREATE)).suite == "ed25519"
    kms.set_policy("acme", phase=2)
    with pytest.raises(PolicyRefused):
        run(create(kms._kms, by(**narrowed), CREATE))
    again = RotateRequest(kid=old.partition("#")[0], suite="ed25519")
    with pytest.raises(PolicyRefused):
        run(rotate(kms._kms, by(**narrowed), again))
    assert kms.policy("acme").phase == 2
    # It may make what the phase demands, and whoever may set the policy may make anything.
    made = CreateRequest(tenant="acme", purpose="sandbox", use="sign", suite="hybrid")
    assert run(create(kms._kms, by(**narrowed), made)).suite == "ed25519+ml-dsa-65"
    assert run(create(kms._kms, by(), CREATE)).suite == "ed25519"
