"""Logs keep quiet: what the tests' clients have sent and got is searched for in what the service has logged."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

_WORD = re.compile(r"[A-Za-z0-9+/=_.#-]{12,}")
_SPOKEN = {"request_id", "ts", "hint", "code", "message", "origin", "actor"}
"""Fields of answers or logs that the other may have too (an actor is the id of a token), or ron-kms's own words."""
_LONGEST = 500_000

_heard: set[str] = set()


def hear(value: Any) -> None:
    """Remember what must not be in a log: tokens, kids, digests, payloads, all that is long enough to be known."""
    if len(_heard) < _LONGEST:
        _heard.update(text for text in _texts(value) if len(text) >= 12)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield from _WORD.findall(value)
        case bytes():
            yield base64.b64encode(value).decode()
            yield value.hex()
        case dict():
            for name, inner in value.items():
                if name not in _SPOKEN:
                    yield from _texts(inner)
        case list() | tuple():
            for inner in value:
                yield from _texts(inner)


def told(log: str, *, names: set[str]) -> set[str]:
    """What of all that is in the log, in whole words.

    :param names: tenants and the like, which may be.
    """
    words: set[str] = set()
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # the banner
            continue
        words.update(_WORD.findall(json.dumps([entry.get(field) for field in entry if field not in _SPOKEN])))
    return (words & _heard) - names
