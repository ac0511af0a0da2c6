"""The page shows what is in the records, names what is missing, and holds nothing but itself."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

if not (Path(__file__).parents[2] / "perf" / "report").is_dir():
    pytest.skip("the report is not beside the tests", allow_module_level=True)

from perf import record
from perf.detail import Series
from perf.record import Measure, Record
from perf.report.collect import newest
from perf.report.colours import COLOURS
from perf.report.drawing import plain, short
from perf.report.targets import judge
from perf.report.whole import sections, whole
from tests.perf import samples

VOID = {"meta", "br", "col"}
HOSTILE = "<script>alert(1)</script>\"'&]]> $x$ \\frac --> {0} %s \u202e"


class Page(HTMLParser):
    """Elements that are closed in order, ids, references and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: Counter[str] = Counter()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src", "xlink:href", "srcset", "data", "action"}:
                self.references.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _kept(one: Record) -> Record:
    """As it comes out of a file."""
    return msgspec.json.decode(msgspec.json.encode(one), type=Record)


def _page(records: list[Record]) -> tuple[str, Page]:
    kept = [_kept(one) for one in records]
    text = whole(kept, samples.baselines(kept))
    return text, Page(text)


@pytest.fixture(scope="module")
def full() -> tuple[str, Page]:
    return _page(samples.every())


def test_every_suite_is_drawn(full: tuple[str, Page]) -> None:
    text, page = full
    records = [_kept(one) for one in samples.every()]
    for section in sections(records, samples.baselines(records)):
        assert section.blocks, section.title
        assert section.anchor in page.ids
    assert page.elements["svg"] >= 20
    assert "Not measured here" not in page.texts
    assert len(text) < 5_000_000


def test_it_holds_nothing_but_itself(full: tuple[str, Page]) -> None:
    text, page = full
    assert page.elements["script"] == page.elements["img"] == page.elements["link"] == page.elements["iframe"] == 0
    assert all(one.startswith("#") and one[1:] in page.ids for one in page.references)
    assert not re.search(r"url\((?!#)|@import|https?://", text)
    assert "default-src 'none'; style-src 'unsafe-inline'" in unescape(text)
    assert [one for one, count in Counter(page.ids).items() if count > 1] == []


def test_one_drawing_serves_both_themes(full: tuple[str, Page]) -> None:
    text, _ = full
    assert "prefers-color-scheme:dark" in text
    assert not re.search(r"#0000[0-9a-f]{2}\b", text), "a stand-in was left"
    assert set(re.findall(r"var\(--([a-z]+)\)", text)) <= set(COLOURS)


def test_the_same_server_has_the_same_colour_everywhere(full: tuple[str, Page]) -> None:
    text, _ = full
    keys = re.findall(r"stroke: var\(--([a-z]+)\)[^>]*/></g><g [^>]*><text [^>]*>(Granian|Hypercorn)<", text)
    assert {(name, server) for name, server in keys} <= {("blue", "Granian"), ("orange", "Hypercorn")}


def test_a_page_of_one_record_names_what_is_missing() -> None:
    _, page = _page([samples.soak()])
    assert "Not measured here" in page.texts
    assert "Burst: ten times the load, and after" not in page.texts
    assert any("perf.load run --mix burst" in text for text in page.texts)
    assert page.elements["svg"] == 3


def test_figures_of_the_records_stand_in_the_table(full: tuple[str, Page]) -> None:
    verdicts = {one.name: one for one in judge([_kept(one) for one in samples.every()])}
    signs = verdicts["single signs over 8 connections, under way: 64"]
    [result] = signs.results
    assert (result.measured, result.wanted, result.met) == ("10,100 /s", "≥ 9,000 /s", True)
    assert result.measured in full[1].texts
    own = verdicts["sign ed25519, our own"]
    assert [(one.server, one.met) for one in own.results] == [("Granian", True), ("Hypercorn", False)]
    assert [one.wanted for one in own.results] == ["≤ 1.6 ms", "≤ 3.5 ms"]
    assert not verdicts["wrap ml-kem-768, p95 at 70 % load"].results
    share = verdicts["batches of 256, by the core's own rate"]
    assert [one.met for one in share.results] == [False, True]


def test_a_hybrid_does_not_count_as_its_half() -> None:
    slow = samples.record(
        "load", "latency-sign-ed25519", [Measure("p95", "sign ed25519+ml-dsa-65", (9.0,))], server="granian"
    )
    assert not any(one.results for one in judge([slow]) if one.name.startswith("sign"))


@pytest.mark.parametrize("suite", ["load", "soak", "chaos", "profiles", "oneshot", "micro", "scale", HOSTILE])
def test_hostile_strings_stay_text(suite: str) -> None:
    series = [Series("p95", HOSTILE, (0.0, 1.0), (1.0, 2.0), HOSTILE)]
    stacks = [(HOSTILE, (f"{HOSTILE} (ron_kms/x.py)",), 3)]
    checks = [{"statement": HOSTILE, "held": True, "seen": HOSTILE}]
    detail = {"series": series, "stacks": stacks, "checks": checks, "command": HOSTILE}
    measures = [Measure("once", HOSTILE, (1.0,)), Measure("p95", HOSTILE, (1.0,)), Measure("cpu", "edge", (1.0,))]
    for name in ("isolation-80", HOSTILE):
        text, page = _page([samples.record(suite, name, measures, detail, server=HOSTILE, audit=HOSTILE)])
        assert "<script" not in text
        assert page.elements["script"] == 0
        assert any("<script>alert(1)</script>" in found for found in page.texts)


@pytest.mark.parametrize("detail", [None, {}, [], "text", {"series": []}, {"cells": []}])
@pytest.mark.parametrize("suite", ["load", "micro", "soak", "chaos", "oneshot", "scale", "edge"])
def test_a_record_without_the_rest_is_no_trouble(suite: str, detail: object) -> None:
    _page([samples.record(suite, "isolation-80", [Measure("rate", "", ())], detail)])


def test_the_newest_of_a_subject_counts() -> None:
    old, new = (
        msgspec.structs.replace(samples.soak(), at=f"2026-11-2{day}T00:00:00Z", seconds=float(day)) for day in (1, 2)
    )
    other = msgspec.structs.replace(old, role="baseline")
    assert newest([old, new, other]) == [new]


def test_the_command_writes_a_page_and_names_other_files(tmp_path: Path) -> None:
    for number, one in enumerate(samples.load("granian", 1.0)):
        record.save(one, tmp_path / f"{number}.json")
    (tmp_path / "old.json").write_text('{"format": 2}')
    out = tmp_path / "report.html"
    command = [sys.executable, "-m", "perf.report", str(tmp_path), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert "old.json" in done.stderr
    assert Page(out.read_text()).elements["svg"] > 5
    done = subprocess.run(
        [*command[:3], str(tmp_path / "old.json"), "--out", str(out)], capture_output=True, check=False
    )
    assert done.returncode == 1


def test_numbers_as_people_write_them() -> None:
    values = (0, 0.0123, 0.25, 1.5, 12.34, 20.0, 1500, 48_704)
    assert [plain(value) for value in values] == ["0", "0.012", "0.25", "1.5", "12.3", "20", "1,500", "48,704"]
    assert [short(value) for value in (500, 9000, 20_000, 2_000_000)] == ["500", "9,000", "20 k", "2 M"]
