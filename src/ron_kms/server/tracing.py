"""Whether requests are traced; where they are not, nothing is wrapped and OpenTelemetry is not loaded."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Protocol

from ron_kms.api.http.call import Checker
from ron_kms.config import Settings
from ron_kms.engine.queue import CryptoQueue
from ron_kms.errors import ConfigurationError
from ron_kms.server.asgi import App
from ron_kms.service.operation import Operation
from ron_kms.store.bootstrap import Store


class Tracing(Protocol):
    """Wraps the parts that a request goes through, while a worker is put together."""

    def app(self, app: App) -> App: ...

    def checker(self, checker: Checker) -> Checker: ...

    def operations(self, operations: Iterable[Operation]) -> tuple[Operation, ...]: ...

    def store(self, store: Store) -> Store: ...

    def queue(self, queue: CryptoQueue) -> CryptoQueue: ...

    def close(self) -> None:
        """Send what is left, within half a second."""


class _Off:
    def app(self, app: App) -> App:
        return app

    def checker(self, checker: Checker) -> Checker:
        return checker

    def operations(self, operations: Iterable[Operation]) -> tuple[Operation, ...]:
        return tuple(operations)

    def store(self, store: Store) -> Store:
        return store

    def queue(self, queue: CryptoQueue) -> CryptoQueue:
        return queue

    def close(self) -> None:
        return None


def tracing_of(settings: Settings, slot: int) -> Tracing:
    """As the settings say.

    :raises ConfigurationError: traces are asked for and OpenTelemetry is not installed.
    """
    if settings.traces_url is None:
        return _Off()
    if find_spec("opentelemetry") is None:
        raise ConfigurationError(
            "traces_url is set and OpenTelemetry is not installed",
            hint="Install it with: pip install 'ron-kms[traces]'",
        )
    from ron_kms.server.traces import Traces  # noqa: PLC0415 - an extra, loaded where it is asked for

    return Traces(settings.traces_url, settings.traces_percent, slot)
