"""What the ASGI application adds to its cryptography, without a server: single requests and batches, in process.

``python -m perf.edge`` prints the table; docs/performance/micro.md says how it is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import uvloop

from perf.micro.figures import Ratio, of_rounds
from perf.micro.results import ROOT, Metadata, run_metadata
from perf.micro.targets import Verdict, verdict_of
from ron_kms import _core
from ron_kms.api.http.app import create_app
from ron_kms.audit.registry import Node, open_trail
from ron_kms.crypto.framing import digest_message, wrap_info
from ron_kms.engine.gate import Gate, Limits
from ron_kms.metrics import Metrics
from ron_kms.model import Kid
from ron_kms.server.data_dir import DataDirectory
from ron_kms.server.tokens import first_token
from ron_kms.server.worker import _wait
from ron_kms.service import audit, settle
from ron_kms.service.kms import AuditSettings, Kms
from ron_kms.service.pipeline import OPERATIONS
from ron_kms.service.start import start
from ron_kms.service.work import Batch
from ron_kms.store.bootstrap import attach, prepare

FORMAT = 1
SECONDS = 20.0
IN_FLIGHT = 64
BATCH = 256
LAP_SECONDS = 0.01
SUITES = {"sign": "ed25519", "verify": "ed25519", "wrap": "x25519+ml-kem-768", "sign:batch": "ed25519"}
DIGEST = bytes(range(32))

Audit = Literal["off", "written", "durable"]
App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


class Cell(msgspec.Struct, frozen=True):
    """One kind of request.

    :ivar in_flight: how many at a time.
    :ivar items: of a request; all figures are by item.
    :ivar audit: ``durable``: answers wait for their records to be on the disk; ``written``: to be with the kernel;
        ``off``: nothing is recorded, which no service does.
    """

    operation: str
    in_flight: int
    items: int
    audit: Audit = "off"


class CellFigures(msgspec.Struct):
    """Microseconds of processor time an item, of all threads of the process.

    :ivar app: through the application, median of the rounds.
    :ivar crypto: of the core alone, called with as many items at a time as a request has; measured in the same rounds.
    :ivar over: what the application adds, by round.
    :ivar least: what it adds where both were least disturbed: the least of each.
    :ivar per_second: items a second on the clock, the best round.
    """

    cell: Cell
    suite: str
    app: float
    crypto: float
    over: Ratio
    least: float
    per_second: float


class Results(msgspec.Struct):
    """
    :ivar format: rises when a field changes its meaning or goes.
    :ivar metadata: of the run, as perf/micro has it.
    :ivar verdicts: ``over``: its limit and ratio are in microseconds.
    """

    format: int
    metadata: Metadata
    cells: list[CellFigures]
    verdicts: list[Verdict]


LIMITS = {("off", 1): 30.0, ("off", IN_FLIGHT): 30.0, ("durable", IN_FLIGHT): 50.0}
"""Microseconds that a single signature may cost over its cryptography, by audit log and requests in flight."""

CELLS = (
    Cell("sign", 1, 1),
    Cell("sign", IN_FLIGHT, 1),
    Cell("verify", 1, 1),
    Cell("verify", IN_FLIGHT, 1),
    Cell("wrap", 1, 1),
    Cell("wrap", IN_FLIGHT, 1),
    Cell("sign:batch", 1, BATCH),
    Cell("sign:batch", 8, BATCH),
    Cell("sign", 1, 1, "written"),
    Cell("sign", IN_FLIGHT, 1, "written"),
    Cell("sign", 1, 1, "durable"),
    Cell("sign", IN_FLIGHT, 1, "durable"),
    Cell("sign:batch", 1, BATCH, "durable"),
)


class Lap(NamedTuple):
    cpu: float
    clock: float


class Bench:
    """One cell: its request, and the same cryptography without anything around it."""

    def __init__(self, cell: Cell, call: Callable[[], Awaitable[None]], crypto: Callable[[], object]) -> None:
        self.cell = cell
        self._call = call
        self._crypto = crypto
        self._requests = cell.in_flight
        self.app: list[Lap] = []
        self.core: list[Lap] = []

    async def warm(self) -> None:
        """Find out how many requests make a lap."""
        await self._lap()
        spent = (await self._lap()).clock * self._requests * self.cell.items / 1e6
        each = max(1, round(LAP_SECONDS / max(spent, 1e-6)))
        self._requests = self.cell.in_flight * each

    async def round(self) -> None:
        """A lap of the application and one of the core."""
        self.app.append(await self._lap())
        started = _now()
        for _ in range(self._requests):
            self._crypto()
        self.core.append(self._since(started))

    async def _lap(self) -> Lap:
        async def client(requests: int) -> None:
            for _ in range(requests):
                await self._call()

        each = self._requests // self.cell.in_flight
        started = _now()
        await asyncio.gather(*(client(each) for _ in range(self.cell.in_flight)))
        return self._since(started)

    def _since(self, started: Lap) -> Lap:
        """Microseconds an item."""
        now = _now()
        items = self._requests * self.cell.items / 1e6
        return Lap((now.cpu - started.cpu) / items, (now.clock - started.clock) / items)

    def figures(self) -> CellFigures:
        apps, cores = [lap.cpu for lap in self.app], [lap.cpu for lap in self.core]
        return CellFigures(
            self.cell,
            SUITES[self.cell.operation],
            app=statistics.median(apps),
            crypto=statistics.median(cores),
            over=of_rounds([app - core for app, core in zip(apps, cores, strict=True)]),
            least=min(apps) - min(cores),
            per_second=1e6 / min(lap.clock for lap in self.app),
        )


def _now() -> Lap:
    return Lap(time.process_time(), time.perf_counter())


class Client:
    """Calls the application as a server would, with one token."""

    def __init__(self, app: App, token: str) -> None:
        self._app = app
        self._bearer = b"Bearer " + token.encode()

    async def post(self, path: str, fields: dict[str, Any]) -> Any:
        """:raises RuntimeError: it was refused."""
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await self.request(path, msgspec.json.encode(fields), send)
        if sent[0]["status"] >= 300:
            raise RuntimeError(f"{path} was answered with {sent[0]['status']}")
        return msgspec.json.decode(sent[1]["body"])

    async def request(self, path: str, body: bytes, send: Callable[[Any], Awaitable[None]]) -> None:
        """One request, whose messages ``send`` gets."""
        message = {"type": "http.request", "body": body, "more_body": False}

        async def receive() -> Any:
            return message

        headers = [
            (b"authorization", self._bearer),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        await self._app(scope, receive, send)


async def benches(client: Client, kms: Kms, audit: Audit) -> list[Bench]:
    """The cells with this kind of log, each with its key in memory."""
    create = {"tenant": "bench", "purpose": "edge"}
    signing = await client.post("/v1/kms/keys", {**create, "use": "sign", "suite": SUITES["sign"]})
    wrapping = await client.post("/v1/kms/keys", {**create, "use": "wrap", "suite": SUITES["wrap"]})
    digest = b64encode(DIGEST).decode()
    newest = {key: answer["kid"].partition("#")[0] for key, answer in (("sign", signing), ("wrap", wrapping))}
    sign = {"kid": newest["sign"], "digest": digest}
    sigs = (await client.post("/v1/kms/sign", sign))["sigs"]
    requests: dict[str, dict[str, Any]] = {
        "sign": sign,
        "verify": {"kid": signing["kid"], "digest": digest, "sigs": sigs},
        "wrap": {"kid": newest["wrap"], "plaintext": digest, "context": ""},
        "sign:batch": {"kid": newest["sign"], "items": [{"digest": digest}] * BATCH},
    }
    slot = kms.custodian.find(Kid.parse(signing["kid"]))
    entry = kms.directory.cached(Kid.parse(wrapping["kid"]))
    if slot is None or entry is None or entry.wrap_key is None:
        raise RuntimeError("a key that was just made is not in memory")
    key, message, info = entry.wrap_key.native, digest_message(SUITES["sign"], DIGEST), wrap_info(entry.kid, b"")
    public = _core.PublicKey(slot.scheme, slot.public_keys)
    [signatures] = _core.sign([slot], [message])
    if isinstance(signatures, Exception):
        raise signatures
    crypto: dict[str, Callable[[], object]] = {
        "sign": lambda: _core.sign([slot], [message]),
        "verify": lambda: _core.verify([public], [message], [signatures]),
        "wrap": lambda: _core.hpke_seal([key], [info], [DIGEST]),
        "sign:batch": lambda: _core.sign([slot] * BATCH, [message] * BATCH),
    }

    async def send(message: Any) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError(f"answered with {message['status']}")

    def bench(cell: Cell) -> Bench:
        path, body = f"/v1/kms/{cell.operation}", msgspec.json.encode(requests[cell.operation])
        return Bench(cell, lambda: client.request(path, body, send), crypto[cell.operation])

    return [bench(cell) for cell in CELLS if cell.audit == audit]


@contextmanager
def service(folder: Path, audit: Audit) -> Iterator[tuple[Client, Kms]]:
    """The application over a store and a log of its own."""
    folder.mkdir()
    url = f"sqlite:///{folder}/keys.db"
    store = attach(url, prepare(url, f"keyfile:{folder}/root.key", None))
    with DataDirectory(folder / "data") as directory:
        path = first_token(store, directory)
        if path is None:
            raise RuntimeError("the store is not new")
        token = path.read_text().strip()
    metrics = Metrics()
    trail = None if audit == "off" else open_trail(store, Node.at(folder / "audit"), "bench", metrics.audit)
    auditing = AuditSettings("written" if audit == "written" else "durable")
    with start(store, metrics=metrics, wait=_wait, threads=1, audit=trail, auditing=auditing) as kms:
        # On a busy machine a batch waits for longer than a service would let it.
        gate = Gate(Limits(max_wait_ms=60_000), kms.queue)
        yield Client(create_app(OPERATIONS, kms, kms.issuer.checker, gate=gate, metrics=metrics), token), kms


@contextmanager
def unrecorded(silent: Kms) -> Iterator[None]:
    """Have nothing recorded of what this one does."""

    def record(kms: Kms, batches: Sequence[Batch]) -> asyncio.Future[None] | None:
        return None if kms is silent else audit.record(kms, batches)

    setattr(settle, "record", record)  # noqa: B010 - it is there by import only
    try:
        yield
    finally:
        setattr(settle, "record", audit.record)  # noqa: B010


async def measure(folder: Path, seconds: float) -> list[CellFigures]:
    """Rounds of all cells in turns, so that what disturbs the machine disturbs all."""
    with (
        service(folder / "off", "off") as off,
        service(folder / "written", "written") as written,
        service(folder / "durable", "durable") as durable,
        unrecorded(off[1]),
    ):
        found = [
            *await benches(*off, "off"),
            *await benches(*written, "written"),
            *await benches(*durable, "durable"),
        ]
        for bench in found:
            await bench.warm()
        gc.collect()
        gc.freeze()  # as a worker does
        until = time.monotonic() + seconds
        while True:
            for bench in found:
                await bench.round()
            if time.monotonic() >= until:
                return [bench.figures() for bench in found]


def run(seconds: float, load: float) -> Results:
    """Measure, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="ron-kms-edge-") as folder:
        cells = uvloop.run(measure(Path(folder), seconds))
    metadata = run_metadata(full=seconds >= SECONDS, load_before=load)
    return Results(FORMAT, metadata, cells, list(_judge(cells)))


def _judge(cells: Sequence[CellFigures]) -> Iterator[Verdict]:
    for figures in cells:
        limit = LIMITS.get((figures.cell.audit, figures.cell.in_flight))
        if figures.cell.operation == "sign" and limit is not None:
            yield verdict_of("over", _name(figures), limit, figures.over, figures.over.value <= limit)


def _name(figures: CellFigures) -> str:
    cell = figures.cell
    log = "" if cell.audit == "off" else f", {cell.audit} audit"
    return f"{cell.operation} {figures.suite}, {cell.in_flight} in flight{log}"


def render(results: Results) -> str:
    """The table."""
    of = results.metadata
    changed = " and changes" if of["changed"] == "yes" else ""
    lines = [
        f"commit {str(of['commit'])[:12]}{changed}, load {of['load_before']} before and {of['load_after']} after",
        "microseconds of processor time an item; over: what the application adds to the core",
        "",
        f"{'':<50} {'app':>7} {'core':>7} {'over':>7} {'bounds':>16} {'least':>7} {'a second':>10}",
    ]
    for figures in results.cells:
        over = figures.over
        bounds = f"{over.low:.1f} to {over.high:.1f}"
        lines.append(
            f"{_name(figures):<50} {figures.app:>7.1f} {figures.crypto:>7.1f} {over.value:>7.1f} {bounds:>16}"
            f" {figures.least:>7.1f} {figures.per_second:>10,.0f}"
        )
    lines.append("")
    for verdict in results.verdicts:
        word = ("met" if verdict.met else "missed") + ("" if verdict.sure else "?")
        lines.append(f"{verdict.where}: at most {verdict.limit:.0f} over: {word}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m perf.edge", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of measuring; one round at least")
    parser.add_argument("--results", type=Path, default=ROOT / "perf" / "results", help="folder for the JSON file")
    options = parser.parse_args(arguments)
    results = run(options.seconds, os.getloadavg()[0])
    print(render(results))
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"edge-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{str(results.metadata['commit'])[:12]}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    print(f"written: {os.path.relpath(path)}", file=sys.stderr)


if __name__ == "__main__":
    main()
