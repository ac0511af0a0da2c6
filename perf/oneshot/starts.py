"""A service from its start to its first answers."""

from __future__ import annotations

import base64
import json
import shutil
import time
from pathlib import Path

from perf.load.service import Service, serving
from perf.oneshot.shots import Missing, Shot


def ready(server: str, core: int) -> float:
    """Milliseconds from the start of a service with a new store until it is ready."""
    began = time.perf_counter()
    with serving([core], server=server):
        return (time.perf_counter() - began) * 1e3


def calls(service: Service, folder: Path) -> dict[str, Shot]:
    """One call each by curl in a process and over a connection of its own, HTTP/2.

    :raises Missing: curl is not there.
    """
    if shutil.which("curl") is None:
        raise Missing("curl is not installed")
    tenant = service.tenant("once")
    [kid] = service.keys(tenant, "sign", "ed25519", 1)
    body = folder / "body.json"
    body.write_text(json.dumps({"kid": kid, "digest": base64.b64encode(bytes(32)).decode()}))
    url = f"http://{service.address[0]}:{service.address[1]}/v1/kms/sign"
    # The token is in a file, for others can read command lines.
    common = "silent\nfail\nhttp2-prior-knowledge\noutput = /dev/null\n"
    (folder / "sign").write_text(
        f'{common}url = "{url}"\ndata = "@{body}"\nheader = "content-type: application/json"\n'
        f'header = "authorization: Bearer {tenant.token}"\n'
    )
    (folder / "healthz").write_text(
        f'silent\nfail\noutput = /dev/null\nurl = "{service.endpoints["operator"]}/healthz"\n'
    )
    return {
        "curl, sign over a new connection": ("curl", "--config", str(folder / "sign")),
        "curl, /healthz": ("curl", "--config", str(folder / "healthz")),
    }
