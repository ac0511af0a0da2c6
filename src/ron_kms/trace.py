"""What a log may say of an exception."""

from __future__ import annotations

import sys
import traceback

_MOST = 100
"""Lines, from which on no further exception is told."""


def trace(error: BaseException | None = None) -> list[str]:
    """The type of an exception and of those behind it, outermost first, with their places in the code.

    Their messages are left out, for they may quote input.

    :param error: by default the one that is handled now.
    """
    lines: list[str] = []
    seen: set[int] = set()
    current = error or sys.exc_info()[1]
    while current is not None and id(current) not in seen and len(lines) < _MOST:
        seen.add(id(current))
        lines.append(f"{type(current).__module__}.{type(current).__qualname__}")
        lines += [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(current.__traceback__)]
        if isinstance(current, BaseExceptionGroup):
            lines += trace(current.exceptions[0])
        current = current.__cause__ or current.__context__
    return lines
