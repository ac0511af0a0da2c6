"""What lies in ``deploy/`` fits the service: its metrics, its commands, its settings."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ron_kms.config import DEFINITIONS
from ron_kms.metrics import Metrics
from ron_kms.server.exposition import FAMILIES
from ron_kms.server.readiness import NEEDED, WISHED

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "ron-kms.rules.yml"
DASHBOARD = DEPLOY / "grafana" / "ron-kms.json"

pytestmark = pytest.mark.skipif(not DEPLOY.is_dir(), reason="deploy/ is not beside the tests")
PROMTOOL = shutil.which("promtool", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")

_METRIC = re.compile(
    r"(?<![:\w])(?:kms_\w+|verify_cache_\w+|rejected_total|queue_depth|cache_age_ms|attestation_ready)\b"
)


def _known() -> set[str]:
    """Every name that ``/metrics`` can show."""
    collectors: set[Any] = set(Metrics().registry._collector_to_names)
    names = {family.name for family in FAMILIES}
    for one in collectors:
        name = one.describe()[0].name
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}[one._type]
        names.update(name + ending for ending in endings)
    return names


@needs_promtool
@pytest.mark.parametrize("command", ["check", "test"])
def test_promtool_accepts_the_rules(command: str) -> None:
    file = RULES.name if command == "check" else "ron-kms.tests.yml"
    done = subprocess.run(
        [str(PROMTOOL), command, "rules", file],
        cwd=RULES.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_dashboard_name_metrics_that_exist() -> None:
    dashboard = [target["expr"] for panel in _panels() for target in panel.get("targets", ())]
    text = "\n".join([RULES.read_text(), *dashboard])
    named = set(_METRIC.findall(text)) - {*NEEDED, *WISHED}
    assert len(named) > 20
    assert named <= _known()


def test_rules_name_readiness_keys_that_exist() -> None:
    named = {
        key for keys in re.findall(r'kms_readiness\{key=~?"([a-z_|]+)"', RULES.read_text()) for key in keys.split("|")
    }
    assert named <= {*NEEDED, *WISHED}
    assert len(named) >= 4


def test_the_dashboard_shows_what_the_rules_record() -> None:
    recorded = set(re.findall(r"record: (\S+)", RULES.read_text()))
    shown = {
        name
        for panel in _panels()
        for target in panel.get("targets", ())
        for name in re.findall(r"ron_kms:[\w:]+", target["expr"])
    }
    assert shown
    assert shown <= recorded


def test_every_panel_has_a_place_of_its_own() -> None:
    places = set()
    for panel in _panels():
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in places, panel["title"]
                places.add((x, y))
    assert len({panel["id"] for panel in _panels()}) == len(_panels())


def _panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return panels


@pytest.mark.parametrize("file", ["systemd/ron-kms.service", "container/Containerfile"])
def test_settings_that_are_named_exist(file: str) -> None:
    named = set(re.findall(r"\bKMS_[A-Z_]+\b", (DEPLOY / file).read_text()))
    assert named
    assert named <= {definition.env for definition in DEFINITIONS} | {"KMS_CONFIG"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "ron-kms.service"
    text = (DEPLOY / "systemd" / "ron-kms.service").read_text()
    unit.write_text(text.replace("/opt/ron-kms/bin/ron-kms", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert unit.name not in done.stderr, done.stderr
