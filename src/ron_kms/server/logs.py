"""Logs: one JSON object a line on stderr.

What never gets in: payloads, tokens, kids in the clear, and the messages of unexpected exceptions, which may quote any
of them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import structlog

from ron_kms.server.stderr import Lines
from ron_kms.trace import trace


class _Others(logging.Handler):
    """What libraries log by themselves: where it comes from, without its text, which may quote anything."""

    def emit(self, record: logging.LogRecord) -> None:
        where = f"{record.pathname}:{record.lineno} {record.funcName}"
        kind = record.exc_info[0].__qualname__ if record.exc_info and record.exc_info[0] else None
        structlog.get_logger(record.name).warning("a library warns", where=where, exception=kind)


def loop_failure(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The exception handler of an event loop."""
    structlog.get_logger("ron_kms.loop").error("a callback failed", trace=trace(context.get("exception")))


_LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_level = logging.INFO


def set_level(level: str) -> None:
    """Write lines from this level up, from now on."""
    global _level  # noqa: PLW0603 - a process has one log
    _level = _LEVELS[level]
    logging.getLogger("ron_kms").setLevel(_level)


def _from_level_up(_logger: Any, method: str, event: Any) -> Any:
    # structlog's own filter is fixed in every logger that was used once.
    if _LEVELS[method] < _level:
        raise structlog.DropEvent
    return event


def configure(level: str, **fields: Any) -> None:
    """Send this process's log to stderr, from ``level`` up; ``fields`` stand in every line."""
    logging.basicConfig(level=logging.WARNING, handlers=[_Others()], force=True)
    structlog.reset_defaults()
    structlog.configure(
        processors=[
            _from_level_up,
            structlog.contextvars.merge_contextvars,
            _name_logger,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.EventRenamer("msg"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=_Factory(fields),
        cache_logger_on_first_use=True,
    )
    below = logging.getLogger("ron_kms")
    below.handlers = [_Below()]
    below.propagate = False
    set_level(level)


class _Below(logging.Handler):
    """What our own floors below log through the standard library, as lines of the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(record.levelno, record.getMessage())


def _tell_lost(lines: int) -> None:
    structlog.get_logger("ron_kms.log").warning("lines of the log were lost", lines=lines)


_lines = Lines(_tell_lost)


class _Stderr:
    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def write(self, line: str) -> None:
        _lines.write(line)

    debug = info = warning = error = critical = msg = write


class _Factory:
    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def __call__(self, *args: Any) -> _Stderr:
        return _Stderr({**self._fields, **({"logger": args[0]} if args else {})})


def _name_logger(logger: Any, _method: str, event: Any) -> Any:
    event.update(logger.fields)
    return event
