"""Kept models, and the page that shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from perf import record
from perf.record import ROOT
from perf.scale.model import Model
from perf.scale.plan import fitted, table

BASELINES = ROOT / "perf" / "baselines"
_PARTS = {"fitted": fitted, "plans": table}


class Kept(NamedTuple):
    """A model in a file; ``told`` says of which machine and when."""

    name: str
    model: Model
    told: str


def newest_model(server: str, results: Path) -> Kept:
    """That of the results, or else of the baselines.

    :raises LookupError: there is none; the message says how it is made.
    """
    for folder in (results, BASELINES):
        files = sorted(folder.rglob(f"scale-model-{server}-*.json"), key=lambda path: path.name)
        if files:
            found = record.load(files[-1])
            changed = " and changes" if found.code.changed else ""
            told = f"{found.at}, commit {found.code.commit[:12]}{changed}, {found.host.cpu}, {found.host.cores} cores"
            return Kept(files[-1].name, msgspec.convert(found.detail, Model), told)
    raise LookupError(f"there is no model of {server}: python -m perf.scale all --server {server}")


def filled(text: str, kept: Sequence[Kept]) -> str:
    """A page with its parts written anew: each stands between ``<!-- name -->`` and ``<!-- /name -->``."""
    models = [one.model for one in kept]
    parts = {name: "\n".join(make(models)).rstrip() for name, make in _PARTS.items()}
    parts["models"] = "\n".join(f"- {one.model.server}: {one.told}" for one in kept)
    for name, content in parts.items():
        part = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = part.sub(lambda found, content=content: f"{found[1]}\n{content}\n\n{found[2]}", text)  # type: ignore[misc]
    return text
