"""schemathesis makes requests from the OpenAPI document and holds a running service's answers against it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.counts import LONG, count
from tests.e2e.service import Service

ROOT = Path(__file__).parents[2]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
PHASES = "examples,coverage,fuzzing,stateful" if LONG else "examples,fuzzing"


@pytest.mark.timeout(count(120, 3600))
def test_answers_are_as_the_document_says(tmp_path: Path) -> None:
    with Service(tmp_path / "data") as service:
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{service.url}/openapi.json"),
            *("--checks", ",".join(CHECKS), "--phases", PHASES, f"--max-examples={count(1, 200)}"),
            *("--generation-deterministic", "--no-color", "--warnings=off"),
            *("-H", f"Authorization: Bearer {service.token}"),
        ]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzz.schemathesis_hooks", "PYTHONPATH": _path()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (done.stdout[-8000:] + done.stderr[-2000:]).replace(service.token, "<token>")


def _path() -> str:
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
