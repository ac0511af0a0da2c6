"""The supervisor: one process that owns the data folder, the root key, the sockets and the workers.

It unseals the root, hands it to its workers and never answers a request of the API itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog

from ron_kms import _core
from ron_kms.config import Address, Loaded, Settings
from ron_kms.errors import ConfigurationError
from ron_kms.root.handle import RootKey
from ron_kms.server import banner, logs
from ron_kms.server.amnesia import folder_of
from ron_kms.server.audit import expected_checkpoint, finish_others, standing_of
from ron_kms.server.data_dir import TOKEN, DataDirectory
from ron_kms.server.exposition import Exposition
from ron_kms.server.guards.limits import Limits
from ron_kms.server.guards.serve import Server
from ron_kms.server.high_water import Keeper
from ron_kms.server.metrics_dir import MetricsDirectory
from ron_kms.server.open_files import bound_open_files
from ron_kms.server.operator import Operator
from ron_kms.server.readiness import Front, Readiness, judge
from ron_kms.server.reload import Reloader
from ron_kms.server.serving import check_server, key_exchange
from ron_kms.server.slot import Slot
from ron_kms.server.sockets import bind, port_of
from ron_kms.server.tokens import first_token
from ron_kms.store.bootstrap import Store, attach, prepare, prepare_in_memory
from ron_kms.store.database import Database

_LEAVE_SECONDS = 1.5
"""For workers to end after their drain, before they are killed."""
_SETTLE_SECONDS = 2.0
"""From the workers' first reports, for the service to be ready before it says that it is up."""
_OPERATOR_CONNECTIONS = 64

log = structlog.get_logger("ron_kms.supervisor")


def run(loaded: Loaded, read: Callable[[], Loaded]) -> int:
    """Serve until SIGTERM or SIGINT; a second one hastens the end. SIGHUP reloads settings.

    :param read: reads the settings again from all their sources.
    :returns: the exit code: 0, or 1 when a worker had to be killed.
    :raises KmsError: something keeps it from starting.
    """
    settings, warnings, _ = loaded
    try:
        _core.harden_process(dumpable=settings.debug_dumpable)
    except _core.CoreError as error:
        raise ConfigurationError(f"the system refuses to protect this process: {error}") from None
    logs.configure(settings.log_level)
    for warning in warnings:
        log.warning(warning)
    check_server(settings)
    bound_open_files(settings.max_connections)
    if settings.amnesia:
        sys.dont_write_bytecode = True
    with folder_of(settings.data_dir, amnesia=settings.amnesia) as directory:
        # The addresses first: a start that fails for them must leave nothing behind.
        listeners = bind(settings.http_addr, settings.workers, "http_addr")
        operator = bind(settings.operator_addr, 1, "operator_addr")
        root = _prepare(settings)
        try:
            store = attach(settings.store_url, root, readers=1)
            keeper = Keeper(store, directory, None if settings.amnesia else standing_of(store, settings))
            try:
                keeper.check(expected_checkpoint(settings))
                if not settings.amnesia:
                    finish_others(store, settings)
                _mint_first_token(store, directory)
                with MetricsDirectory(settings.data_dir) as metrics:
                    supervisor = _Supervisor(settings, read, directory, root, metrics.path, keeper, store.database)
                    code = asyncio.run(supervisor.main(listeners, operator))
                keeper.try_update()
                return code
            finally:
                keeper.release()
                store.close()
        finally:
            root.release()


def _prepare(settings: Settings) -> RootKey:
    if settings.amnesia:
        return prepare_in_memory(settings.store_url)
    return prepare(settings.store_url, settings.seal, settings.passphrase_file)


def _mint_first_token(store: Store, directory: DataDirectory) -> None:
    path = first_token(store, directory)
    if path is not None:
        _print(f"The administrator's token was made and is in {path}")


class _Supervisor:
    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Loaded],
        directory: DataDirectory,
        root: RootKey,
        metrics: Path,
        keeper: Keeper,
        database: Database,
    ) -> None:
        self._settings = settings
        """As they were at the start."""
        self._directory = directory
        self._root = root
        self._metrics = metrics
        self._keeper = keeper
        self._database = database
        self._front = Front(settings.server, settings.tls)
        self._slots: list[Slot] = []
        self._reloader = Reloader(settings, read, self._slots)
        self._stopping = asyncio.Event()
        self._killed = False

    async def main(self, listeners: list[socket.socket], operator_sockets: list[socket.socket]) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(logs.loop_failure)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up, os.isatty(0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # one may have come while this started
        api, operator = (
            Address(address.host, port_of(sockets[0]))
            for address, sockets in (
                (self._settings.http_addr, listeners),
                (self._settings.operator_addr, operator_sockets),
            )
        )
        self._slots += [
            Slot(number, self._settings, self._root, listener, self._metrics)
            for number, listener in enumerate(listeners)
        ]
        exposition = Exposition(
            self._metrics, self.readiness, lambda: [slot.heard for slot in self._slots], self._database
        )
        application = Operator(self.readiness, exposition, lambda: self._front)
        server = Server(application, Limits(connections=_OPERATOR_CONNECTIONS, streams=16))
        await server.start(*operator_sockets)
        keepers = [asyncio.create_task(slot.keep()) for slot in self._slots]
        mark = asyncio.create_task(self._keeper.keep())
        reloads: asyncio.Task[None] | None = None
        try:
            if await self._all_ready(keepers):
                await self._look_at_tls(api, keepers)
                state = await self._settled()
                if not self._stopping.is_set():
                    self._announce(api, operator, state)
                reloads = asyncio.create_task(self._reloader.run())
                await self._stopping.wait()
            await self._end(keepers)
        finally:
            mark.cancel()
            if reloads is not None:
                reloads.cancel()
            self._directory.remove_endpoints()
            await server.close(0.1)
        return 1 if self._killed else 0

    def _hang_up(self, had_terminal: bool) -> None:
        """SIGHUP is for new settings, but also comes when the terminal is closed that this runs in."""
        if had_terminal and not os.isatty(0):
            self._stop()
        else:
            self._reloader.want()

    def readiness(self) -> Readiness:
        return judge(
            [slot.heard for slot in self._slots],
            config=self._reloader.state,
            front=self._front,
            stopping=self._stopping.is_set(),
            now=time.monotonic(),
        )

    async def _all_ready(self, keepers: list[asyncio.Task[None]]) -> bool:
        """Wait for every worker's first report; False when told to stop meanwhile.

        :raises ConfigurationError: one could not start.
        """
        ready = asyncio.create_task(self._every_first_report())
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ready, stop, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if ready.done():
            return True
        ready.cancel()
        failed = [error for keeper in keepers if keeper.done() and (error := keeper.exception()) is not None]
        if failed:
            await self._end(keepers)
            raise failed[0]
        return False

    async def _look_at_tls(self, api: Address, keepers: list[asyncio.Task[None]]) -> None:
        """:raises ConfigurationError: its key exchange is not what is required."""
        try:
            pq = await asyncio.to_thread(key_exchange, self._settings, api.reachable)
        except ConfigurationError:
            await self._end(keepers)
            raise
        self._front = msgspec.structs.replace(self._front, pq=pq)

    async def _settled(self) -> Readiness:
        """What is to be said of the service: with the workers' first reports, or soon after, it is ready, or is not."""
        end = time.monotonic() + _SETTLE_SECONDS
        while True:
            state = self.readiness()
            if state.ready or self._stopping.is_set() or time.monotonic() > end:
                return state
            await asyncio.sleep(0.05)

    async def _every_first_report(self) -> None:
        for slot in self._slots:
            await slot.ready.wait()

    def _stop(self) -> None:
        log.info("stopping at once" if self._stopping.is_set() else "stopping")
        self._stopping.set()
        for slot in self._slots:
            slot.stop()

    async def _end(self, keepers: list[asyncio.Task[None]]) -> None:
        """Workers end in time or are killed; when this returns there are none."""
        if not self._stopping.is_set():
            self._stop()
        _, pending = await asyncio.wait(keepers, timeout=self._reloader.settings.drain_seconds + _LEAVE_SECONDS)
        if pending:
            self._killed = True
            log.error("workers did not end in time and are killed", workers=len(pending))
            for slot in self._slots:
                slot.kill()
            await asyncio.wait(keepers)

    def _announce(self, api: Address, operator: Address, state: Readiness) -> None:
        scheme = "https" if self._settings.tls else "http"
        self._directory.write_endpoints(
            {
                "http": f"{scheme}://{api.reachable}",
                "operator": f"http://{operator.reachable}",
                "pid": os.getpid(),
                "workers": len(self._slots),
            }
        )
        log.log(
            logging.INFO if state.ready else logging.WARNING,
            "ready" if state.ready else "up, and not ready",
            http=str(api),
            operator=str(operator),
            workers=len(self._slots),
            tls=self._settings.tls,
            amnesia=self._settings.amnesia,
            server=self._settings.server,
            **({} if state.ready else {"missing": state.missing}),
        )
        _print(
            banner.text(
                missing=state.missing,
                api=f"{scheme}://{api.reachable}",
                operator=f"http://{operator.reachable}",
                token=self._directory.path / TOKEN,
                ca=self._settings.tls_cert,
                amnesia=self._settings.amnesia,
            )
        )


def _print(text: Any) -> None:
    with contextlib.suppress(OSError):  # nobody reads it
        print(text, flush=True)  # noqa: T201 - what a person at a terminal is told
