"""How many private keys this process can lock in memory, found out before the first is opened."""

from __future__ import annotations

import logging
import resource
import sys

import pytest

from ron_kms.custody import core
from ron_kms.custody.core import SLOT_LOCKED_BYTES, affordable_slots
from ron_kms.errors import ConfigurationError
from tests.core import child, unprivileged

if sys.platform != "linux":
    pytest.skip("the service is for Linux", allow_module_level=True)

# As an unprivileged user under a limit of locked memory in bytes: the slots that are allowed or the refusal, and
# whether as many keys are locked to the last page.
LIMITED = """
import json, logging, resource, sys
resource.setrlimit(resource.RLIMIT_MEMLOCK, (int(sys.argv[1]), int(sys.argv[1])))
logging.basicConfig(stream=sys.stdout, format="%(message)s")
from ron_kms import _core
from ron_kms.custody.core import affordable_slots
from ron_kms.errors import ConfigurationError
from tests.memory.mappings import guarded

try:
    allowed = affordable_slots(int(sys.argv[2]))
except ConfigurationError as error:
    print(json.dumps([error.message, error.hint]))
    sys.exit()
own = {mapping.start for mapping in guarded()}
slots = _core.generate(_core.SignatureScheme(("Ed25519", "ML-DSA-87")), allowed)
pages = [mapping for mapping in guarded() if mapping.start not in own]
whole = all(mapping.locked * 1024 == mapping.end - mapping.start for mapping in pages)
print(json.dumps([allowed, len(pages), whole]))
"""

MIB = 1 << 20


@pytest.mark.parametrize(("limit", "wanted"), [(8 * MIB, 64), (MIB, 1024), (MIB // 4, 1024)])
def test_as_many_keys_as_the_limit_allows_are_locked_to_the_last_page(limit: int, wanted: int) -> None:
    allowed, pages, whole = child.result(LIMITED, str(limit), str(wanted), before=unprivileged.command())
    assert allowed == min(wanted, limit * 3 // 4 // SLOT_LOCKED_BYTES)
    assert pages == allowed
    assert whole


def test_a_limit_for_fewer_than_sixteen_is_refused() -> None:
    message, hint = child.result(LIMITED, str(64 * 1024), "1024", before=unprivileged.command())
    assert "only 6 private keys" in message
    assert "RLIMIT_MEMLOCK" in hint


def test_fewer_than_wanted_is_warned_of(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_may_lock_without_limit", lambda: False)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (MIB, MIB))
    with caplog.at_level(logging.WARNING):
        assert affordable_slots(1024) == 96
        assert affordable_slots(90) == 90
    assert [record.getMessage() for record in caplog.records] == [
        "RLIMIT_MEMLOCK or vm.max_map_count limit the private keys in memory to 96, not 1024"
    ]


def test_the_right_to_lock_lifts_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (0, 0))
    monkeypatch.setattr(core, "_may_lock_without_limit", lambda: True)
    assert affordable_slots(64) == 64


def test_mappings_are_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_may_lock_without_limit", lambda: True)
    with pytest.raises(ConfigurationError, match="only 15 private keys"):
        affordable_slots(15)
    # vm.max_map_count is at least 65,530 nearly everywhere: half of it for slots, four mappings each.
    assert 1024 <= affordable_slots(1 << 30) < 1 << 30
