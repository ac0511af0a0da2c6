"""Tables in the pages say what the code says."""

from __future__ import annotations

import importlib
import re
from typing import Any

from ron_kms import errors
from ron_kms._core import KemScheme, SignatureScheme
from ron_kms.capabilities.caveats import SCOPES
from ron_kms.crypto.framing import HEADER_SIZE
from ron_kms.crypto.suites import SUITES, Suite
from ron_kms.metrics import Metrics
from ron_kms.server.exposition import FAMILIES
from ron_kms.server.readiness import NEEDED, WISHED
from ron_kms.service.pipeline import OPERATIONS
from tests.docs.pages import ROOT, needs_pages, spans, table
from tests.packaging.test_doctests import MODULES

pytestmark = needs_pages

_TAG = 16
_NONCE = 24


def _sum(sizes: tuple[int, ...]) -> str:
    return " + ".join(map(str, sizes)) or "none"


def _adds(suite: Suite) -> str:
    match suite.scheme:
        case SignatureScheme() as scheme:
            return _sum(scheme.signature_sizes)
        case KemScheme() as scheme:
            return str(HEADER_SIZE + scheme.enc_size + _TAG)
        case _:
            return str(HEADER_SIZE + _NONCE + _TAG)


def test_suites() -> None:
    rows = {row[0]: row[1:4] for row in table(ROOT / "README.md", "suite")}
    assert list(rows) == list(SUITES)
    for name, row in rows.items():
        suite = SUITES[name]
        if suite.available:
            assert row == [suite.use, _sum(suite.scheme.public_sizes), _adds(suite)], name


def test_errors() -> None:
    for module in MODULES:  # an error is known once its module is
        importlib.import_module(module)
    rows = {row[0]: row[1:4] for row in table(ROOT / "docs/api.md", "code")}
    assert rows == {
        code: [str(error.http), error.grpc, "yes" if error.retryable else "no"]
        for code, error in errors.codes().items()
        if error.__module__.startswith("ron_kms.")  # other tests make some of their own
    }


def test_metrics() -> None:
    told = {
        row[0]: (row[1], sorted(filter(None, row[2].split(", "))))
        for row in table(ROOT / "docs/operating.md", "metric")
    }
    collectors: set[Any] = set(Metrics().registry._collector_to_names)
    counted = {
        one.describe()[0].name + ("_total" if one._type == "counter" else ""): (one._type, sorted(one._labelnames))
        for one in collectors
    }
    assert told == counted | {family.name: (family.kind, sorted(family.labels)) for family in FAMILIES}


def test_readiness() -> None:
    told = [row[0] for row in table(ROOT / "docs/operating.md", "key")]
    assert told == [*NEEDED, *WISHED]


def test_the_wiped_stack() -> None:
    source = (ROOT / "src/ron_kms/core/native.pxi").read_text()
    [kib] = re.findall(r"STACK_TO_WIPE = (\d+) \* 1024", source)
    assert f"{kib} KiB" in (ROOT / "SECURITY.md").read_text()


def test_calls() -> None:
    told = {}
    for calls, scope, *_ in table(ROOT / "docs/api.md", "call"):
        method, _, paths = calls.partition(" ")
        for path in paths.split(", "):
            told[method, f"/v1/kms/{path}".replace("<", "{").replace(">", "}")] = scope
    assert told == {(operation.method, operation.path): operation.scope for operation in OPERATIONS}


def test_scopes() -> None:
    assert {span for span in spans(ROOT / "docs/api.md") if span.startswith("kms:")} == set(SCOPES)
