"""A client of a running service, for commands: HTTP/1.1 and JSON, from the standard library alone."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlencode, urlsplit

from ron_kms.errors import ConfigurationError, Internal, KmsError, NotFound, codes

_SECONDS = 120.0
"""A plan reads every key of a tenant."""
_ATTEMPTS = 8
_LONGEST_TOKEN = 8192
_LONGEST_PAUSE = 5.0
_BASE = "/v1/kms"
_TOKEN = "admin.token"  # noqa: S105 - a file's name
_ENDPOINTS = "endpoints.json"


class Answer(NamedTuple):
    """The decoded body and the ETag, where there was one."""

    body: dict[str, Any]
    etag: str | None


class Client:
    """Calls one service. What it refuses is raised as the error that it names.

    :param url: of the API, such as ``http://127.0.0.1:9446``.
    :param ca: certificates (PEM) that the service's is checked against; the system's by default.
    :param certificate: the client's own and its key (PEM), where the service asks for one.
    """

    def __init__(
        self, url: str, token: str, *, ca: Path | None = None, certificate: tuple[Path, Path] | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("the service's URL is not http://host:port or https://host:port")
        self._url = url
        self._met = False
        """Whether it has ever answered: one that has is waited for when it restarts."""
        self._headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        if parts.scheme == "https":
            context = _trust(ca, certificate)
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=_SECONDS, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_SECONDS)

    @classmethod
    def find(
        cls,
        data_dir: Path,
        *,
        url: str | None = None,
        token_file: Path | None = None,
        ca: Path | None = None,
        certificate: tuple[Path, Path] | None = None,
    ) -> Self:
        """The service that runs on a data folder, as its administrator, where nothing else is named.

        :raises ConfigurationError: no service runs there, or there is no token.
        """
        if url is None:
            try:
                url = str(json.loads((data_dir / _ENDPOINTS).read_text())["http"])
            except (OSError, ValueError, KeyError):
                raise ConfigurationError(
                    f"no service runs on the data folder {data_dir}",
                    hint="Start it, or name it with --url or its data folder with --data-dir.",
                ) from None
        file = token_file or data_dir / _TOKEN
        try:
            token = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigurationError(
                f"the token in {file} cannot be read: {reason}",
                hint="Name another file with --token-file. If every token is lost, see `ron-kms token reset --help`.",
            ) from None
        # It becomes a header: what cannot be one must not get into an error's text, for it may be a secret.
        if not 0 < len(token) <= _LONGEST_TOKEN or not token.isascii() or not token.isprintable():
            raise ConfigurationError(f"there is no token in {file}", hint="Name another file with --token-file.")
        return cls(url, token, ca=ca, certificate=certificate)

    def get(self, path: str, **query: Any) -> Answer:
        """GET; parameters that are None are left out."""
        given = urlencode({name: value for name, value in query.items() if value is not None})
        return self._call("GET", f"{path}?{given}" if given else path, None, {})

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """POST. It is repeated where the service is busy or away; give it an ``op_id`` where that matters."""
        return self._call("POST", path, body, {})

    def put(self, path: str, body: Mapping[str, Any], etag: str) -> Answer:
        """PUT, if the resource is still as ``etag`` says."""
        return self._call("PUT", path, body, {"if-match": etag})

    def delete(self, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """DELETE; whoever repeats it finds it done."""
        return self._call("DELETE", path, body, {})

    def fetch(self, path: str, limit: int) -> bytes | None:
        """GET something that is not JSON: its bytes, at most one more than ``limit``; None where there is nothing."""
        status, headers, content = self._exchange("GET", path, None, {"accept": "*/*"}, limit)
        if 200 <= status < 300 and not headers.get("content-type", "").startswith("application/json"):
            return content
        try:
            _decoded(status, content)
        except NotFound:
            return None
        raise Internal(f"the service gave JSON where other content was expected, with status {status}")

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        status, found, text = self._exchange(method, path, content, headers)
        return Answer(_decoded(status, text), found.get("etag"))

    def _exchange(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str], limit: int | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and body, which is cut off behind ``limit`` and one byte more."""
        sent = {**self._headers, **headers}
        if content is not None:
            sent["content-type"] = "application/json"
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            try:
                self._connection.request(method, _BASE + path, content, sent)
                response = self._connection.getresponse()
                # An error is told in full.
                most = limit + 1 if limit is not None and response.status == HTTPStatus.OK else None
                text = response.read(most)
                if not response.isclosed():
                    self._connection.close()
            except ssl.SSLError as error:
                raise ConfigurationError(
                    f"the service at {self._url} cannot be trusted: {error.reason}",
                    hint="Name the authority of its certificate with --ca.",
                ) from None
            except (OSError, http.client.HTTPException):
                self._connection.close()
                if last or not self._met:
                    raise ConfigurationError(f"no service answers at {self._url}", hint="Is it running?") from None
                time.sleep(min(0.1 * 2**attempt, _LONGEST_PAUSE))
                continue
            self._met = True
            if response.status in (429, 503) and not last:
                time.sleep(min(float(response.headers.get("retry-after", "1")), _LONGEST_PAUSE))
                continue
            break
        return response.status, response.headers, text


def _trust(ca: Path | None, certificate: tuple[Path, Path] | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError:
        raise ConfigurationError(f"{ca} cannot be read or holds no certificate", hint="--ca is a PEM file.") from None
    if certificate is not None:
        try:
            # An encrypted key would ask for its passphrase on the terminal.
            context.load_cert_chain(*certificate, password=lambda: b"")
        except OSError:
            raise ConfigurationError(
                "the files of --cert and --key cannot be read, are encrypted, or do not belong together"
            ) from None
    return context


def segment(text: str) -> str:
    """Text as one segment of a path."""
    return quote(text, safe="")


def _decoded(status: int, text: bytes) -> dict[str, Any]:
    try:
        body = json.loads(text)
        error = None if 200 <= status < 300 else body["error"]
        if not isinstance(body, dict):
            raise TypeError
        if error is None:
            return body
        message, hint, code = str(error["message"]), str(error["hint"]), str(error["code"])
    except (ValueError, KeyError, TypeError):
        raise Internal(f"the service gave an answer that is none of its own, with status {status}") from None
    raise codes().get(code, KmsError)(message, hint=hint)
