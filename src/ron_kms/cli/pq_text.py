"""What ``ron-kms pq`` tells people."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_PHASES = ("classical", "hybrid, or", "hybrid, and", "pq_only")
_REASONS = {
    "pq_policy": "no post-quantum track",
    "pq_stripped": "a track is left away",
    "bad_signature": "a track is not valid",
    "missing_track": "no track",
}


def describe_stage(stage: Json) -> str:
    """``phase 2 (hybrid, and) for 25 % of its keys``."""
    share = stage["rollout_percent"]
    whose = "all its keys" if share == 100 else f"{share} % of its keys"
    return f"phase {stage['phase']} ({_PHASES[stage['phase']]}) for {whose}"


def describe_policy(policy: Json) -> str:
    """The policy in one or two sentences."""
    default = "" if policy["source"] == "tenant" else ", the default of this service"
    lines = [f"{policy['tenant']} is in {describe_stage(policy)}{default}."]
    if "rolled_back" in policy:
        lines.append(
            f"It was rolled back at {policy['rolled_back']}: a valid signature by {policy['rolled_back_by']}, which"
            " the step's plan had not named, was refused. Set the policy again to end this notice."
        )
    return "\n".join(lines)


def describe_plan(policy: Json, plan: Json, changes: list[Json], shown: int) -> str:
    """The plan, with so many keys of each kind by name."""
    lines = [describe_policy(policy)]
    summary = plan["summary"]
    lines += ["", f"Keys: {summary['keys']:,}"]
    lines += [
        f"  {count['use']:<5} {count['suite']:<20} phase {count['phase']}  {count['keys']:>9,}"
        for count in summary["suites"]
    ]
    if plan["now"] == plan["step"]:
        return "\n".join([*lines, "", "There is no step left to do."])
    lines += ["", f"The next step is {describe_stage(plan['step'])}. It"]
    lines.append(f"- rotates {summary['rotates']:,} keys{':' if summary['rotates'] else '.'}")
    lines += _some(
        [f"{change['kid']}  {change['suite']} -> {change['becomes']}" for change in changes if "becomes" in change],
        summary["rotates"],
        shown,
    )
    refuses = summary["refuses"]
    signed = "; what they signed has to be signed anew before it:" if refuses else "."
    lines.append(f"- refuses signatures by {refuses:,} versions{signed}")
    lines += _some([kid for change in changes for kid in change.get("refused", ())], refuses, shown)
    seen = summary["seen"]
    lines += ["", f"Verified since {summary['since']}, and refused after this step: {len(seen):,} versions."]
    lines += _some(
        [
            f"{sighting['kid']}  {_REASONS.get(sighting['reason'], sighting['reason'])},"
            f" {sighting['count']:,} times, the last at {sighting['last']}"
            for sighting in seen
        ],
        len(seen),
        shown,
    )
    if summary["seen_lost"]:
        lines.append(f"  There were more: {summary['seen_lost']:,} versions had to make room for others.")
    return "\n".join(lines)


def _some(texts: list[str], total: int, shown: int) -> list[str]:
    listed = [f"    {text}" for text in texts[:shown]]
    if total > len(listed):
        listed.append(f"    and {total - len(listed):,} more")
    return listed
