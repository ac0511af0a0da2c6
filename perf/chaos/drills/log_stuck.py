"""Whoever reads the service's log does so no more: the pipe that it is written to is full."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from pathlib import Path

from perf.chaos.clients import Load, Probe, answered, failed, p99, steady
from perf.chaos.drill import Drill, Trial, said, until
from perf.load.generator import Stream
from perf.load.service import Place, Tenant

PIPE = 4096
"""Bytes of the pipe; the least that there is."""
REFUSED = 50.0
"""Requests a second that are refused, and leave a line each, up to the log's own bound."""
LATENCY_MS = 2000.0
LOST = b"lines of the log were lost"


def _run(trial: Trial) -> None:
    with tempfile.TemporaryDirectory(prefix="ron-kms-chaos-") as folder:
        pipe = Path(folder) / "log"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE)
        try:
            with trial.serving(1, Place(("sh", "-c", f'exec "$@" 2> {pipe}', "sh"))) as service:
                probe = Probe(service)
                stranger = service.request(Tenant("nobody", "no-token"), "sign", {"kid": probe.kid})
                streams = [*steady(service), Stream("refused", [stranger], REFUSED, 1, 32)]
                with Load(service.address, streams) as load:
                    time.sleep(trial.seconds)
                    seen = load.end().seen
                for name in ("sign", "verify"):
                    one = seen[name]
                    good = one.answered > 0 and not failed(one) and p99(one) < LATENCY_MS
                    trial.check("served", good, f"{name}: {answered(one)}")
                trial.check("ready", probe.ready()["ready"] and not probe.restarts(), f"{probe.restarts()} restarts")
                told = bytearray()

                def lost() -> bool:
                    try:
                        told.extend(os.read(reader, 65_536))
                    except BlockingIOError:
                        probe.ask("sign", {"kid": probe.kid}, "no-token")
                    return LOST in told

                trial.check("told", (after := until(lost, 10.0)) is not None, f"read again, it says so {said(after)}")
        finally:
            os.close(reader)


DRILL = Drill(
    "log-stuck",
    f"nobody reads the log any more, whose pipe has room for {PIPE} bytes, while refused requests leave lines",
    {
        "served": "signs and verifications go on without an error, within 2 s (p99)",
        "ready": "the service stays ready, and no worker is replaced",
        "told": "once the log is read again it says how many lines were lost",
    },
    _run,
    tells=("served", "told"),
)
