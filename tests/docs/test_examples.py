"""The examples in the pages run, top to bottom, beside a service as ``make run`` starts it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import PAGES, ROOT, Block, blocks, name, needs_pages
from tests.server.service import Service, serving
from tests.waiting import until

pytestmark = [needs_pages, pytest.mark.skipif(shutil.which("curl") is None, reason="the examples use curl")]

PRINTED = "http://127.0.0.1:9446"
OPERATOR = "http://127.0.0.1:9909"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("examples") / ".ron-kms", workers="1") as service:
        yield service


def paste(service: Service, commands: str) -> str:
    """Run commands in a shell, in the folder where the service was started."""
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", commands],
        cwd=service.data_dir.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def runs(block: Block) -> bool:
    return block.language == "python" or (
        block.language == "sh" and ("curl" in block.code or "ron-kms token" in block.code)
    )


@pytest.mark.parametrize("page", [page for page in PAGES if any(map(runs, blocks(page)))], ids=name)
def test_examples(page: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the README asks for: the three printed commands were run, and their answers are in the environment.
    assert until(lambda: "/verify; echo" in service.out.read_text()), "printed once it is ready"
    printed = service.out.read_text()
    answers = paste(service, printed[printed.index("KEY=$") :]).splitlines()
    assert '"ok":true' in answers[2]
    monkeypatch.setenv("KEY", answers[0])
    monkeypatch.setenv("SIGNED", answers[1])
    monkeypatch.setenv("KMS_DATA_DIR", str(service.data_dir))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.chdir(service.data_dir.parent)
    names: dict[str, Any] = {"__name__": "__example__"}
    for block in filter(runs, blocks(page)):
        if block.language == "sh":
            code = block.code.replace(PRINTED, service.endpoints["http"])
            paste(service, code.replace(OPERATOR, service.endpoints["operator"]))
        else:
            # As many lines before it as the page has, so that a traceback names the page's own.
            code = "\n" * block.line + block.code
            exec(compile(code, name(page), "exec"), names)


def test_two_tenants_of_the_tokens_example(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(service.data_dir.parent)
    python, shell = filter(runs, blocks(ROOT / "docs/api.md"))
    exec(compile(python.code, "docs/api.md", "exec"), {})
    foreign, own = paste(service, shell.code.replace(PRINTED, service.endpoints["http"])).splitlines()
    assert '"code":"NotFound"' in foreign
    assert '"alg":"ed25519"' in own
