"""The records that a page is made of: those that were named, or those that lie in the folder of results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from perf.record import Record, load, record_files


class Found(NamedTuple):
    """
    :ivar records: oldest first.
    :ivar refused: files that are none, with why.
    """

    records: list[Record]
    refused: list[tuple[Path, str]]


def collect(paths: Iterable[Path]) -> Found:
    """Read files, and the records of folders.

    :raises OSError: one cannot be read.
    """
    records, refused = [], []
    for path in _files(paths):
        try:
            records.append(load(path))
        except msgspec.MsgspecError as error:
            refused.append((path, str(error)))
    records.sort(key=lambda record: record.at)
    return Found(records, refused)


def _files(paths: Iterable[Path]) -> list[Path]:
    return [file for path in paths for file in (record_files(path) if path.is_dir() else [path]) if file.exists()]


def newest(records: Sequence[Record]) -> list[Record]:
    """The last result of each subject; baselines are for the gate."""
    last: dict[object, Record] = {}
    for record in records:
        if record.role == "result":
            last.pop(record.subject, None)
            last[record.subject] = record
    return list(last.values())
