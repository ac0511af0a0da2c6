"""Who takes new settings in a worker, and how: all of them or none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import structlog

from ron_kms.config import DEFINITIONS, Settings
from ron_kms.errors import KmsError
from ron_kms.server import control
from ron_kms.trace import trace

Apply = Callable[[], None]
"""Puts what was prepared in force; on the event loop, at once, and it does not fail."""

Prepare = Callable[[Settings], Apply]
"""Makes ready for settings, on a thread, and changes nothing yet; an error refuses the reload in all workers."""

_RELOADED = frozenset(row.name for row in DEFINITIONS if row.knob.reloads)


log = structlog.get_logger("ron_kms.worker")


class _Taker(NamedTuple):
    names: frozenset[str]
    prepare: Prepare


class Reloads:
    """The settings of one process, and those that take new ones.

    :ivar settings: what is in force. Whoever reads from here each time it needs a value only has to be named.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._takers: list[_Taker] = []
        self._known: frozenset[str] = frozenset()

    def on(self, names: str, prepare: Prepare | None = None) -> None:
        """Call ``prepare`` when one of these settings has changed.

        :param names: separated by spaces; with none, it is called at every reload, for what lies in files.
        :param prepare: None where the value is read from :attr:`settings` each time.
        """
        these = frozenset(names.split())
        if not these <= _RELOADED:
            raise ValueError(f"they need a restart: {sorted(these - _RELOADED)}")
        self._known |= these
        if prepare is not None:
            self._takers.append(_Taker(these, prepare))

    def complete(self) -> None:
        """Once all have registered: no setting is said to change without a restart and does not.

        :raises LookupError: there is one.
        """
        if missing := sorted(_RELOADED - self._known):
            raise LookupError(f"nobody takes new values of {missing}")

    def prepare(self, settings: Settings) -> Apply:
        """Make all ready for new settings; what is returned puts them in force.

        :raises KmsError: one of them cannot work with these; nothing has changed.
        """
        changed = {name for name in _RELOADED if getattr(settings, name) != getattr(self.settings, name)}
        steps = [taker.prepare(settings) for taker in self._takers if not taker.names or taker.names & changed]

        def apply() -> None:
            self.settings = settings
            for step in steps:
                step()

        return apply


class Turn:
    """A worker's part in a reload: it makes ready, says so, and does what is decided for all.

    :param tell: sends a frame to the supervisor.
    :param leave: ends this worker, whose successor starts with the new settings.
    """

    def __init__(self, reloads: Reloads, tell: Callable[[control.Frame], None], leave: Callable[[], None]) -> None:
        self._reloads = reloads
        self._tell = tell
        self._leave = leave
        self._number = 0
        self._ready: Apply | None = None
        self._decided = False
        self._preparing: set[asyncio.Task[None]] = set()

    def hear(self, frame: control.Reload | control.Decide) -> None:
        """On the event loop, in the order in which the frames came."""
        if isinstance(frame, control.Reload):
            self._number, self._ready, self._decided = frame.number, None, False
            task = asyncio.get_running_loop().create_task(self._prepare(frame))
            self._preparing.add(task)
            task.add_done_callback(self._preparing.discard)
        elif frame.number == self._number:
            if not frame.apply:
                self._number = 0
            elif self._ready is not None:
                self._put_in_force(self._ready)
            else:
                self._decided = True

    async def _prepare(self, frame: control.Reload) -> None:
        ready, fault = None, ""
        try:
            ready = await asyncio.to_thread(self._reloads.prepare, frame.settings)
        except KmsError as error:
            fault = error.message
        except Exception as error:  # noqa: BLE001 - it refuses the reload, and the service goes on
            log.error("new settings could not be prepared for", trace=trace(error))
            fault = "a worker could not make ready; the log has the cause"
        if frame.number != self._number:
            return
        if not self._decided:
            self._ready = ready
            self._tell(control.Prepared(frame.number, fault))
        elif ready is None:
            self._leave()
        else:
            self._put_in_force(ready)

    def _put_in_force(self, ready: Apply) -> None:
        self._number = 0
        try:
            ready()
        except Exception as error:  # noqa: BLE001 - half of them may be in force
            log.error("new settings could not be put in force", trace=trace(error))
            self._leave()
