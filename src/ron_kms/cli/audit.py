"""``ron-kms audit``: read the audit logs, check them, prove what is in them; of a log its public parts are enough."""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from ron_kms.audit.archive import archive
from ron_kms.audit.checkpoint import Checkpoint, verify_all
from ron_kms.audit.follow import Follower
from ron_kms.audit.note import format_keys
from ron_kms.audit.reading import Entry, Wanted, read_records
from ron_kms.audit.result import Finding
from ron_kms.audit.source import Folder, Source
from ron_kms.audit.tail import read_tail
from ron_kms.audit.tree import TILE_WIDTH
from ron_kms.audit.verify import check_log
from ron_kms.cli.audit_gap import accept_gap
from ron_kms.cli.audit_place import WRONG, Place, checkpoint_of, keys_of, load_keys, only, places, read_given, with_logs
from ron_kms.cli.audit_proofs import check_proof, prove
from ron_kms.cli.audit_text import HEADING, as_json, describe, line, result_json, row
from ron_kms.errors import Malformed

F = TypeVar("F", bound=Callable[..., Any])

_file = click.Path(path_type=Path, exists=True, dir_okay=False)


class _Moment(click.ParamType[int]):
    """A time as microseconds since 1970; one without a zone is this machine's."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(datetime.fromisoformat(str(value)).astimezone().timestamp() * 1_000_000)
        except (ValueError, OverflowError):
            self.fail("a time is written as 2026-11-23, 2026-11-23T20:00 or 2026-11-23T20:00:00Z", param, ctx)


def _filters(command: F) -> F:
    for option in (
        click.option("--json", "json_lines", is_flag=True, help="One JSON object a line."),
        click.option("--until", type=_Moment(), metavar="TIME", help="Only before this time."),
        click.option("--since", type=_Moment(), metavar="TIME", help="Only from this time on."),
        click.option("--actor", help="Only what was done with this token, by its id."),
        click.option("--request-id", help="Only what this request did."),
        click.option("--result", help="Only this result: ok, or the code of an error."),
        click.option("--operation", help="Only this operation, such as sign."),
        click.option("--tenant", help="Only this tenant."),
        click.option("--kid", help="Only this key, with #v<N> only that version."),
    ):
        command = option(command)
    return command


@click.group()
def audit() -> None:
    """Read the audit logs, check them, prove what is in them.

    FOLDER is a log, a folder of logs, or a data folder; by default the data folder of this machine. With --url it is
    the logs of a running service.
    """


@audit.command()
@with_logs
@click.option(
    "--expect-checkpoint",
    "expected",
    multiple=True,
    type=_file,
    help="A checkpoint that was kept: its log must go on from it. May be given more than once.",
)
@click.option("--complete", is_flag=True, help="Records that were moved away and are not in --tiles are wrong, too.")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a log.")
def verify(expected: tuple[Path, ...], complete: bool, json_lines: bool, **options: Any) -> None:
    """Check whole logs: every record, tile and signature.

    The exit code is 0 where all is as it was written, 3 where something is wrong, 1 where it could not be checked.
    """
    with places(**options) as logs:
        kept = _expected(expected, logs)
        lost = _lost(logs, options["keys_file"], options["origin"])
        whole = not lost
        for origin in lost:
            click.echo(f"{origin}: WRONG: you gave its keys, and it is not here", err=json_lines)
        for log in logs:
            begun = time.perf_counter()
            result = check_log(
                log.source,
                log.keys,
                expected=kept.pop(log.source.name, ()),
                minimum=0 if complete else log.minimum,
                progress=_progress(log.source.name),
            )
            _place_fits(log, result.verified and result.verified.checkpoint, result.add)
            seconds = time.perf_counter() - begun
            whole &= result.whole
            if json_lines:
                click.echo(result_json(log.source.name, result, log.given, seconds))
            else:
                click.echo("\n".join(describe(log.source.name, result, log.given, seconds)))
    if not whole:
        raise click.exceptions.Exit(WRONG)


@audit.command()
@with_logs
@_filters
@click.option("--index", type=click.IntRange(0), help="Only this record, and those behind it up to --last.")
@click.option("--last", type=click.IntRange(0), help="The last record, by its index.")
def show(json_lines: bool, index: int | None, last: int | None, **options: Any) -> None:
    """Show records, those of several logs in the order of their times. No proof is checked: verify does that.

    Of a folder also those are shown that wait for the next checkpoint.
    """
    wanted = _wanted(options)
    first, end = index or 0, last if last is not None else index
    told = False
    with places(**options) as logs:
        streams = [_stream(log, wanted, first, end) for log in logs]
        if not json_lines and sys.stdout.isatty():
            click.echo(line(HEADING))
        for _, origin, entry in heapq.merge(*streams, key=lambda found: found[0]):
            if isinstance(entry, Malformed):
                told = True
                click.echo(f"{origin}: {entry.message}", err=True)
            else:
                click.echo(as_json(origin, entry) if json_lines else row(origin.rpartition("/")[2], entry))
    if told:
        raise click.exceptions.Exit(1)


@audit.command()
@with_logs
@_filters
@click.option("--interval", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between looks.")
@click.option("--count", type=click.IntRange(1), help="End after so many records.")
def follow(json_lines: bool, interval: float, count: int | None, **options: Any) -> None:
    """Show records as they come, each proven to be in the next checkpoint, and that to go on from the one before."""
    wanted = _wanted(options)
    with places(**options) as logs:
        followers = [(log, Follower(log.source, keys_of(log))) for log in logs]
        while True:
            fresh = 0
            for log, follower in followers:
                entries = _step(log, follower)
                fresh += len(entries)
                for entry in entries:
                    if wanted.has(entry.record):
                        origin = follower.checkpoint.origin
                        click.echo(as_json(origin, entry) if json_lines else row(origin.rpartition("/")[2], entry))
                        count = count and count - 1
                        if count == 0:
                            return
            if not fresh:
                time.sleep(interval)


@audit.command()
@with_logs
def keys(**options: Any) -> None:
    """Print the logs' verifier keys. Keep them, and one checkpoint, where the service's owner cannot change them."""
    with places(**options) as logs:
        for log in logs:
            click.echo(format_keys(keys_of(log)), nl=False)


@audit.command()
@with_logs
def checkpoint(**options: Any) -> None:
    """Print a log's newest checkpoint, after its signatures were checked."""
    with places(**options) as logs:
        click.echo(checkpoint_of(only(logs))[0], nl=False)


@audit.command("archive")
@with_logs
@click.option("--before", type=click.IntRange(0), required=True, help="Move full bundles of records before this index.")
@click.option(
    "--to", "target", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where to, a folder a log."
)
def move_old(before: int, target: Path, **options: Any) -> None:
    """Move old records of a log to another place, after they were checked; the service may run.

    Their hashes' hashes stay, so that verify still proves the log. Give --tiles with that place to check all of it.
    """
    with places(**options) as logs:
        log = only(logs)
        if not isinstance(log.source, Folder):
            raise click.UsageError("the log must be a folder")
        moved = archive(log.source.path, checkpoint_of(log)[1], before, target / log.source.path.name)
    click.echo(f"moved {moved:,} bundles of {TILE_WIDTH} records to {target / log.source.path.name}")


audit.add_command(accept_gap)
audit.add_command(prove)
audit.add_command(check_proof)


def _wanted(options: dict[str, Any]) -> Wanted:
    return Wanted(**{name: options.pop(name) for name in Wanted._fields})


def _stream(log: Place, wanted: Wanted, first: int, end: int | None) -> Iterator[tuple[int, str, Entry | Malformed]]:
    _, newest = checkpoint_of(log)
    behind = sys.maxsize if end is None else end + 1
    at = 0
    for entry in _entries(log.source, first, behind, newest.size):
        if isinstance(entry, Malformed):
            yield at, newest.origin, entry
        elif wanted.has(entry.record):
            at = entry.record.time
            yield at, newest.origin, entry


def _entries(source: Source, first: int, behind: int, size: int) -> Iterator[Entry | Malformed]:
    yield from read_records(source, first, behind, size)
    if isinstance(source, Folder) and behind > size:
        try:
            yield from (entry for entry in read_tail(source, size) if first <= entry.number < behind)
        except Malformed as error:
            yield error


def _step(log: Place, follower: Follower) -> list[Entry]:
    try:
        return follower.step()
    except Malformed as error:
        click.echo(f"{log.source.name}: WRONG: {error.message}", err=True)
        raise click.exceptions.Exit(WRONG) from None


def _expected(files: tuple[Path, ...], logs: list[Place]) -> dict[str, list[Checkpoint]]:
    """Kept checkpoints by the log that they are of; each must be of one.

    :raises Malformed: one is of none of the logs, or its signatures do not hold.
    """
    found: dict[str, list[Checkpoint]] = {}
    for file in files:
        note = read_given(file)
        claimed = note.partition(b"\n")[0].decode("utf-8", "replace")
        log = next((log for log in logs if any(key.name == claimed for key in log.keys)), None)
        if log is None:
            raise Malformed(f"the checkpoint in {file} is of none of these logs")
        found.setdefault(log.source.name, []).append(verify_all(note, log.keys).checkpoint)
    return found


def _lost(logs: list[Place], keys_file: Path | None, origin: str | None) -> list[str]:
    """The logs whose keys were given and that are not there, where all are looked for."""
    if keys_file is None or origin is not None or any(log.slot is None for log in logs):
        return []
    return sorted({key.name for key in load_keys(keys_file)} - {key.name for log in logs for key in log.keys})


def _place_fits(log: Place, found: Checkpoint | None, add: Callable[[Finding], None]) -> None:
    """Logs that have changed places are whole, each for itself."""
    if found is not None and log.slot is not None and log.slot not in (found.origin, found.origin.rpartition("/")[2]):
        add(Finding(f"the log at the place of {log.slot} is {found.origin}", "checkpoint"))


def _progress(name: str) -> Callable[[int, int], None]:
    """Tells once a second how far it is, where somebody looks."""
    if not sys.stderr.isatty():
        return lambda _done, _size: None
    begun = last = time.monotonic()

    def tell(done: int, size: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 1 or (done == size and last > begun):
            last = now
            end = "\n" if done == size else "\r"
            click.echo(
                f"{name}: {done:,} of {size:,} records, {done / (now - begun):,.0f} a second{end}", nl=False, err=True
            )

    return tell
