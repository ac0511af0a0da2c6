"""Options that commands share, and what follows from them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from perf import record
from perf.load import profiles, transports
from perf.load.service import Place

SERVERS = ("hypercorn", "granian")


class Setup(NamedTuple):
    """How the service is started.

    :ivar place: for :func:`perf.load.service.serving`, as ``settings`` are.
    :ivar setting: what a record says of them.
    """

    cores: list[int]
    place: Place
    settings: dict[str, str]
    setting: dict[str, record.Value]


def service_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say which service is started."""
    server = click.option("--server", type=click.Choice(SERVERS), default="hypercorn", show_default=True)
    return server(both_options(command))


def both_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same where it is started on both servers."""
    for option in (
        click.option(
            "--audit",
            type=click.Choice(["durable", "written"]),
            default="durable",
            show_default=True,
            help="KMS_AUDIT_PRIVATE: when an operation with a key is answered.",
        ),
        click.option("--workers", default=1, show_default=True, help="Workers, each on a core of its own."),
        click.option("--set", "extra", multiple=True, metavar="NAME=VALUE", help="A KMS_* setting: max_wait_ms=0."),
        click.option("--transport", default="http2", show_default=True, help="What requests travel by."),
        click.option("--profile", default="file", show_default=True, help="Where keys are kept."),
    ):
        command = option(command)
    return command


def record_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say what becomes of the figures."""
    for option in (
        click.option("--role", type=click.Choice(["result", "baseline"]), default="result", show_default=True),
        click.option(
            "--json", "out", type=click.Path(path_type=Path), help="The record's file; else one in perf/results."
        ),
    ):
        command = option(command)
    return command


def records_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same where a run leaves several records."""
    for option in (
        click.option("--role", type=click.Choice(["result", "baseline"]), default="result", show_default=True),
        click.option(
            "--results",
            type=click.Path(path_type=Path),
            default=record.RESULTS,
            help="Folder for the records; by default perf/results.",
        ),
    ):
        command = option(command)
    return command


def turn_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options for loads that are measured in turns, each at a share of what it reaches."""
    for option in (
        click.option("--duration", default=5.0, show_default=True, help="Seconds that each is measured."),
        click.option("--rounds", default=10, show_default=True, help="Into how many these are cut."),
        click.option("--share", default=0.7, show_default=True, help="Of what a closed loop reaches."),
        click.option("--connections", "-c", default=8, show_default=True, help="Of the closed loop, and of the open."),
        click.option("--depth", "-m", default=8, show_default=True, help="Requests under way on each in the closed."),
        click.option("--calibration", default=1.0, show_default=True, help="Seconds of each closed loop."),
    ):
        command = option(command)
    return command


def setup(
    *, audit: str, workers: int, extra: tuple[str, ...], transport: str, profile: str, server: str | None = None
) -> Setup:
    """How the service is started, on a server that is not said here where there is none.

    Also binds this process, the generator, to the cores that are left.

    Ends the program with status 2 where a transport or profile is asked for that has not come.
    """
    try:
        transports.find(transport)
        profiles.settings(profile)
    except LookupError as error:
        click.echo(str(error), err=True)
        raise SystemExit(2) from None
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(cores[workers:]) or {cores[-1]})
    given = dict(text.split("=", 1) for text in extra)
    named = {} if server is None else {"server": server}
    settings = {**named, "audit_private": audit, **given}
    setting: dict[str, record.Value] = {
        **named,
        "audit": audit,
        "transport": transport,
        "profile": profile,
        "workers": workers,
        **given,
    }
    return Setup(cores[:workers], Place(transport=transport, profile=profile), settings, setting)


def keep(made: record.Record, out: Path | None) -> None:
    """Write a record, and say where."""
    path = out or record.RESULTS / record.file_name(made)
    record.save(made, path)
    click.echo(f"written: {os.path.relpath(path)}", err=True)


def keep_all(made: Sequence[record.Record], folder: Path) -> None:
    """Write records, and say where."""
    for one in made:
        record.save(one, folder / record.file_name(one))
    click.echo(f"written: {len(made)} records in {os.path.relpath(folder)}", err=True)


def command_line() -> str:
    """How this was asked for."""
    return shlex.join(["python", "-m", "perf.load", *sys.argv[1:]])
