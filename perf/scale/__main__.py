"""``python -m perf.scale keys|tenants|batch|workers|all``: measure, print, keep the records."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from perf.load.commands.options import SERVERS
from perf.micro.targets import Verdict
from perf.record import RESULTS, Record, Role, Value, begin, file_name, save
from perf.scale import batch, keys, model, pages, plan, stores, table, tenants, workers

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


_server = click.option("--server", type=click.Choice(SERVERS), default="granian", show_default=True)
_seconds = click.option("--seconds", type=float, help="Of each lap.")


@main.command("batch")
@_common
@_server
@_seconds
@click.option("--sizes", help="Items in a batch, such as 1,16,256.")
@click.option("--suites", help="Only these, such as ed25519,x25519.")
def of_batches(
    full: bool,
    rounds: int | None,
    results: Path,
    role: Role,
    server: str,
    seconds: float | None,
    sizes: str | None = None,
    suites: str | None = None,
) -> None:
    """Cost by items in a batch: sign, verify and wrap over HTTP, in process, and in the core."""
    chosen = _numbers(sizes) if sizes else batch.FULL if full else batch.SHORT
    took, count = seconds or (0.5 if full else 0.4), rounds or (5 if full else 2)
    cells = [cell for cell in batch.CELLS if suites is None or cell[1] in suites.split(",")]
    _keep(
        "batch",
        role,
        _setting(server),
        results,
        lambda begun: (batch.measure(begun, cells, chosen, count, took, server, _tell), ()),
    )


@main.command("tenants")
@_common
@_server
@_seconds
@click.option("--numbers", help="Tenants, the least first, such as 1,100,10000.")
@click.option("--stores", "cache", type=click.Path(path_type=Path), default=stores.CACHE, help="Filled stores.")
def of_tenants(
    full: bool,
    rounds: int | None,
    results: Path,
    role: Role,
    server: str,
    seconds: float | None,
    numbers: str | None,
    cache: Path,
) -> None:
    """Cost and memory by number of tenants, each with a token and a key of its own."""
    chosen = _numbers(numbers) if numbers else tenants.FULL if full else tenants.SHORT
    took, count = seconds or (1.0 if full else 0.4), rounds or (8 if full else 2)
    setting = _setting(server)
    _keep(
        "tenants",
        role,
        setting,
        results,
        lambda begun: tenants.measure(begun, chosen, count, took, server, cache, _tell),
    )


@main.command("workers")
@_common
@_server
@_seconds
def of_workers(full: bool, rounds: int | None, results: Path, role: Role, server: str, seconds: float | None) -> None:
    """Cost with one worker and with two, on the two cores of a machine, clients included."""
    took, count = seconds or (1.5 if full else 0.4), rounds or (8 if full else 2)
    setting = {**_setting(server), "workers": "1 and 2"}
    _keep("workers", role, setting, results, lambda begun: workers.measure(begun, count, took, server, _tell))


@main.command("all")
@_common
@click.option("--server", "chosen", multiple=True, type=click.Choice(SERVERS), help="[default: both]")
@click.pass_context
def everything(
    context: click.Context, full: bool, rounds: int | None, results: Path, role: Role, chosen: tuple[str, ...]
) -> None:
    """All of these, then the models."""
    common = {"full": full, "rounds": rounds, "results": results, "role": role}
    context.invoke(of_keys, **common)
    for server in chosen or SERVERS:
        for command in (of_batches, of_tenants, of_workers):
            context.invoke(command, **common, server=server)
        context.invoke(fit, server=server, results=results, role=role)


@main.command("fit")
@_server
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the records.")
@click.option("--role", type=click.Choice(["result", "baseline"]), default="result")
def fit(server: str, results: Path, role: Role) -> None:
    """Fit the model to the newest records, and keep it as another."""
    try:
        found = model.newest(model.NAMES, server, results)
    except LookupError as error:
        raise click.ClickException(str(error)) from None
    fitted = model.fit(server, found)
    record = replace(begin("scale", "model", role, _setting(server)), detail=fitted)
    path = results / file_name(record)
    save(record, path)
    click.echo("\n".join(plan.fitted([fitted])))
    click.echo(f"written: {path}", err=True)


@main.command("plan")
@click.option("--ops", type=float, default=100_000, show_default=True, help="Operations a second.")
@click.option("--operation", type=click.Choice(["steady", "sign", "verify", "wrap"]), default="steady")
@click.option("--suite", default="ed25519", show_default=True, help="Of the keys, such as ed25519+ml-dsa-65.")
@click.option("--batch", "items", type=click.IntRange(1, 1024), default=1, show_default=True, help="Items a request.")
@click.option("--cores", type=click.IntRange(1), default=plan.CORES, show_default=True, help="Of a node.")
@click.option("--busy", type=click.FloatRange(0.01, 1), default=plan.BUSY, show_default=True, help="Part of a core.")
@click.option("--tenants", "active", type=int, default=plan.TENANTS, show_default=True, help="Active ones of a node.")
@click.option("--server", "chosen", type=click.Choice(SERVERS), default="granian", show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the records.")
@click.option("--page", type=click.Path(path_type=Path, exists=True), help="Write the tables of both servers into it.")
def of_fleet(results: Path, chosen: str, page: Path | None, **asked: Any) -> None:
    """What a fleet needs, from the newest model: of this machine, or else of the baselines."""
    if page is not None:
        page.write_text(pages.filled(page.read_text(), [pages.newest_model(server, results) for server in SERVERS]))
        return
    try:
        found = pages.newest_model(chosen, results)
        wanted = plan.Asked(tenants=asked.pop("active"), **asked)
        click.echo("\n".join(plan.describe(found.model, wanted)))
        click.echo(f"model     {found.name}: {found.told}")
    except LookupError as error:
        raise click.ClickException(str(error)) from None


def _setting(server: str) -> dict[str, Value]:
    return {"server": server, "audit": "durable", "workers": 1}


def _tell(text: str) -> None:
    click.echo(text, err=True)


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
