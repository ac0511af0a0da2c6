"""Hardening of the process: no core file, and no reading of its memory by others of the same user."""

from __future__ import annotations

import sys

import pytest

from tests.core import child, unprivileged

if sys.platform != "linux":
    pytest.skip("what the system can refuse is Linux's", allow_module_level=True)

HARDENED = """
import json, resource
from ron_kms._core import harden_process, process_is_dumpable
before = process_is_dumpable()
harden_process()
default = process_is_dumpable(), resource.getrlimit(resource.RLIMIT_CORE)
harden_process(dumpable=True)
print(json.dumps([before, *default, process_is_dumpable(), resource.getrlimit(resource.RLIMIT_CORE)]))
"""


def test_hardened_by_default_and_dumpable_on_demand() -> None:
    before, dumpable, core, allowed, core_again = child.result(HARDENED)
    assert before
    assert not dumpable
    assert core == core_again == [0, 0]
    assert allowed


def test_importing_the_library_hardens_nothing() -> None:
    # A library must not change its host's process: whoever calls ron_kms.open decides.
    script = "import json, ron_kms; from ron_kms._core import process_is_dumpable as d; print(json.dumps(d()))"
    assert child.result(script) is True


# A process that holds a secret, and its parent of the same unprivileged user, who looks into its memory.
LOOK = """
import json, subprocess, sys
HOLDER = '''
import sys
from ron_kms._core import SecretKey, harden_process
harden_process(dumpable=sys.argv[1] == "dumpable")
key = SecretKey.generate()
print("ready", flush=True)
sys.stdin.read()
'''
seen = {}
for mode in ("default", "dumpable"):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "ready\\n"
    for name in ("mem", "maps", "environ"):
        try:
            with open(f"/proc/{holder.pid}/{name}", "rb", 0) as file:
                if name == "mem":
                    start = open(f"/proc/{holder.pid}/maps").readline().split("-")[0]
                    file.seek(int(start, 16))
                seen[f"{mode} {name}"] = len(file.read(16))
        except PermissionError:
            seen[f"{mode} {name}"] = "refused"
    holder.communicate()
print(json.dumps(seen))
"""


def test_another_process_of_the_same_user_cannot_read_the_memory() -> None:
    seen = child.result(LOOK, before=unprivileged.command())
    assert seen == {
        "default mem": "refused",
        "default maps": "refused",
        "default environ": "refused",
        "dumpable mem": 16,  # the test would notice a refusal for another reason
        "dumpable maps": 16,
        "dumpable environ": 16,
    }
