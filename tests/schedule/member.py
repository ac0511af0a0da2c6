"""A process that does scheduled work, slowly, and tells what it calls itself in leases.

member.py <url> <seal> <seconds of the lease> <seconds a key>
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime, timedelta

from ron_kms.model import Kid
from ron_kms.service.due import ROTATE
from ron_kms.service.kms import Kms
from ron_kms.service.schedule import Fence, Scheduler
from ron_kms.store.bootstrap import open_store
from tests.freshness.parts import serve


async def main(url: str, seal: str, lease: float, each: float) -> None:
    async def slowly(kms: Kms, kid: Kid, now: datetime, fence: Fence) -> bool:
        await asyncio.sleep(each)
        return await ROTATE.act(kms, kid, now, fence)

    with serve(open_store(url, seal)) as kms:
        scheduler = Scheduler(kms, (ROTATE._replace(act=slowly),), duration=timedelta(seconds=lease))
        print(scheduler._holder, flush=True)
        await scheduler.run((0.01, 0.05))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
