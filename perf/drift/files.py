"""The files that are compared, and which belong together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from perf.record import OTHERS, Record, load, record_files

JUDGE_THEMSELVES = frozenset({"chaos"})
"""Suites that are not compared: a drill does harm, and says itself what must hold."""


class CannotJudge(Exception):
    """There is nothing to compare, or not in a way that says anything; the message says why."""


class Pair(NamedTuple):
    """A result and what it is compared with.

    :ivar baselines: of the same subject and kind of machine; none: only what has a limit of its own is judged.
    :ivar in_turns: their rounds were taken in turns, so that there is one.
    """

    result: Record
    baselines: tuple[Record, ...]
    in_turns: bool


class Files(NamedTuple):
    """
    :ivar older: results that a newer one of the same subject stands for.
    :ivar unused: baselines that no result is compared with.
    """

    pairs: list[Pair]
    older: list[Record]
    unused: list[Record]


def read(paths: Sequence[Path]) -> list[Record]:
    """All records but those of drills; a folder stands for the files in it.

    :raises CannotJudge: one cannot be read, or is none.
    """
    found = [_read(path) for path in _files(paths)]
    return [record for record in found if record.suite not in JUDGE_THEMSELVES]


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            yield from record_files(path)
        elif not path.name.endswith(OTHERS):
            yield path


def _read(path: Path) -> Record:
    try:
        record = load(path)
    except OSError as error:
        raise CannotJudge(f"{path}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise CannotJudge(f"{path} is no record of a run: {error}") from None
    if any(not measure.rounds for measure in record.measures):
        raise CannotJudge(f"{path} has a measure without a value")
    return record


def pair(records: Sequence[Record]) -> Files:
    """Baselines and results, told apart by their role and put together by their subject.

    :raises CannotJudge: no result has a baseline.
    """
    baselines = [record for record in records if record.role == "baseline"]
    newest: dict[tuple[object, ...], Record] = {}
    results = sorted((record for record in records if record.role == "result"), key=lambda record: record.at)
    for result in results:
        newest[_key(result)] = result
    pairs = [_pair(result, baselines) for result in newest.values()]
    if not any(one.baselines for one in pairs):
        raise CannotJudge(_nothing(baselines, results))
    used = {id(baseline) for one in pairs for baseline in one.baselines}
    return Files(
        pairs,
        [result for result in results if newest[_key(result)] is not result],
        [baseline for baseline in baselines if id(baseline) not in used],
    )


def _key(record: Record) -> tuple[object, ...]:
    return record.subject, record.host.name


def _pair(result: Record, baselines: Sequence[Record]) -> Pair:
    same = [baseline for baseline in baselines if _key(baseline) == _key(result)]
    beside = [baseline for baseline in same if baseline.run == result.run]
    return Pair(result, tuple(beside or same), bool(beside))


def _nothing(baselines: Sequence[Record], results: Sequence[Record]) -> str:
    if not results:
        return "there is no result among the files"
    if not baselines:
        return "there is no baseline among the files (a record's role says which it is)"
    machines = {baseline.host.name for baseline in baselines}
    if machines.isdisjoint(result.host.name for result in results):
        return f"the baselines are of other machines ({', '.join(sorted(machines))}) than {results[0].host.name}"
    return "no baseline has the suite, name and setting of a result, which must all be equal"
