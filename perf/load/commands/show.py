"""``python -m perf.load show``: records as one table in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import msgspec

from perf import record
from perf.load.figures import median
from perf.load.verdicts import verdicts

HEAD = ("mix", "server", "audit", "suite", "of", "a second", "p50 ms", "p95", "p99", "cpu µs", "by floor", "shed")


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True))
def show(paths: tuple[Path, ...]) -> None:
    """Load records, files or folders of them, as a table in Markdown: medians of the rounds, a line an operation; and
    what of the mixes does not hold what is asked of them. By default those in perf/results.
    """
    read = filter(None, map(_read, _files(paths or (record.RESULTS,))))
    made = [one for one in read if one.suite == "load"]
    made = sorted((one for one in made if one.name != "trivial"), key=lambda one: (one.name, str(one.setting)))
    click.echo("\n".join(table(made)))
    missed = [(one, verdict) for one in made if "suite" in one.setting for verdict in verdicts(one) if not verdict.met]
    for one, verdict in missed:
        click.echo(f"{one.name}, {one.setting['server']}, {one.setting['audit']}, {one.setting['suite']}: {verdict}")


def table(made: Sequence[record.Record]) -> Iterator[str]:
    """Lines of Markdown."""
    yield _line(HEAD)
    yield _line("---" for _ in HEAD)
    for one in made:
        cpu, floor, shed = (median(one, kind) for kind in ("cpu", "floor", "shed"))
        for of in (measure.of for measure in one.measures if measure.kind == "rate" and measure.of):
            latencies = (f"{median(one, kind, of):.2f}" for kind in ("p50", "p95", "p99"))
            setting = (str(one.setting.get(name, "")) for name in ("server", "audit", "suite"))
            whole = (f"{cpu:.1f}", f"{cpu / floor:.2f}", f"{shed:.2%}")
            yield _line([one.name, *setting, of, f"{median(one, 'rate', of):,.0f}", *latencies, *whole])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _read(path: Path) -> record.Record | None:
    """None, and a word about it, where it is no record."""
    try:
        return record.load(path)
    except msgspec.MsgspecError as error:
        click.echo(f"left out: {path}: {error}", err=True)
        return None


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.glob("*.json")) if path.is_dir() else [path]
