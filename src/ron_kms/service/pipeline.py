"""The table of operations: every verb that the service has, once. The HTTP edge, OpenAPI and the library read it."""

from __future__ import annotations

from ron_kms.service import (
    audit_log,
    create,
    destroy,
    plan,
    policy,
    read,
    rotate,
    seal,
    sign,
    token_roots,
    tokens,
    unwrap,
    update,
    verify,
    wrap,
)
from ron_kms.service.operation import Operation

# The busiest first.
OPERATIONS: tuple[Operation, ...] = (
    *sign.OPERATIONS,
    *verify.OPERATIONS,
    *wrap.OPERATIONS,
    *unwrap.OPERATIONS,
    *seal.OPERATIONS,
    *create.OPERATIONS,
    *rotate.OPERATIONS,
    *update.OPERATIONS,
    *destroy.OPERATIONS,
    *read.OPERATIONS,
    *policy.OPERATIONS,
    *plan.OPERATIONS,
    *tokens.OPERATIONS,
    *token_roots.OPERATIONS,
    *audit_log.OPERATIONS,
)
