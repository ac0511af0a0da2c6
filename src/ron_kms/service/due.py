"""The jobs that come with time: rotations, and the destructions whose window is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from ron_kms.errors import Conflict, StoreUnavailable
from ron_kms.keys import life
from ron_kms.model import Key, Kid, Version
from ron_kms.service.audit import by_itself
from ron_kms.service.change import Changed, commit, existing, existing_key
from ron_kms.service.kms import Kms
from ron_kms.service.rotate import Plan, add_version, plan_rotation
from ron_kms.service.schedule import Fence, Job
from ron_kms.store.database import Connection
from ron_kms.store.keys import due_destructions, due_rotations, save


async def rotate_due(kms: Kms, kid: Kid, now: datetime, fence: Fence) -> bool:
    """One rotation, however many periods have gone by; the next is due a period after it."""

    def plan(connection: Connection) -> Plan | None:
        return plan_rotation(kms, connection, kid) if _due(existing(kms, connection, kid)[0], now) else None

    planned: Plan | None = await kms.wait(kms.database.read(plan))
    if planned is None:
        return False
    suite = planned.suite
    version = await kms.queue.run(
        kid.tenant, kms.costs[suite.name].generate, lambda: kms.custodian.create(planned.kid, suite)
    )

    def write(connection: Connection) -> Changed[bool]:
        fence(connection)
        if not _due(existing(kms, connection, kid)[0], now):
            return Changed(False, None)
        return Changed(True, add_version(kms, connection, planned, version).saved, version, "due")

    return await commit(kms, by_itself(), "rotate", kid, write)


def _due(key: Key, now: datetime) -> bool:
    return key.next_rotation is not None and key.next_rotation <= now


async def destroy_due(kms: Kms, kid: Kid, now: datetime, fence: Fence) -> bool:
    """Destroy those versions of a key that are due, and the key where that is and nothing of it is left.

    Private keys are overwritten first; their versions are called destroyed when no trace of them is left on the disk,
    so that one who was stopped in between is followed by another who makes sure of it.
    """

    def wipe(connection: Connection) -> Changed[bool]:
        fence(connection)
        key, versions = existing_key(kms, connection, kid)
        if not life.anything_due(key, versions, now):
            return Changed(False, None)
        wiped = _changed(versions, lambda version: life.wiped(version, now))
        return Changed(True, save(connection, kms.rows, key, key, wiped) if wiped else None)

    def destroy(connection: Connection) -> Changed[bool]:
        fence(connection)
        key, versions = existing_key(kms, connection, kid)
        gone = _changed(versions, lambda version: life.destroyed(version, now))
        after = life.destroyed_key(key, [life.destroyed(version, now) for version in versions], now)
        if not gone and after == key:
            return Changed(False, None)
        return Changed(True, save(connection, kms.rows, key, after, gone))

    context = by_itself()
    if not await commit(kms, context, "wipe", kid, wipe):
        return False
    try:
        await kms.wait(kms.database.purge())
    except StoreUnavailable as error:
        # One long reader must not keep the other keys from being wiped: this one is put off, and they have their turn.
        raise Conflict("the private key is wiped, but a reader keeps its trace in the log of the store") from error
    return await commit(kms, context, "destroyed", kid, destroy)


def _changed(versions: Iterable[Version], step: Callable[[Version], Version]) -> list[tuple[Version, Version]]:
    return [(version, after) for version in versions if (after := step(version)) != version]


ROTATE = Job("rotate", due_rotations, rotate_due)
DESTROY = Job("destroy", due_destructions, destroy_due)
JOBS = (ROTATE, DESTROY)
