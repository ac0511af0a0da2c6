"""h2load (nghttp2): a load generator of others, for saturation and to check ours by."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_RATE = re.compile(r"^finished in [\d.]+m?s, ([\d.]+) req/s", re.MULTILINE)
_ENDS = re.compile(
    r"^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", re.MULTILINE
)


class Counted(NamedTuple):
    """What h2load tells.

    :ivar rate: requests a second.
    :ivar done: requests answered; ``bad``: those that failed or had another status than 2xx or 3xx.
    """

    rate: float
    done: int
    bad: int


def run(
    address: tuple[str, int],
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    connections: int,
    depth: int,
    seconds: float,
) -> Counted:
    """Load with one body, on the cores that this process has.

    :raises RuntimeError: h2load failed; the message is its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        (data := Path(folder) / "body").write_bytes(body)
        command = [
            "h2load",
            f"--clients={connections}",
            f"--max-concurrent-streams={depth}",
            f"--duration={max(1, round(seconds))}",
            f"--data={data}",
            *(f"--header={name}: {value}" for name, value in headers.items()),
            f"http://{address[0]}:{address[1]}{path}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    rate, ends = _RATE.search(done.stdout), _ENDS.search(done.stdout)
    if done.returncode or rate is None or ends is None:
        raise RuntimeError(f"h2load: {done.stderr}{done.stdout}")
    return Counted(float(rate[1]), int(ends[1]), int(ends[1]) - int(ends[2]) + int(ends[4]))
