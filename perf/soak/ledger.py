"""Whether the audit log holds exactly what was answered, once the service has ended."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from perf.load.generator import Outcome
from ron_kms.audit.reading import Entry, read_records
from ron_kms.audit.source import Folder


class Held(NamedTuple):
    """What a data folder's logs hold.

    :ivar whole: ``ron-kms audit verify`` found nothing wrong; ``said`` is what it found else.
    :ivar size: records of all logs.
    :ivar records: those since a moment, by operation, with the result ``ok``.
    :ivar items: operations in these: a batch is one record for each key.
    :ivar failed: those since then with another result.
    """

    whole: bool
    said: str
    size: int
    records: Counter[str]
    items: Counter[str]
    failed: int


def answered(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Requests with a 2xx answer by operation."""
    found: Counter[str] = Counter()
    for outcome in outcomes:
        for seen in outcome.seen.values():
            for name, values in seen.latencies.items():
                found[name.partition(" ")[0].partition(":")[0]] += len(values)
    return found


def held(data_dir: Path, since: float) -> Held:
    """Check the logs, and count them.

    :param since: seconds since 1970.
    """
    command = [sys.executable, "-m", "ron_kms.cli.main", "audit", "verify", "--json", str(data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    logs = [json.loads(line) for line in done.stdout.splitlines()]
    records: Counter[str] = Counter()
    items: Counter[str] = Counter()
    failed = 0
    for log in logs:
        for entry in _entries(Path(log["log"]), log.get("size", 0)):
            record = entry.record
            if record.time < since * 1e6:
                continue
            if record.result == "ok":
                operation = record.operation.partition(":")[0]
                records[operation] += 1
                items[operation] += record.count
            else:
                failed += 1
    whole = done.returncode == 0 and bool(logs) and all(log["whole"] and not log["waiting"] for log in logs)
    said = "; ".join(str(finding) for log in logs for finding in log["findings"]) or done.stderr.strip()
    return Held(whole, said, sum(log.get("size", 0) for log in logs), records, items, failed)


def _entries(folder: Path, size: int) -> Iterator[Entry]:
    for entry in read_records(Folder(folder), 0, size, size):
        if isinstance(entry, Entry):
            yield entry


def disk_bytes(folder: Path) -> int:
    """As the file system counts it. Files go away while they are looked at: tiles replace what was in part."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.lstat().st_blocks * 512
    return total
