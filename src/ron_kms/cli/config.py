"""``ron-kms config``: what the settings are, and what one of them means."""

from __future__ import annotations

import difflib
import json
import os
import re
import textwrap
from pathlib import Path
from typing import Any

import click

from ron_kms.cli.options import add_all_settings
from ron_kms.config import DEFINITIONS, Definition, Section, load, tell
from ron_kms.errors import NotFound

_NOTE = "A service that runs keeps what it was started with, and took at its last reload."


@click.group()
def config() -> None:
    """See the settings, and what one of them means."""


@config.command(
    epilog="It takes the options of `ron-kms serve`, so that it tells what such a start would be given. " + _NOTE
)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def show(as_json: bool, **flags: Any) -> None:
    """Tell the value of every setting, and whether a flag, the environment, the file or the default has given it.

    It is worked out anew from the same sources that a start would use; no service is asked. Passwords in URLs are left
    out.
    """
    settings, warnings, sources = load(flags, os.environ)
    told = tell(settings)
    if as_json:
        rows = {
            row.name: {"value": told[row.name], "source": sources[row.name], "reloads": row.knob.reloads}
            for row in DEFINITIONS
        }
        click.echo(json.dumps({"settings": rows, "warnings": warnings}, indent=2))
        return
    names, values = max(map(len, told)), max(len(_text(value)) for value in told.values())
    for section in Section:
        rows_of = [row for row in DEFINITIONS if row.knob.section is section]
        if rows_of:
            click.echo(f"# {section.value}")
        for row in rows_of:
            text = _text(told[row.name]) or row.default  # empty: nothing was given, and it is found at the start
            click.echo(f"{row.name:{names}}  {text:{min(values, 40)}}  {sources[row.name]}")
    for warning in warnings:
        click.echo(f"ron-kms: {warning}.", err=True)


@config.command(context_settings={"ignore_unknown_options": True})  # KEY may be written as a flag
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.argument("key")
def explain(as_json: bool, key: str) -> None:
    """Tell all about one setting, by its name, its environment name or its flag."""
    row = _named(key)
    about = {
        "means": row.knob.help,
        "must be": row.knob.kind.expects,
        "default": row.default,
        "changed by": "a reload (SIGHUP)" if row.knob.reloads else "a restart",
        "environment": row.env,
        "flag": row.flag,
        "file": row.name,
        "section": row.knob.section.value,
        "used in": ", ".join(_users(row.name)),
    }
    if as_json:
        click.echo(json.dumps({name.replace(" ", "_"): text for name, text in about.items()}, indent=2))
        return
    for name, text in about.items():
        lines = textwrap.wrap(text, 100) or [""]
        click.echo("\n".join([f"{name:12} {lines[0]}", *(f"{'':12} {line}" for line in lines[1:])]))


def _named(key: str) -> Definition:
    name = key.lower().replace("-", "_").strip("_").removeprefix("kms_")
    known = {row.name: row for row in DEFINITIONS}
    if name in known:
        return known[name]
    close = [other for other in known if name and name in other][:5] or difflib.get_close_matches(name, known, 3)
    raise NotFound(
        "there is no setting of this name",
        hint=f"Close to it: {', '.join(close)}." if close else "`ron-kms config show` lists them all.",
    )


def _users(name: str) -> list[str]:
    """The modules that read it, from their sources."""
    package = Path(__file__).parents[1]
    read = re.compile(rf"(?<![a-z])settings\.{name}\b")
    return [
        path.relative_to(package).as_posix()
        for path in sorted(package.rglob("*.py"))
        if read.search(path.read_text(encoding="utf-8"))
    ]


def _text(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.10g}"
        case _:
            return str(value)


add_all_settings(show)
