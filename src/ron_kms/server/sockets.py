"""Listening sockets: one a worker on one port, so that the kernel spreads connections and a worker's death loses none
that wait."""

from __future__ import annotations

import errno
import socket

from ron_kms.config import Address
from ron_kms.errors import ConfigurationError

BACKLOG = 1024


def bind(address: Address, count: int, setting: str) -> list[socket.socket]:
    """Sockets that listen on the same address.

    :param setting: whose address it is, for the error.
    :raises ConfigurationError: the address is taken or not this machine's.
    """
    sockets: list[socket.socket] = []
    try:
        # SO_REUSEPORT would share the port with a stranger of the same user; a first socket without it finds out.
        if address.port:
            _bound(address, shared=False).close()
        for _ in range(count):
            sock = _bound(address, shared=True)
            sockets.append(sock)
            sock.listen(BACKLOG)
            address = Address(address.host, sock.getsockname()[1])
    except OSError as error:
        for sock in sockets:
            sock.close()
        what = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        hint = f"Give another with --{setting.replace('_', '-')}."
        raise ConfigurationError(f"the address of {setting}, {address}, {what}", hint=hint) from None
    return sockets


def _bound(address: Address, *, shared: bool) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(tuple(address))
    except OSError:
        sock.close()
        raise
    return sock


def port_of(sock: socket.socket) -> int:
    """The port that was taken."""
    return int(sock.getsockname()[1])
