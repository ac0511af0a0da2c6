"""The two documents that need no token: ``/openapi.json`` and the page at ``/docs`` that shows it."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

import msgspec

from ron_kms.api.http.body import Body, Receive
from ron_kms.api.http.call import Edge
from ron_kms.api.http.exchange import Exchange, Scope, Send
from ron_kms.api.http.headers import gather, request_id
from ron_kms.api.http.memory import ANYONE, Share
from ron_kms.errors import Backpressure


class Static:
    """Bytes that stay the same as long as the process runs, with an entity tag (RFC 9110 8.8.3)."""

    def __init__(self, edge: Edge, content: bytes, *headers: tuple[bytes, bytes]) -> None:
        self._edge = edge
        self._content = content
        self._etag = b'"%s"' % hashlib.sha256(content).hexdigest()[:32].encode()
        self._headers = [
            *headers,
            (b"etag", self._etag),
            (b"cache-control", b"no-cache"),
            (b"x-content-type-options", b"nosniff"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._edge.traffic.enter()
        share = Share(self._edge.memory, ANYONE)
        try:
            await Body(receive).drain(self._edge.deadlines)
            corr_id = (b"x-corr-id", request_id(gather(scope["headers"])).encode("ascii"))
            if self._is_known(scope["headers"]):
                await send({"type": "http.response.start", "status": 304, "headers": [*self._headers, corr_id]})
                await send({"type": "http.response.body", "body": b""})
                return
            length = (b"content-length", b"%d" % len(self._content))
            share.take(len(self._content))
            await send({"type": "http.response.start", "status": 200, "headers": [*self._headers, corr_id, length]})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self._content})
        except Backpressure as error:
            self._edge.metrics.refused(error.code)
            self._edge.metrics.reject(error.limit)
            await Exchange(scope, receive, send).answer_error(error)
        finally:
            share.give_back()
            self._edge.traffic.leave()

    def _is_known(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether ``If-None-Match`` names this content; weak tags match as well (RFC 9110 13.1.2)."""
        tags = [tag.strip() for name, value in headers if name == b"if-none-match" for tag in value.split(b",")]
        return any(tag == b"*" or tag.removeprefix(b"W/") == self._etag for tag in tags)


def document(edge: Edge, described: dict[str, Any]) -> Static:
    """``/openapi.json``."""
    return Static(edge, msgspec.json.encode(described), (b"content-type", b"application/json"))


def page(edge: Edge) -> Static:
    """``/docs``: one file that loads nothing but ``/openapi.json``, which its Content-Security-Policy holds it to."""
    folder = files("ron_kms.api.http") / "page"
    style = (folder / "page.css").read_text("utf-8")
    script = (folder / "page.js").read_text("utf-8")
    html = (folder / "page.html").read_text("utf-8").replace("/* page.css */", style).replace("/* page.js */", script)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Static(
        edge,
        html.encode(),
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode()),
        (b"referrer-policy", b"no-referrer"),
    )


def _hash(text: str) -> str:
    """The source expression of an inline element (CSP 3, 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
