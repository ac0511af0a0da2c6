"""What ``ron-kms token`` tells people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ron_kms.capabilities.tokens import Inspected

Json = dict[str, Any]


def describe_token(found: Inspected, now: datetime) -> str:
    """What a token says, in words; never its signature."""
    caller = found.caller
    reach = caller.listable()
    lines = [f"token {found.token_id}, signed by root {found.root_id}"]
    if found.caveats:
        lines += [f"  {caveat}" for caveat in found.caveats]
    lines.append(f"It may: {', '.join(sorted(caller.scopes)) or 'nothing, for its scopes exclude each other'}.")
    if reach is None:
        lines.append("It covers no key, for its tenants and prefixes exclude each other.")
    else:
        lines.append(f"It covers {'every tenant' if not reach else 'what is under ' + '/'.join(reach)}.")
    if caller.expires is None:
        lines.append("It does not expire.")
    else:
        # A year beyond what a clock can tell does not come out of a caveat.
        moment = datetime.fromtimestamp(caller.expires, UTC)
        tense = "It has expired at" if now >= moment else "It expires at"
        lines.append(f"{tense} {moment:%Y-%m-%d %H:%M:%S} UTC.")
    if caller.rate is not None:
        lines.append(f"It may do {caller.rate} operations a second.")
    lines.append("Whether it is genuine and not revoked, only the service can tell.")
    return "\n".join(lines)


def describe_tokens(tokens: list[Json]) -> str:
    """One token a paragraph of two lines."""
    lines = []
    for one in tokens:
        covers = one.get("prefix") or one.get("tenant") or "every tenant"
        end = f"revoked {one['revoked']}" if "revoked" in one else f"expires {one.get('expires', 'never')}"
        rate = f", {one['rate']} a second" if "rate" in one else ""
        # Whoever may mint may write a label, and this is read in somebody else's terminal.
        label = "".join(sign if sign.isprintable() else "?" for sign in one["label"])
        lines.append(f"{one['id']}  {end}  {label}".rstrip())
        lines.append(f"  {covers}: {' '.join(one['scopes'])}{rate}")
    return "\n".join(lines) if lines else "No token is listed."


def describe_roots(roots: list[Json]) -> str:
    """One root a line, the oldest first."""
    live = [root["id"] for root in roots if "retired" not in root]
    lines = []
    for root in roots:
        state = "signs what is minted" if root["id"] == live[-1] else "its tokens are good"
        if "retired" in root:
            state = f"retired {root['retired']}"
        lines.append(f"{root['id']}  made {root['created']}  {state}")
    return "\n".join(lines)
