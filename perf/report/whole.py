"""All sections, in the order in which people ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perf.record import Record
from perf.report.page import Section, page
from perf.report.sections import batches, chaos, cost, latency, oneshot, overtime, sources, waits
from perf.report.summary import summary

SECTIONS: tuple[Callable[[Sequence[Record]], Section], ...] = (
    latency.section,
    batches.section,
    overtime.fairness,
    overtime.burst,
    overtime.soak,
    cost.section,
    waits.waits,
    waits.memory,
    oneshot.section,
    chaos.section,
    cost.flames,
    sources.section,
)


def whole(records: Sequence[Record]) -> str:
    """The page of these records."""
    return page(records, summary(records), [section(records) for section in SECTIONS])
