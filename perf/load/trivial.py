"""``python -m perf.load.trivial SERVER``: an application that only signs, on one of the servers that ours runs on.

It reads a request's JSON, signs with the one key it has, and answers JSON: no tokens, no policy, no log, no limits, no
metrics. What a service costs beyond it is what the service is there for; what both cost is the server's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from subprocess import PIPE, Popen
from typing import Any

import hypercorn.asyncio
import msgspec
import uvloop
from hypercorn.config import Config

from perf import record
from ron_kms import _core
from ron_kms.crypto.framing import digest_message
from ron_kms.crypto.suites import find
from ron_kms.server.guards.limits import Limits
from ron_kms.server.guards.serve import App, Server

SERVERS = ("stock", "hypercorn", "granian")
"""Hypercorn as it comes, Hypercorn under our guards, Granian as ours starts it."""
SUITE = "ed25519"


class _Asked(msgspec.Struct):
    kid: str
    digest: bytes


def application() -> App:
    """The application."""
    [slot] = _core.generate(find("sign", SUITE).scheme)
    decode = msgspec.json.Decoder(_Asked).decode

    async def app(scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                kind = (await receive())["type"]
                await send({"type": f"{kind}.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        asked = decode(body)
        [signatures] = _core.sign([slot], [digest_message(SUITE, asked.digest)])
        if isinstance(signatures, Exception):
            raise signatures
        sigs = [{"alg": SUITE, "signature": b64encode(signatures[0]).decode()}]
        answer = msgspec.json.encode({"kid": asked.kid, "sigs": sigs})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


async def serve(server: str, sock: socket.socket) -> None:
    """Serve on a listening socket until the process ends."""
    if server == "stock":
        config = Config()
        config.bind = [f"fd://{sock.fileno()}"]
        config.accesslog = config.errorlog = None
        await hypercorn.asyncio.serve(application(), config)  # type: ignore[arg-type]
    elif server == "hypercorn":
        await Server(application(), Limits()).start(sock)
    else:
        from ron_kms.server.granian.serve import GranianServer  # noqa: PLC0415 - an extra

        await GranianServer(application(), Limits()).start(sock)
    await asyncio.Event().wait()


class Trivial:
    """It, running.

    :ivar address: where.
    """

    def __init__(self, process: Popen[bytes], port: int) -> None:
        self.process = process
        self.address = ("127.0.0.1", port)


@contextlib.contextmanager
def running(server: str, cores: Sequence[int]) -> Iterator[Trivial]:
    """It on these cores."""
    pinned = ["taskset", "--cpu-list", ",".join(map(str, cores))]
    command = [*pinned, sys.executable, "-m", "perf.load.trivial", server]
    with Popen(command, stdout=PIPE, cwd=record.ROOT) as process:
        try:
            assert process.stdout is not None
            yield Trivial(process, int(process.stdout.readline()))
        finally:
            process.kill()


def main() -> None:
    sock = socket.create_server(("127.0.0.1", 0), backlog=128)
    sock.setblocking(False)
    print(sock.getsockname()[1], flush=True)
    uvloop.run(serve(sys.argv[1], sock))


if __name__ == "__main__":
    main()
