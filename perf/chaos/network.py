"""Two network namespaces, and between them a network as bad as it is told to be."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Self, TypeVar

from perf.chaos.drill import NotHere

SERVER, CLIENT = "10.77.0.1", "10.77.0.2"
DEVICE = "chaos0"

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 1, 0x1000

_libc = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


class Namespace:
    """A thread that lives in a network namespace of its own, and so does all that it starts.

    :ivar device: the open TUN device of it.
    """

    def __init__(self, here: str, there: str) -> None:
        """:raises NotHere: it cannot be made."""
        self._thread = ThreadPoolExecutor(1)
        self.device = self.run(lambda: _made(here, there))

    def run(self, call: Callable[[], T]) -> T:
        """Do it there, and wait for it."""
        return self._thread.submit(call).result()

    def close(self) -> None:
        os.close(self.device)
        self._thread.shutdown()


class Network:
    """What is between the two.

    :ivar server: where the service is started; ``client``: where its clients are.
    """

    def __init__(self, server: Namespace, client: Namespace, told: IO[bytes]) -> None:
        self.server = server
        self.client = client
        self._told = told

    def set(self, delay: float = 0.0, jitter: float = 0.0, loss: float = 0.0) -> Self:
        """Packets take so many seconds each way, up to ``jitter`` more, and this share of them is lost."""
        self._told.write(f"{delay} {jitter} {loss}\n".encode())
        self._told.flush()
        return self


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """A network without faults at first.

    :raises NotHere: this machine has no namespaces or no TUN devices for us.
    """
    with contextlib.ExitStack() as stack:
        server = Namespace(SERVER, CLIENT)
        stack.callback(server.close)
        client = Namespace(CLIENT, SERVER)
        stack.callback(client.close)
        devices = server.device, client.device
        command = [sys.executable, "-m", "perf.chaos.forwarder", *map(str, devices)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=devices) as forwarder:
            assert forwarder.stdin is not None
            yield Network(server, client, forwarder.stdin)


def _made(here: str, there: str) -> int:
    if os.geteuid() or _libc.unshare(_CLONE_NEWNET):
        raise NotHere("it needs root and network namespaces")
    try:
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError as error:
        raise NotHere(f"there is no TUN device: {error.strerror}") from None
    for words in ("link set lo up", f"addr add {here} peer {there} dev {DEVICE}", f"link set {DEVICE} up"):
        done = subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotHere(f"ip {words}: {done.stderr.strip()}")
    return device
