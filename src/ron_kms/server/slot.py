"""One worker's place: its number and socket stay, its process is replaced whenever it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import structlog

from ron_kms._core import CoreError
from ron_kms.config import Settings
from ron_kms.errors import ConfigurationError
from ron_kms.root.handle import RootKey
from ron_kms.server import control
from ron_kms.server.readiness import Heard

_BACKOFF_FIRST = 0.1
_BACKOFF_MOST = 5.0
_HEALTHY_SECONDS = 10.0
"""A worker that lived this long is replaced without delay."""
_LEAVE_SECONDS = 1.0
"""For a worker to end after it has closed its control socket."""
_PREPARE_SECONDS = 10.0
"""For a worker to make ready for new settings; one that has just been started does so when it is up."""

log = structlog.get_logger("ron_kms.supervisor")


class Slot:
    """Keeps one worker running.

    :param listener: the worker's listening socket, kept open here for its successors.
    """

    def __init__(self, number: int, settings: Settings, root: RootKey, listener: socket.socket, metrics: Path) -> None:
        self.number = number
        self.heard = Heard(slot=number)
        self.ready = asyncio.Event()
        """Set when the slot's first worker is ready."""
        self._settings = settings
        self._root = root
        self._listener = listener
        self._metrics = metrics
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._offer: _Offer | None = None
        self._stopping = asyncio.Event()

    async def keep(self) -> None:
        """Run workers one after another until :meth:`stop`.

        :raises ConfigurationError: the first one could not start.
        """
        backoff = _BACKOFF_FIRST
        while not self._stopping.is_set():
            began = time.monotonic()
            code, failure = await self._run()
            if self._stopping.is_set():
                return
            if not self.ready.is_set():
                raise ConfigurationError(
                    failure.message if failure else "a worker died while it started",
                    hint=failure.hint if failure else "",
                )
            self.heard.restarts += 1
            lived = time.monotonic() - began
            backoff = _BACKOFF_FIRST if lived > _HEALTHY_SECONDS else min(backoff * 2, _BACKOFF_MOST)
            log.error(
                "a worker died and is replaced",
                slot=self.number,
                status=code,
                cause=failure.message if failure else None,
                lived_seconds=round(lived, 1),
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff):
                    await self._stopping.wait()

    async def prepare(self, number: int, settings: Settings) -> str:
        """Ask the worker to make ready for new settings; says what speaks against them.

        Empty also where no worker runs now: its successor needs nothing but the settings.
        """
        if (link := self._link) is None:
            return ""
        self._offer = _Offer(number, link, asyncio.get_running_loop().create_future())
        try:
            link.send(control.encode(control.Reload(number, settings)))
            async with asyncio.timeout(_PREPARE_SECONDS):
                return await self._offer.answer
        except (BlockingIOError, TimeoutError):
            return f"the worker in slot {self.number} does not answer"
        except OSError:  # it is ending
            return ""

    def decide(self, number: int, settings: Settings | None) -> None:
        """Let the worker take the settings that it has prepared for, and all its successors; None to forget them."""
        offer, self._offer = self._offer, None
        if settings is not None:
            self._settings = settings
        if (link := self._link) is None:
            return
        try:
            if settings is not None and (offer is None or offer.link is not link):
                link.send(control.encode(control.Reload(number, settings)))  # it was started meanwhile, with old ones
            link.send(control.encode(control.Decide(number, settings is not None)))
        except BlockingIOError:
            self.kill()  # its successor has the right ones
        except OSError:  # it is ending
            pass

    def stop(self) -> None:
        """Ask the worker to finish; once more to hasten it. It is not replaced."""
        self._stopping.set()
        self._listener.close()
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a stopped process takes no other

    def kill(self) -> None:
        """End the worker at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    async def _run(self) -> tuple[int, control.Failed | None]:
        """One worker from start to end: its exit status, and why it could not start."""
        ours, theirs = control.pair()
        with ours:
            with theirs:
                process = self._spawn(theirs)
            self._process = process
            self.heard.pid = process.pid
            exited = _exit_of(process)
            failure = None
            try:
                with contextlib.suppress(OSError, CoreError):  # it died already, as its exit will tell
                    ours.send(control.encode(control.Start(self._settings, self.number, self._metrics)))
                    self._root.send(ours.fileno())
                    self._link = ours
                ours.setblocking(False)
                failure = await self._listen(ours)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LEAVE_SECONDS):
                        await asyncio.shield(exited)
            finally:
                if process.returncode is None and not exited.done():
                    process.kill()
                status = await exited
                self._process = self._link = None
                self.heard.forget()
            return status, failure

    def _spawn(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        fds = (theirs.fileno(), self._listener.fileno())
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "ron_kms.server.worker", *map(str, (*fds, os.getpid()))],
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=_environment(os.environ, self._settings),
            process_group=0,  # Ctrl-C is for the supervisor, which passes it on
        )

    async def _listen(self, ours: socket.socket) -> control.Failed | None:
        """Hear the worker out, until it closes its end."""
        loop = asyncio.get_running_loop()
        failure = None
        while True:
            try:
                frame = control.decode(await loop.sock_recv(ours, control.PACKET_BYTES))
            except (EOFError, OSError):
                self._link = None
                self._answer(ours, "")
                return failure
            if isinstance(frame, control.Report):
                self.heard.hear(frame)
                self.ready.set()
            elif isinstance(frame, control.Failed):
                failure = frame
            elif isinstance(frame, control.Prepared) and self._offer and self._offer.number == frame.number:
                self._answer(ours, frame.fault)

    def _answer(self, link: socket.socket, fault: str) -> None:
        if self._offer is not None and self._offer.link is link and not self._offer.answer.done():
            self._offer.answer.set_result(fault)


class _Offer(NamedTuple):
    """New settings, and the answer of the worker they were offered to."""

    number: int
    link: socket.socket
    answer: asyncio.Future[str]


def _environment(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The supervisor's, without the settings: those come over the control socket, checked."""
    kept = {name: value for name, value in environ.items() if not name.startswith("KMS_")}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"} if settings.amnesia else kept


def _exit_of(process: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """The exit status, once the process has ended and was reaped."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[int] = loop.create_future()
    fd = os.pidfd_open(process.pid)

    def ended() -> None:
        loop.remove_reader(fd)
        os.close(fd)
        status = process.wait()
        if not future.done():
            future.set_result(status)

    loop.add_reader(fd, ended)
    return future
