"""The file that a run leaves: what was measured, with which settings, on which machine, beside which floor.

All suites write this one shape, so that one gate judges them and one report draws them. A figure is kept as the values
of its rounds and not as their median: who compares two runs needs to know how far a run differs from itself.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import msgspec

SCHEMA: Literal["ron-kms/perf/2"] = "ron-kms/perf/2"
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "perf" / "results"
"""Where runs leave their files; git ignores it."""
CORES = len(os.sched_getaffinity(0))
"""Of this machine: before a benchmark takes some of them for itself."""

MEASURED = ("src", "perf", "wheels", ":(exclude)perf/baselines")
"""What changes a figure, and not what keeps it."""
OTHERS = (".pyperf.json", ".speedscope.json")
"""What lies beside records for other programs."""

Role = Literal["result", "baseline"]
Value = str | int | float | bool | None


class Kind(NamedTuple):
    """What a measure counts.

    :ivar less: whether less of it is better.
    """

    unit: str
    less: bool
    meaning: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "p50": Kind("ms", True, "median latency, in open loops from the time at which the request was due"),
        "p95": Kind("ms", True, "latency that 95 % of the requests did not exceed"),
        "p99": Kind("ms", True, "latency that 99 % did not exceed"),
        "max": Kind("ms", True, "the longest latency"),
        "cpu": Kind("us", True, "processor time an operation: of the service's workers, or of a call in process"),
        "floor": Kind("us", True, "processor time of one Ed25519 signature in the core, taken in the same round"),
        "sync": Kind("ms", True, "time in which an appended record is on the disk, taken in the same round"),
        "over": Kind("us", True, "processor time an operation over that of its cryptography alone"),
        "ratio": Kind(
            "", True, "processor time by that of the same work in a C loop, or of its floor, as the suite says"
        ),
        "once": Kind("ms", True, "a command, a start or a first call, from its start to its end"),
        "rate": Kind("1/s", False, "operations a second on the clock"),
        "resident": Kind("MiB", True, "resident memory of the largest worker"),
        "all_resident": Kind("MiB", True, "resident memory of all the service's processes"),
        "files": Kind("", True, "open descriptors of the worker that has most"),
        "errors": Kind("", True, "share of answers with a status of 5xx but 503, and of streams lost"),
        "shed": Kind("", True, "share of answers with 429 or 503"),
        "pq_policy": Kind("", True, "refusals by the post-quantum policy"),
        "skew": Kind("", True, "p95 of the tenant that asks less by p95 of the one that asks most, or its inverse"),
        "blocks": Kind("", True, "Python allocations an operation that live in its result"),
        "bytes": Kind("B", True, "bytes of these"),
        "allocations": Kind("", True, "allocations an operation, Python's and C's, freed since or not"),
        "allocated": Kind("B", True, "bytes of these"),
        "payload": Kind("B", True, "bytes of request and answer"),
    }
)


class Measure(msgspec.Struct, frozen=True):
    """
    :ivar kind: one of :data:`KINDS`, which has its unit.
    :ivar of: what it is of, such as ``sign ed25519``; empty: the run as a whole.
    :ivar rounds: a value a round, in the order in which they were taken. Those with the same place in two measures of a
        file, or of two files with the same ``run``, were taken within seconds of each other.
    """

    kind: str
    of: str
    rounds: tuple[float, ...]


class Host(msgspec.Struct, frozen=True):
    """What a figure means nothing without.

    :ivar name: short name of the kind of machine; baselines are kept by it.
    :ivar memory: bytes.
    :ivar load: of one minute, when the run began.
    """

    name: str
    cpu: str
    cores: int
    memory: int
    kernel: str
    governor: str
    load: float


class Code(msgspec.Struct, frozen=True):
    """
    :ivar changed: there was more than that commit.
    :ivar versions: of Python and of the packages and libraries that the figures depend on.
    """

    commit: str
    changed: bool
    versions: dict[str, str]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one scenario.

    :ivar role: ``baseline``: what others are compared with.
    :ivar suite: ``micro``, ``edge``, ``load``, ``scale``, ``soak``, ``chaos``, ``profiles``, ``oneshot``: who wrote it.
    :ivar name: of the scenario.
    :ivar run: the same in files whose rounds were taken in turns, such as two commits side by side.
    :ivar at: when it began, RFC 3339.
    :ivar seconds: how long was measured.
    :ivar setting: everything that must be equal for two files to be comparable: server, audit, transport, profile, ...
    :ivar detail: what the suite has besides, in its own shape, which it documents; what is drawn over time and as a
        distribution has one shape for all, in perf/detail.py.
    """

    schema: Literal["ron-kms/perf/2"] = SCHEMA
    role: Role
    suite: str
    name: str
    run: str
    at: str
    seconds: float
    setting: dict[str, Value]
    host: Host
    code: Code
    measures: tuple[Measure, ...]
    detail: Any = None

    @property
    def subject(self) -> tuple[str, str, tuple[tuple[str, Value], ...]]:
        """Equal in records that may be compared."""
        return self.suite, self.name, tuple(sorted(self.setting.items()))


def begin(suite: str, name: str, role: Role, setting: dict[str, Value]) -> Record:
    """A record of a run that begins now on this machine; what it measures is put into it at its end."""
    at = now()
    return Record(
        role=role,
        suite=suite,
        name=name,
        run=at,
        at=at,
        seconds=0.0,
        setting=setting,
        host=host(),
        code=code(),
        measures=(),
    )


def load(path: Path) -> Record:
    """Read one file.

    :raises msgspec.MsgspecError: it is no record of this schema; the message says where.
    """
    return msgspec.json.decode(path.read_bytes(), type=Record)


def record_files(folder: Path) -> list[Path]:
    """Those in a folder, by name."""
    return [path for path in sorted(folder.glob("*.json")) if not path.name.endswith(OTHERS)]


def save(record: Record, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


def file_name(record: Record) -> str:
    """``load-steady-granian-20261123T181500Z-0123456789ab.json``."""
    moment = record.at.replace("-", "").replace(":", "")
    server = [str(record.setting["server"])] if record.setting.get("server") else []
    return "-".join([record.suite, record.name, *server, moment, record.code.commit[:12]]) + ".json"


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def host() -> Host:
    """This machine."""
    model = _field("/proc/cpuinfo", "model name") or platform.machine()
    words = "".join(one if one.isalnum() else " " for one in model.lower()).split()
    name = "-".join([*(word for word in words if word not in {"r", "tm", "processor", "cpu"}), f"{CORES}c"])
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Host(name, model, CORES, memory, platform.release(), governor(), round(os.getloadavg()[0], 2))


def code(folder: Path = ROOT) -> Code:
    """The commit of a tree, and what runs here."""
    from ron_kms import _core  # noqa: PLC0415 - who only reads records needs no core

    packages = ("ron-kms", "hypercorn", "granian", "uvloop", "msgspec", "starlette", "cryptography")
    versions = {"python": platform.python_version(), **{name: found for name in packages if (found := _version(name))}}
    versions |= {"liboqs": _core.liboqs_version(), "libsodium": _core.sodium_version()}
    changed = bool(git("status", "--porcelain", "--", *MEASURED, folder=folder))
    return Code(git("rev-parse", "HEAD", folder=folder) or "unknown", changed, versions)


def git(*arguments: str, folder: Path = ROOT) -> str:
    """What git says of a tree; nothing where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def governor() -> str:
    """How the processor's clock is chosen."""
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text().strip()
    except OSError:
        return "unknown"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
