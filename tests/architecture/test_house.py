"""The house stands: every floor uses only what is below it."""

from __future__ import annotations

import graphlib

import pytest

from tests.architecture.imports import Import, imports, modules

# The house, from the ground up. A room may use the floors below its own, and itself; not its neighbours.
HOUSE = (
    {"errors", "disk", "trace"},
    {"config", "model", "metrics"},
    {"_oqs"},  # liboqs
    {"_core"},  # everything that touches a secret
    {"crypto"},  # suites, formats, signing
    {"root"},  # the root key and its seals
    {"store"},  # tables, transactions, row authentication
    {"custody", "capabilities"},  # blob -> handle; token -> caller
    {"keys", "policy"},  # the cache of keys, their life; what is allowed
    {"engine", "audit"},  # batches and fair turns; the log
    {"service"},  # one use case a file
    {"api"},  # HTTP
    {"server"},  # processes
    {"cli"},  # the command
)

# The edge speaks to the service only: no key, no secret and no row is in its reach.
OUT_OF_REACH = {"api": {"_oqs", "_core", "crypto", "root", "store", "custody"}}

# Who may use which library; one that is not listed is for everybody.
LIBRARIES = {
    "cffi": {"_oqs_build"},
    "pysodium": {"_core"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "pysqlite3": {"store"},
    "starlette": {"api"},
    "hypercorn": {"server"},
    "uvloop": {"server"},
    "h2": {"server"},
    "granian": {"server"},
    "prometheus_client": {"metrics", "server"},
    "click": {"cli"},
}

# Not rooms: the front door, and what runs only while the package is built.
OUTSIDE = {"", "_oqs_build"}

FLOOR = {room: floor for floor, rooms in enumerate(HOUSE) for room in rooms}


def room(module: str) -> str:
    """``store`` for ``ron_kms.store.keys``; empty for the package itself."""
    return module.removeprefix("ron_kms").removeprefix(".").partition(".")[0]


def inner() -> list[Import]:
    """Imports from one module of the package to another."""
    return [item for item in imports() if item.imported.partition(".")[0] == "ron_kms"]


def test_every_module_has_its_floor() -> None:
    assert {room(module) for module in modules()} - FLOOR.keys() - OUTSIDE == set()


def test_imports_go_down_only() -> None:
    def allowed(item: Import) -> bool:
        above, below = room(item.importer), room(item.imported)
        return above in OUTSIDE or above == below or FLOOR.get(below, len(HOUSE)) < FLOOR[above]

    assert [str(item) for item in inner() if not allowed(item)] == []


@pytest.mark.parametrize("user", sorted(OUT_OF_REACH))
def test_what_is_out_of_reach(user: str) -> None:
    assert [
        str(item) for item in inner() if room(item.importer) == user and room(item.imported) in OUT_OF_REACH[user]
    ] == []


def test_each_library_has_its_place() -> None:
    def misplaced(item: Import) -> bool:
        users = LIBRARIES.get(item.imported.partition(".")[0])
        return users is not None and room(item.importer) not in users

    assert [str(item) for item in imports() if misplaced(item)] == []


def test_no_module_imports_itself_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for item in inner():
        if item.imported != item.importer and room(item.importer) not in OUTSIDE:
            graph.setdefault(item.importer, set()).add(item.imported)
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_sources_are_really_read() -> None:
    seen = {(room(item.importer), room(item.imported)) for item in inner()}
    assert {("model", "errors"), ("crypto", "_core")} <= seen
