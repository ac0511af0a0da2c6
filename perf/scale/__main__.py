"""``python -m perf.scale keys|tenants|batch|workers|all``: measure, print, keep the records."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from perf.micro.targets import Verdict
from perf.record import RESULTS, Record, Role, Value, begin, file_name, save
from perf.scale import keys, stores, table

Measured = tuple[Record, Sequence[Verdict]]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """What an operation costs as numbers grow."""


def _common(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option("--full", is_flag=True, help="The sizes that the targets are for, and more rounds."),
            click.option("--rounds", type=click.IntRange(1), help="Six or more prove something."),
            click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the records."),
            click.option("--role", type=click.Choice(["result", "baseline"]), default="result"),
        )
    ):
        command = option(command)
    return command


@main.command("keys")
@_common
@click.option("--sizes", help="Numbers of keys, the least first, such as 10,1000,100000.")
@click.option(
    "--stores", "cache", type=click.Path(path_type=Path), default=stores.CACHE, help="Where filled stores are."
)
@click.option("--memory/--no-memory", default=True, help="Start services over the stores, too.")
def of_keys(
    full: bool, rounds: int | None, results: Path, role: Role, sizes: str | None, cache: Path, memory: bool
) -> None:
    """Cost by number of keys: create, cold and hot sign, rotate, open; memory of an idle service."""
    chosen = _numbers(sizes) if sizes else keys.FULL if full else keys.SHORT
    if len(chosen) < 2 or list(chosen) != sorted(chosen) or chosen[0] < keys.SAMPLES:
        raise click.BadParameter(
            f"two numbers at least, the least first, of {keys.SAMPLES} or more", param_hint="sizes"
        )
    lengths = rounds or (40 if full else 12)
    setting: dict[str, Value] = {"suite": stores.SUITE, "audit": "durable", "tenants": keys.TENANTS}
    _keep(
        "keys",
        role,
        setting,
        results,
        lambda begun: keys.measure(begun, chosen, lengths, cache, keys.SERVERS if memory else ()),
    )


def _keep(
    name: str, role: Role, setting: dict[str, Value], results: Path, measure: Callable[[Record], Measured]
) -> None:
    """Measure, print what was measured, and write the record."""
    began = time.monotonic()
    record, verdicts = measure(begin("scale", name, role, setting))
    detail: dict[str, Any] = record.detail or {}
    record = replace(record, seconds=round(time.monotonic() - began, 1), detail={**detail, "verdicts": list(verdicts)})
    click.echo("\n".join([table.heading(record), *table.lines(record.measures), *table.judged(verdicts)]))
    path = results / file_name(record)
    save(record, path)
    click.echo(f"written: {path}", err=True)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter("numbers with commas between", param_hint="sizes") from None


if __name__ == "__main__":
    main()
