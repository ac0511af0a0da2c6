"""Without ``--debug-dumpable`` nobody of the service's own user can read its memory, and no core file is written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ron_kms
from tests.core import child
from tests.core.unprivileged import command, user

# As an unprivileged user: start the service as its parent, and look into each of its processes.
LOOK = """
import json, os, sys
from pathlib import Path
from tests.server.service import serving

def look(pid):
    try:
        start = Path(f"/proc/{pid}/maps").read_text().split("-")[0]
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            memory.seek(int(start, 16))
            return len(memory.read(16))
    except PermissionError:
        return "refused"

def core(pid):
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line.split()[4:6] for line in lines if line.startswith("Max core file size"))

seen = {}
for mode in ("false", "true"):
    with serving(Path(sys.argv[1]), workers="1", debug_dumpable=mode) as service:
        for pid, name in ((service.pid, "supervisor"), (service.workers()[0], "worker")):
            seen[f"{name} {mode}"] = [look(pid), *core(pid), Path(f"/proc/{pid}/mem").stat().st_uid == os.geteuid()]
print(json.dumps(seen))
"""


REACHABLE = "import os, sys; sys.exit(not os.access(sys.argv[1], os.R_OK | os.X_OK))"


def test_the_processes_of_a_service_are_closed_to_their_own_user(tmp_path: Path) -> None:
    before = command()
    # Alembic asks access(2) whether its folder is there, which leaves capabilities out.
    lies = subprocess.run([*before, sys.executable, "-c", REACHABLE, str(Path(ron_kms.__file__).parent)], check=False)
    if lies.returncode:
        pytest.skip("ron_kms lies in a folder that a user without privileges may not enter")
    data = tmp_path / "home" / "data"
    data.mkdir(parents=True, mode=0o700)
    if before:
        for folder in (data, data.parent):
            shutil.chown(folder, user(), user())
    assert child.result(LOOK, str(data), before=before) == {
        "supervisor false": ["refused", "0", "0", False],
        "worker false": ["refused", "0", "0", False],
        # So the refusal above is what the setting does, and nothing else.
        "supervisor true": [16, "0", "0", True],
        "worker true": [16, "0", "0", True],
    }
