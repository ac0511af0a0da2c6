"""Where a service's store is, and what tests ask of it again and again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import ron_kms
from ron_kms.model import Kid
from ron_kms.service.local import LocalKms
from ron_kms.service.schedule import Fence, Job
from ron_kms.service.session import run
from ron_kms.service.sign import SignAnswer

DIGEST = bytes(range(32))


class Place(NamedTuple):
    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "keys.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.file}"

    @property
    def seal(self) -> str:
        return f"keyfile:{self.folder / 'root.key'}"

    def open(self) -> LocalKms:
        return ron_kms.open(self.url, seal=self.seal)


def make(kms: LocalKms, use: str = "sign", suite: str | None = "ed25519", versions: int = 1) -> str:
    """A key, as a whole."""
    key = kms.create(tenant="acme", purpose="audit", use=use, suite=suite).partition("#")[0]  # type: ignore[arg-type]
    for _ in range(versions - 1):
        kms.rotate(key)
    return key


def holds(kms: LocalKms, signed: SignAnswer) -> str:
    """``ok``, or why the signature does not hold."""
    details = kms.verify(signed.kid, signed.sigs, digest=DIGEST).details
    return details.reason or "ok"


def states(kms: LocalKms, key: str) -> list[str]:
    return [version.state for version in kms.get(key).versions]


def do_due(kms: LocalKms, job: Job, now: datetime, fence: Fence = lambda connection: None) -> list[str]:
    """Do all that is due by then; the keys of which something was done."""
    inner = kms._kms
    due = inner.database.read(lambda connection: job.due(connection, now, 1000)).result()

    async def act(kid: Kid) -> bool:
        return await job.act(inner, kid, now, fence)

    return [str(kid) for kid in due if run(act(kid))]
