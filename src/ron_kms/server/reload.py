"""SIGHUP: the sources of the settings are read again, and all workers take what is new in them, or none does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from ron_kms.config import Loaded, Settings, renew
from ron_kms.errors import ConfigurationError, KmsError
from ron_kms.server import logs
from ron_kms.server.open_files import bound_open_files
from ron_kms.server.readiness import ConfigState
from ron_kms.server.serving import check_server
from ron_kms.server.slot import Slot
from ron_kms.trace import trace

log = structlog.get_logger("ron_kms.supervisor")


class Reloader:
    """The supervisor's part.

    :param settings: what is in force.
    :param read: reads all sources again.
    :param slots: whose workers take them.
    :ivar state: how it went last.
    """

    def __init__(self, settings: Settings, read: Callable[[], Loaded], slots: Sequence[Slot]) -> None:
        self.settings = settings
        self.state = ConfigState()
        self._read = read
        self._slots = slots
        self._wanted = asyncio.Event()
        self._number = 0

    def want(self) -> None:
        """The handler of SIGHUP; several that come while one is at work are one."""
        self._wanted.set()

    async def run(self) -> None:
        """Reload whenever it is wanted, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._reload()
            except KmsError as error:
                self._refused(error.message)
            except Exception as error:  # noqa: BLE001 - the service goes on as it was
                log.error("a reload failed", trace=trace(error))
                self._refused("an unexpected error")

    def _refused(self, cause: str) -> None:
        self.state = msgspec.structs.replace(self.state, failed=True)
        log.error("the settings were not reloaded: those before stay in force", cause=cause)

    async def _reload(self) -> None:
        """:raises KmsError: there are faults, all named, or a worker cannot take them; nothing has changed."""
        fresh, warnings, _ = await asyncio.to_thread(self._read)
        renewal = renew(self.settings, fresh)
        await asyncio.to_thread(check_server, renewal.settings)
        self._number += 1
        answers = await asyncio.gather(*(slot.prepare(self._number, renewal.settings) for slot in self._slots))
        faults = list(dict.fromkeys(filter(None, answers)))
        for slot in self._slots:
            slot.decide(self._number, None if faults else renewal.settings)
        if faults:
            raise ConfigurationError("; ".join(faults))
        self.settings = renewal.settings
        self.state = ConfigState(self.state.reloads + 1, datetime.now(UTC), waiting=renewal.waiting)
        logs.set_level(renewal.settings.log_level)
        bound_open_files(renewal.settings.max_connections)
        log.info("settings reloaded", changed=renewal.changed)
        for warning in warnings:
            log.warning(warning)
        if renewal.waiting:
            log.warning("these settings need a restart and stay as they are", settings=renewal.waiting)
