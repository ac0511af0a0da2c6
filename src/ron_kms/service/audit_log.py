"""audit: the logs of this node, given out as C2SP tlog-tiles says, for anyone who is to check them.

Any worker serves any log's files: they are replaced whole and need no lock. A name is taken apart and put together
anew, so that no path leads out of a log's folder.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from ron_kms.audit.keys import keys_of
from ron_kms.audit.memory import MemoryTrail
from ron_kms.audit.note import MAX_NOTE
from ron_kms.audit.registry import Trail
from ron_kms.audit.source import CHECKPOINT, KEYS, MINIMUM, Folder
from ron_kms.audit.tiles import MAX_BUNDLE, parse
from ron_kms.errors import Malformed, NoCapability, NotFound
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, File, Operation
from ron_kms.service.schema import Answer, Request
from ron_kms.store.audit import AuditLog, load_head, load_logs
from ron_kms.store.database import Connection

_READ_MICROS = 300.0
"""More than what is done on the event loop."""

Segment = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._-]{0,62}$")]


class ListLogsRequest(Request):
    """All of them."""


class LogFileRequest(Request):
    """A log by the three parts of its origin, and what is wanted of it."""

    deployment: Segment
    node: Segment
    log: Segment
    part: Annotated[
        str,
        Meta(
            max_length=64,
            description="`checkpoint`, `keys`, `minimum`, `tile/<level>/<index>[.p/<width>]` or"
            " `tile/entries/<index>[.p/<width>]`.",
        ),
    ]


class LogFields(Answer):
    """One log. ``keys`` are its verifier keys; ``size`` is how many records it has, as the store knew within a second.

    ``state`` is ``open``, ``damaged`` where its check has failed, or ``closed`` where another has taken its place.
    """

    origin: str
    slot: str
    size: int
    keys: list[str]
    state: Literal["open", "damaged", "closed"]


class ListLogsAnswer(Answer):
    """The logs that this node writes and has written, by their origins."""

    logs: list[LogFields]


class _Kind(NamedTuple):
    media: str
    kept: bool
    limit: int


_TEXT = "text/plain; charset=utf-8"
_NOTE = _Kind(_TEXT, False, MAX_NOTE)
_TILE = _Kind("application/octet-stream", True, MAX_BUNDLE)
_FILES = {CHECKPOINT: _NOTE, KEYS: _Kind(_TEXT, True, MAX_NOTE), MINIMUM: _NOTE}


async def list_logs(kms: Kms, context: Context, _: ListLogsRequest) -> ListLogsAnswer:
    """:raises NoCapability: the caller's token is confined to a tenant or prefix."""
    _require_all(context)
    trail = kms.audit
    if isinstance(trail, MemoryTrail):
        return ListLogsAnswer(logs=[])
    node = trail.node.name

    def read(connection: Connection) -> list[LogFields]:
        logs = [log for log in load_logs(connection, kms.rows) if log.node == node]
        return [_fields(log, load_head(connection, kms.rows, log.origin)[0]) for log in logs]

    return ListLogsAnswer(logs=await kms.wait(kms.database.read(read)))


async def get_log_file(kms: Kms, context: Context, request: LogFileRequest) -> File:
    """:raises NoCapability: the caller's token is confined to a tenant or prefix.
    :raises NotFound: there is no such log, or no such part of it.
    """
    _require_all(context)
    trail, kind = kms.audit, _kind(request.part)
    if kind is None or isinstance(trail, MemoryTrail) or not _is_here(trail, request):
        raise _nothing()
    folder = Folder(trail.node.folder / request.log)
    content = await kms.queue.run("", _READ_MICROS, lambda: folder.read(request.part, kind.limit))
    if content is None:
        raise _nothing()
    return File(content=content, media=kind.media, kept=kind.kept)


def _kind(part: str) -> _Kind | None:
    if part in _FILES:
        return _FILES[part]
    try:
        parse(part)
    except Malformed:
        return None
    return _TILE


def _is_here(trail: Trail, request: LogFileRequest) -> bool:
    own = trail.log.origin.split("/")[:2]
    return own == [request.deployment, request.node]


def _require_all(context: Context) -> None:
    caller = context.caller
    if caller.tenant is not None or caller.prefixes:
        raise NoCapability("the audit log is for tokens that are confined to no tenant: it tells of all of them")


def _fields(log: AuditLog, size: int) -> LogFields:
    state: Literal["open", "damaged", "closed"] = "closed" if log.closed else "damaged" if log.damage else "open"
    return LogFields(origin=log.origin, slot=log.slot, size=size, keys=[key.text for key in keys_of(log)], state=state)


def _nothing() -> NotFound:
    return NotFound("there is no such log, or no such part of it")


OPERATIONS = (
    Operation(
        name="list-audit-logs",
        method="GET",
        path="/v1/kms/audit",
        scope="kms:audit",
        request=ListLogsRequest,
        response=ListLogsAnswer,
        act=list_logs,
        help="The audit logs of this node, with their verifier keys. The token must be confined to no tenant.",
    ),
    Operation(
        name="get-audit-log",
        method="GET",
        path="/v1/kms/audit/{deployment}/{node}/{log}/{part}",
        scope="kms:audit",
        request=LogFileRequest,
        response=File,
        act=get_log_file,
        help="A checkpoint, tile or bundle of records, as it is on the disk: C2SP tlog-tiles. The token must be"
        " confined to no tenant.",
    ),
)
