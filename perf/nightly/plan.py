"""What runs, how long, and what of it has a baseline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from perf.record import Role

SERVERS = ("hypercorn", "granian")
Out = Literal["--results", "--json", "--out"]


class Step(NamedTuple):
    """One command of one suite.

    :ivar words: after ``python -m``.
    :ivar long: words more for the profile's full lengths; ``short`` for the others.
    :ivar out: the option that says where the record goes; ``file``: it wants a file's name, not a folder's.
    :ivar baseline: it is also run for baselines.
    """

    name: str
    words: tuple[str, ...]
    short: tuple[str, ...] = ()
    long: tuple[str, ...] = ()
    out: Out = "--results"
    file: bool = False
    baseline: bool = False

    def command(self, folder: Path, role: Role, *, full: bool) -> list[str]:
        """What to run, without Python; a record of this role goes into the folder."""
        place = folder / f"{self.name}.json" if self.file else folder
        roles = ["--role", role] if self.baseline else []
        return ["-m", *self.words, *(self.long if full else self.short), *roles, self.out, str(place)]


_MINUTES = ("--duration", "300")
_MINUTE = ("--duration", "60")
LENGTHS: dict[str, tuple[str, ...]] = {
    "steady": _MINUTES,
    "burst": ("--interval", "300", "--duration", "1800"),
    "rotate": ("--interval", "600"),
    "isolation-80": _MINUTES,
}
"""The profile's lengths of the mixes that it names; the others take a minute."""
PERIODIC = frozenset({"burst", "rotate"})
"""Too few rounds for a baseline: they are judged by themselves."""
MIXES = (
    "steady",
    "burst",
    "rotate",
    "isolation-80",
    "isolation-99",
    "flood",
    "sign",
    "verify",
    "wrap",
    "keys",
    "batch",
)


def plan() -> Iterator[Step]:
    """All steps, in their order."""
    # Where a process's memory lies changes what ML-DSA costs by a tenth and more: several processes know by how much.
    micro = ("--batches", "1,64", "--processes", "4", "--seconds", "15")
    yield Step("micro", ("perf.micro",), micro, ("--full",), baseline=True)
    yield Step("edge", ("perf.edge",), ("--seconds", "20"), ("--seconds", "120"), baseline=True)
    for server in SERVERS:
        yield _compared(server, "latency")
        yield _compared(server, "deltas")
        for mix in MIXES:
            yield _load(server, mix)
        for suite in ("ml-dsa", "hybrid"):
            yield from (_load(server, mix, suite=suite) for mix in ("steady", "sign", "verify"))
        for mix in ("steady", "burst", "isolation-80", "sign"):
            yield _load(server, mix, audit="written")
    yield Step("load-trivial", ("perf.load", "trivial"), long=("--duration", "30"), out="--json", file=True)
    for server in SERVERS:
        soak = ("perf.soak", "--server", server)
        yield Step(f"soak-{server}", soak, long=("--operations", "1000000"), out="--json", file=True)
    yield Step("scale", ("perf.scale", "all"), long=("--full",))
    yield Step("oneshot", ("perf.oneshot",), out="--out")
    yield Step("profiles", ("perf.profiles",), long=("--seconds", "20"), out="--out")
    for server in SERVERS:
        yield Step(f"chaos-{server}", ("perf.chaos", "--server", server), out="--json")


def _compared(server: str, command: str) -> Step:
    """Operations side by side, in turns."""
    return Step(f"load-{command}-{server}", ("perf.load", command, "--server", server), long=_MINUTE, baseline=True)


def _load(server: str, mix: str, *, suite: str = "classical", audit: str = "durable") -> Step:
    return Step(
        f"load-{mix}-{server}-{suite}-{audit}",
        ("perf.load", "run", "--mix", mix, "--server", server, "--suite", suite, "--audit", audit),
        long=LENGTHS.get(mix, _MINUTE),
        out="--json",
        file=True,
        baseline=mix not in PERIODIC,
    )
