"""``ron-kms pq``: a tenant's way to post-quantum signatures, one step at a time."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from ron_kms.cli.client import Answer, Client, segment
from ron_kms.cli.place import connect, with_service
from ron_kms.cli.pq_text import describe_plan, describe_policy, describe_stage
from ron_kms.errors import Conflict, KmsError

_PAGE = 500
_ROUNDS = 3
_SHOWN = 20

F = TypeVar("F", bound=Callable[..., Any])
Json = dict[str, Any]


def _common(command: F) -> F:
    """The options that every command here has."""
    command = with_service("the scopes kms:policy and kms:rotate")(command)
    return click.option("--tenant", required=True, help="The tenant.")(command)


_percent = click.option(
    "--percent",
    type=click.IntRange(1, 100),
    default=100,
    show_default=True,
    help="Share of the keys that the step is to reach.",
)


@click.group()
def pq() -> None:
    """Take a tenant to post-quantum signatures, step by step."""


@pq.command()
@_common
@_percent
@click.option("--all", "everything", is_flag=True, help=f"List all keys, not the first {_SHOWN}.")
@click.option("--json", "as_json", is_flag=True, help="Tell all of it as JSON.")
def plan(tenant: str, percent: int, everything: bool, as_json: bool, **place: Any) -> None:
    """Tell what the next step would change, and change nothing."""
    with connect(**place) as client:
        policy = client.get(_path(tenant)).body
        first = _plan(client, tenant, percent)
        changes = first["changes"]
        if everything or as_json:
            changes = [change for page in _pages(client, tenant, percent, first) for change in page]
    if as_json:
        click.echo(json.dumps({**first, "changes": changes, "next": None, "policy": policy}, indent=2))
    else:
        shown = len(changes) if everything else _SHOWN
        click.echo(describe_plan(policy, first, changes, shown))


@pq.command()
@_common
@_percent
@click.option("--yes", is_flag=True, help="Do not ask.")
def advance(tenant: str, percent: int, yes: bool, **place: Any) -> None:
    """Do the next step: rotate the keys of its share to the suite of its phase, then set the policy.

    When it is interrupted, run it again: it goes on where it was.
    """
    with connect(**place) as client:
        read = client.get(_path(tenant))
        first = _plan(client, tenant, percent)
        if first["now"] == first["step"]:
            click.echo(f"There is no step left to do: {tenant} is in {describe_stage(first['now'])}.")
            return
        click.echo(describe_plan(read.body, first, first["changes"], _SHOWN))
        if not yes:
            click.confirm("Do this step?", abort=True)
        _rotate_all(client, tenant, percent, first)
        done = _put(client, tenant, read, first["step"])
    click.echo(describe_policy(done))


@pq.command("set")
@_common
@click.option("--phase", type=click.IntRange(0, 3), required=True, help="0 classical, 1 or, 2 and, 3 pq_only.")
@click.option("--percent", type=click.IntRange(0, 100), default=100, show_default=True, help="Share of the keys.")
def set_policy(tenant: str, phase: int, percent: int, **place: Any) -> None:
    """Set phase and share, in any direction; keys are not rotated. It also ends the notice of a rollback."""
    with connect(**place) as client:
        read = client.get(_path(tenant))
        done = _put(client, tenant, read, {"phase": phase, "rollout_percent": percent})
    click.echo(describe_policy(done))


@pq.command()
@_common
def show(tenant: str, **place: Any) -> None:
    """Tell the policy in force."""
    with connect(**place) as client:
        click.echo(describe_policy(client.get(_path(tenant)).body))


def _path(tenant: str) -> str:
    return f"/policy/{segment(tenant)}"


def _plan(client: Client, tenant: str, percent: int, after: str | None = None) -> Json:
    return client.get(f"{_path(tenant)}/plan", rollout_percent=percent, limit=_PAGE, after=after).body


def _pages(client: Client, tenant: str, percent: int, first: Json) -> Iterator[list[Json]]:
    page = first
    yield page["changes"]
    while (after := page.get("next")) is not None:
        page = _plan(client, tenant, percent, after)
        yield page["changes"]


def _put(client: Client, tenant: str, read: Answer, step: Json) -> Json:
    body = {"phase": step["phase"], "rollout_percent": step["rollout_percent"]}
    return client.put(_path(tenant), body, read.etag or "*").body


def _rotate_all(client: Client, tenant: str, percent: int, plan: Json) -> None:
    """Rotate until nothing is left to rotate: what was made meanwhile is in the next round's plan.

    :raises Conflict: some keys could not be rotated.
    """
    failed: dict[str, KmsError] = {}
    for _ in range(_ROUNDS):
        left = plan["summary"]["rotates"]
        if not left:
            return
        with click.progressbar(length=left, label=f"Rotating {left:,} keys", file=sys.stderr) as bar:
            for page in _pages(client, tenant, percent, plan):
                for change in page:
                    if "becomes" in change:
                        _rotate(client, change, failed)
                        bar.update(1)
        plan = _plan(client, tenant, percent)
        if failed:
            break
    if plan["summary"]["rotates"]:
        reason = next(iter(failed.values())).message if failed else "others rotate or make keys at the same time"
        raise Conflict(
            f"{plan['summary']['rotates']:,} keys are still to be rotated, and the policy was not changed: {reason}",
            hint="Look at the keys that 'ron-kms pq plan' names, then run this again: it goes on from here.",
        )


def _rotate(client: Client, change: Json, failed: dict[str, KmsError]) -> None:
    """One key. A Conflict is for the next round: somebody else has rotated it."""
    body = {"kid": change["kid"], "suite": change["becomes"], "op_id": str(uuid.uuid4())}
    try:
        client.post("/rotate", body)
    except Conflict:
        pass
    except KmsError as error:
        failed[change["kid"]] = error
