"""What profiles tell besides costs: how late the event loop is, what threads wait for, who allocates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perf.profiles.detail import Detail, Heap, Thread, detail
from perf.record import Record
from perf.report import naming
from perf.report.drawing import Panel, plain
from perf.report.markup import Html, table, tag
from perf.report.page import Section, figure, source
from perf.report.sections.cost import profiles
from perf.report.sections.latency import tail

Told = tuple[Record, Detail]


def waits(records: Sequence[Record]) -> Section:
    """The event loop, and the threads."""
    chosen = _profiles(records)
    panels: list[Panel] = []
    for name in dict.fromkeys(record.name for record, _ in chosen):
        same = [
            (record, (naming.line(record), one))
            for record, told in chosen
            for one in told.distributions
            if record.name == name and one.of == "loop"
        ]
        if same:
            panels.append(tail(f"loop-{len(panels)}", f"Event loop, {name}", same, None, "of wake-ups"))
    note = (
        "Every few milliseconds a byte was sent to the worker's event loop; shown is how long it lay there. Every "
        "request waits like that. The tables have what each thread took of the processor, and what it waited for."
    )
    blocks = [figure(panels, [record for record, _ in chosen], note)] if panels else []
    blocks += [block for record, told in chosen if told.threads for block in _threads(record, told.threads)]
    return Section(
        "waits", "Waiting: the event loop and the threads", blocks, "Stalls and waits: python -m perf.profiles."
    )


def memory(records: Sequence[Record]) -> Section:
    """What memray saw."""
    chosen = [(record, told.heap) for record, told in _profiles(records) if told.heap is not None]
    blocks = list(_heap(chosen)) if chosen else []
    return Section("heap", "Memory: what an operation allocates", blocks, "Allocations: python -m perf.profiles heap.")


def _profiles(records: Sequence[Record]) -> list[Told]:
    return [(one, detail(one.detail)) for one in profiles(records)]


def _title(record: Record) -> str:
    return f"{record.name}, {naming.server(record)}"


def _threads(record: Record, threads: Sequence[Thread]) -> Iterator[Html]:
    states = list(dict.fromkeys(state for one in threads for state in one.states))
    head = ["Thread", "Processor, µs", "Ready and not run, µs", "Switches", *(state.capitalize() for state in states)]
    rows = [
        [
            one.name,
            plain(one.cpu),
            plain(one.queued),
            plain(one.switches),
            *(f"{one.states[state]:.0%}" if state in one.states else "" for state in states),
        ]
        for one in threads
    ]
    busiest = " · ".join(f"{one.name} {plain(one.cpu)} µs" for one in threads[:3])
    yield tag(
        "details",
        tag("summary", f"Threads, an operation: {_title(record)}", tag("span", f" · {busiest}")),
        table(head, rows, figures=range(1, len(head))),
    )


def _heap(chosen: Sequence[tuple[Record, Heap]]) -> Iterator[Html]:
    head = ["Profile", "Operations", "Allocations an operation", "Bytes an operation", "Peak, MiB"]
    yield table(
        head,
        [
            [_title(record), f"{heap.operations:,}", plain(heap.allocations), plain(heap.allocated), plain(heap.peak)]
            for record, heap in chosen
        ],
        figures=range(1, len(head)),
    )
    for record, heap in chosen:
        rows = [[tag("code", place), plain(count), plain(size)] for place, count, size in heap.places]
        yield tag(
            "details",
            tag("summary", f"Who allocates: {_title(record)}"),
            table(["Function", "Allocations an operation", "Bytes an operation"], rows, figures=(1, 2)),
        )
    yield source([record for record, _ in chosen])
