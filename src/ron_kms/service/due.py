"""The jobs that come with time: rotations, and the destructions whose window is over."""

from __future__ import annotations

from datetime import datetime

from ron_kms.model import Key, Kid
from ron_kms.service.change import Changed, commit, existing
from ron_kms.service.kms import Kms
from ron_kms.service.rotate import Plan, add_version, plan_rotation
from ron_kms.service.schedule import Fence, Job
from ron_kms.store.database import Connection
from ron_kms.store.keys import due_rotations


async def rotate_due(kms: Kms, kid: Kid, now: datetime, fence: Fence) -> bool:
    """One rotation, however many periods have gone by; the next is due a period after it."""

    def plan(connection: Connection) -> Plan | None:
        return plan_rotation(kms, connection, kid) if _due(existing(kms, connection, kid)[0], now) else None

    planned: Plan | None = await kms.wait(kms.database.read(plan))
    if planned is None:
        return False
    suite = planned.suite
    version = await kms.queue.run(kms.costs[suite.name].generate, lambda: kms.custodian.create(planned.kid, suite))

    def write(connection: Connection) -> Changed[bool]:
        fence(connection)
        if not _due(existing(kms, connection, kid)[0], now):
            return Changed(False, None)
        return Changed(True, add_version(kms, connection, planned, version).saved)

    return await commit(kms, kid, write)


def _due(key: Key, now: datetime) -> bool:
    return key.next_rotation is not None and key.next_rotation <= now


ROTATE = Job("rotate", due_rotations, rotate_due)
JOBS = (ROTATE,)
