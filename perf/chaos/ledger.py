"""What was answered, held against what the audit logs have."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from typing import Any

from perf.chaos.clients import Numbered
from perf.chaos.drill import Trial
from perf.load.generator import Seen
from perf.load.service import Service

STOP_SECONDS = 20.0
_TOLD = re.compile(r"[\d,]+ records read|WRONG: [^;]{1,200}")


def stop(service: Service) -> int:
    """Stop it as an operator would; its exit code."""
    service.process.send_signal(signal.SIGTERM)
    return service.process.wait(STOP_SECONDS)


def verify(service: Service) -> tuple[bool, str]:
    """What ``ron-kms audit verify`` says of all its logs."""
    done = _command(service, "verify")
    words = " ".join((done.stdout or done.stderr).split())
    return done.returncode == 0, "; ".join(_TOLD.findall(words)) or words[-200:]


def records(service: Service, operation: str) -> list[dict[str, Any]]:
    """All records of an operation, of all logs."""
    done = _command(service, "show", "--json", "--operation", operation)
    if done.returncode:
        raise RuntimeError(f"ron-kms audit show: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(trial: Trial, service: Service, signs: Numbered, seen: Seen, *, once: str, intact: str) -> None:
    """Stop the service; report that each request that was answered has one record, and that the logs are whole.

    :param signs: what was asked for, and ``seen`` what was answered.
    :param once: the statement that each of these is in the logs exactly once.
    :param intact: the statement that the logs are as they were written.
    """
    stop(service)
    told = set(seen.latencies)
    done = [record["request_id"] for record in records(service, "sign") if record["result"] == "ok"]
    counts = Counter(name for name in done if signs.made(name))
    missing, twice = sum(not counts[name] for name in told), sum(count > 1 for count in counts.values())
    unheard = sum(name not in told for name in counts)
    figures = f"{len(told)} answered, {missing} missing, {twice} twice, {unheard} recorded whose answer was not heard"
    trial.check(once, bool(told) and not missing and not twice, figures)
    trial.check(intact, *verify(service))


def _command(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KMS_")}
    return subprocess.run(
        [sys.executable, "-m", "ron_kms.cli.main", "audit", *words, "--data-dir", str(service.data_dir)],
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
