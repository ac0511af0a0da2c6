"""The service in this process, without an event loop.

Its acts are coroutines because the server's store answers on an event loop; here the store is waited for where it is
asked, so that an act runs from its start to its end without ever being suspended.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar

from ron_kms.capabilities.caveats import ALL_SCOPES
from ron_kms.model import Caller, new_uuid
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context
from ron_kms.service.schema import Request, request_of
from ron_kms.service.start import KEY_SLOTS, start_session
from ron_kms.store.bootstrap import open_store

T = TypeVar("T")
R = TypeVar("R", bound=Request)

_OWNER = Caller("local", ALL_SCOPES)


class Session:
    """A store and all that works with it, for one caller who may do everything. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        *,
        seal: str,
        passphrase_file: Path | None = None,
        key_slots: int = KEY_SLOTS,
        audit: Path | None = None,
    ) -> None:
        self._kms = start_session(open_store(url, seal, passphrase_file), url, audit, wait=_block, key_slots=key_slots)

    def _ask(
        self,
        act: Callable[[Kms, Context, R], Coroutine[Any, Any, T]],
        type_: type[R],
        /,
        *,
        if_match: str | None = None,
        **fields: Any,
    ) -> T:
        """What an act of the service answers to a request with these fields; those that are None are left out.

        :raises BadRequest: a field does not fit.
        """
        return self._answer(act, request_of(type_, fields), if_match)

    def _answer(
        self, act: Callable[[Kms, Context, R], Coroutine[Any, Any, T]], request: R, if_match: str | None = None
    ) -> T:
        context = Context(caller=_OWNER, request_id=new_uuid(), if_match=if_match)
        return run(act(self._kms, context, request))

    def close(self) -> None:
        """Close the store and wipe every key."""
        self._kms.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run(act: Coroutine[Any, Any, T]) -> T:
    """From its start to its end."""
    try:
        act.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    act.close()
    raise RuntimeError("an act was suspended, which nothing that it waits for here can cause")


async def _block(future: Future[T]) -> T:
    return future.result()
