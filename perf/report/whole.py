"""All sections, in the order in which people ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perf.record import Record
from perf.report.page import Section, page
from perf.report.sections import batches, chaos, cost, drift, hybrid, latency, oneshot, overtime, scale, sources, waits
from perf.report.summary import summary

FIGURES: tuple[Callable[[Sequence[Record]], Section], ...] = (
    latency.section,
    hybrid.section,
    batches.section,
    overtime.fairness,
    overtime.burst,
    overtime.soak,
    scale.section,
    cost.section,
    waits.waits,
    waits.memory,
    oneshot.section,
)
REST: tuple[Callable[[Sequence[Record]], Section], ...] = (chaos.section, cost.flames, sources.section)


def whole(records: Sequence[Record], baselines: Sequence[Record] = ()) -> str:
    """The page of these records, and of how they are beside baselines."""
    return page(records, summary(records), sections(records, baselines))


def sections(records: Sequence[Record], baselines: Sequence[Record] = ()) -> list[Section]:
    """All of them, those too that have nothing to show."""
    first, last = ([made(records) for made in some] for some in (FIGURES, REST))
    return [*first, drift.section(records, baselines), *last]
