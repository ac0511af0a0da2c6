"""Less memory than the service wants: the kernel kills what is largest in its group."""

from __future__ import annotations

import time

from perf.chaos.clients import Load, Numbered, Probe, answered
from perf.chaos.drill import Drill, Trial, said, until
from perf.chaos.ledger import compare
from perf.chaos.memory_limit import bound
from perf.load.generator import Stream
from tests.hardening.beside import Seen
from tests.hardening.content import bodies_in_flight
from tests.hardening.target import Target

ROOM = 12 << 20
"""What the service may take beyond what it has when idle: less than the bodies that clients send."""
RATE = 100.0
RECOVERY_SECONDS = 20.0


def _run(trial: Trial) -> None:
    with bound() as group, trial.serving(1, group.place) as service:
        probe = Probe(service)
        tenant, attacker = service.tenant("a"), service.tenant("attacker")
        signs = Numbered(service, tenant, service.keys(tenant, "sign", "ed25519", 4), "memory")
        target = Target(service.address[1], attacker.token, "", Seen(), patience=2.0)
        idle = group.used()
        with Load(service.address, [Stream("a", signs, RATE, 4, 32)]) as load:
            time.sleep(0.5)
            group.limit(idle + ROOM)
            end, rounds = time.monotonic() + trial.seconds, 0
            while not rounds or time.monotonic() < end:
                bodies_in_flight(target)
                rounds += 1
            calm = load.now
            back = until(lambda: probe.ready()["ready"] and probe.sign().status == 200, RECOVERY_SECONDS)
            time.sleep(1.0)
            seen = load.end().seen["a"]
        alive = service.process.poll() is None
        killed = f"{group.kills()} killed by the kernel, {probe.restarts() if alive else '?'} replaced"
        trial.check("supervised", alive, f"{killed}; {idle >> 20} MiB idle, {ROOM >> 20} more allowed ({group.name})")
        late = sum(at > calm for at in seen.times)
        trial.check("recovers", back is not None and late > 0, f"{said(back)}; {late} answers afterwards")
        bad = sum(count for status, count in seen.statuses.items() if status not in {0, 200, 429, 503})
        trial.check("clear", not bad, answered(seen))
        compare(trial, service, signs, seen, once="once", intact="intact")


DRILL = Drill(
    "memory",
    f"the service may take {ROOM >> 20} MiB more than it has when idle, and clients send bodies of many times that",
    {
        "supervised": "if the kernel kills a worker for it, the supervisor lives and replaces it",
        "recovers": f"within {RECOVERY_SECONDS:.0f} s of the end of the pressure signs are answered again",
        "clear": "until then clients are answered, refused with 429 or 503, or lose their connection; nothing else",
        "once": "every signature that was answered is in the audit logs exactly once",
        "intact": "ron-kms audit verify finds nothing wrong",
    },
    _run,
    tells=("supervised", "recovers"),
)
