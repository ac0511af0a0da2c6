"""The disk is full for a while: data folder, store, audit logs and the service's own log are all on it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

from perf.chaos.clients import Load, Numbered, Probe, answered
from perf.chaos.drill import Drill, Trial, said, until
from perf.chaos.ledger import compare
from perf.chaos.mounts import tmpfs, unmount
from perf.load.generator import Stream
from perf.load.scenarios import verify_requests
from perf.load.service import Place

SIZE = "32m"
RATE = 300.0
"""So that the room that the journal has beforehand is soon used."""
VERIFY_RATE = 50.0
STOP_SECONDS = 30.0
RESUME_SECONDS = 10.0


def _run(trial: Trial) -> None:
    with tempfile.TemporaryDirectory(prefix="ron-kms-chaos-") as folder, contextlib.ExitStack() as stack:
        disk = Path(folder)
        tmpfs(disk, SIZE)
        stack.callback(unmount, disk)
        with trial.serving(1, Place(inside=disk)) as service:
            probe = Probe(service)
            tenant = service.tenant("a")
            signs = Numbered(service, tenant, service.keys(tenant, "sign", "ed25519", 4), "full")
            verifies = verify_requests(service, tenant, "ed25519")
            streams = [Stream("sign", signs, RATE, 4, 32), Stream("verify", verifies, VERIFY_RATE, 4, 32)]
            workers = service.workers()
            with Load(service.address, streams) as load:
                time.sleep(0.5)
                ballast = _fill(disk)
                refused = until(lambda: probe.sign().status == 503, STOP_SECONDS)
                error = probe.sign()
                told = until(lambda: "audit_ready" in probe.ready()["missing"], STOP_SECONDS)
                full = load.now
                time.sleep(trial.seconds)
                room = load.now
                ballast.unlink()
                back = until(lambda: probe.sign().status == 200 and probe.ready()["ready"], RESUME_SECONDS)
                time.sleep(0.5)
                seen = load.end().seen
            text = error.content["error"]["message"] if error.status == 503 else error.error
            trial.check("stops", refused is not None and error.error == "StoreUnavailable", f"{said(refused)}: {text}")
            signed = sum(full < at < room for at in seen["sign"].times)
            trial.check("none", signed == 0, f"{signed} signatures answered in {room - full:.1f} s without room")
            checked = sum(full < at < room for at in seen["verify"].times)
            others = set(seen["verify"].statuses) - {200}
            trial.check("verify", checked > 0 and not others, f"{checked} meanwhile; in all {answered(seen['verify'])}")
            trial.check("told", told is not None, f"audit_ready is missing {said(told)}")
            trial.check("resumes", back is not None and service.workers() == workers, f"signs again {said(back)}")
            compare(trial, service, signs, seen["sign"], once="once", intact="intact")


def _fill(disk: Path) -> Path:
    """Take all room that is left."""
    path = disk / "ballast"
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    os.write(fd, bytes(size))
    finally:
        os.close(fd)
    return path


DRILL = Drill(
    "full-disk",
    f"a file system of {SIZE} with all that the service writes is filled to its end, and emptied later",
    {
        "stops": "once nothing can be recorded, signs are refused with StoreUnavailable and a reason",
        "none": "and none is answered that was not recorded",
        "verify": "verify goes on without an error",
        "told": "/readyz says audit_ready is missing",
        "resumes": f"with room again, signs are answered within {RESUME_SECONDS:.0f} s, without a restart",
        "once": "every signature that was answered is in the audit logs exactly once",
        "intact": "ron-kms audit verify finds nothing wrong",
    },
    _run,
    tells=("stops", "resumes"),
)
