"""Deadlines of connections that Rust code owns, kept from outside by what the kernel knows of them.

hyper closes no connection that is silent before its first request, between HTTP/2 requests, or that does not read. The
kernel knows for each socket when something last came and went, and how much still waits for the client; shutting the
socket down ends the connection in Rust as if the client had left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
import termios
from collections.abc import Iterator

_TCP_INFO_BYTES = 136
_LAST_SENT, _LAST_RECEIVED = 44, 52
"""Offsets in ``struct tcp_info`` (linux/tcp.h): milliseconds since data was sent and received."""
_BYTES_ACKED = 120
_LISTEN = 10
_CUT = struct.pack("ii", 1, 0)
"""SO_LINGER: closing throws away what was not taken."""


class Sweeper:
    """Looks at this process's connections to one port; each look is a few system calls a connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._marks: dict[int, tuple[int, float]] = {}
        """By inode: how many bytes the client should have taken, and since when it has been waited for."""

    def sweep(self, now: float, idle_seconds: float, response_seconds: float) -> int:
        """Close what is overdue.

        :param now: monotonic seconds.
        :param idle_seconds: a connection on which nothing has come or gone for so long is closed.
        :param response_seconds: what was written must be taken within this.
        :returns: how many connections there are.
        """
        count = 0
        seen: dict[int, tuple[int, float]] = {}
        for inode, connection in self._connections():
            with connection:
                count += 1
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
                (sent,), (received,) = (struct.unpack_from("=I", info, at) for at in (_LAST_SENT, _LAST_RECEIVED))
                (acked,) = struct.unpack_from("=Q", info, _BYTES_ACKED)
                overdue = min(sent, received) > idle_seconds * 1000
                if self._waited(inode, connection, acked, now, seen) > response_seconds or overdue:
                    with contextlib.suppress(OSError):
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CUT)
                        connection.shutdown(socket.SHUT_RDWR)
        self._marks = seen
        return count

    def _waited(
        self, inode: int, connection: socket.socket, acked: int, now: float, seen: dict[int, tuple[int, float]]
    ) -> float:
        """Seconds that what was written has waited for the client to take it, a byte at a time or not at all."""
        (waiting,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))
        if waiting == 0:
            return 0.0
        mark = self._marks.get(inode)
        if mark is None or acked >= mark[0]:
            mark = (acked + waiting, now)
        seen[inode] = mark
        return now - mark[1]

    def _connections(self) -> Iterator[tuple[int, socket.socket]]:
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are all that is wanted
            try:
                status = os.fstat(int(name))
                if not stat.S_ISSOCK(status.st_mode):
                    continue
                # A copy stays the same connection, even when its owner closes it meanwhile.
                copy = socket.socket(fileno=os.dup(int(name)))
            except OSError:
                continue
            if self._ours(copy):
                yield status.st_ino, copy
            else:
                copy.close()

    def _ours(self, copy: socket.socket) -> bool:
        if copy.family not in {socket.AF_INET, socket.AF_INET6} or copy.type != socket.SOCK_STREAM:
            return False
        try:
            return bool(
                copy.getsockname()[1] == self._port
                and copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _LISTEN
            )
        except OSError:
            return False
