"""What ``serve`` prints once it is up: whether it is ready, where it is, and three commands to try."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence
from pathlib import Path

from blake3 import blake3

EXAMPLE = "Hello, ron-kms!"


def text(*, missing: Sequence[str], api: str, operator: str, token: Path, ca: Path | None, amnesia: bool) -> str:
    """The whole text.

    :param missing: what it lacks to be ready, in the words of ``/readyz``.
    :param api: URL of the API.
    :param ca: the certificate to trust, for TLS.
    :param amnesia: whether nothing outlives the service.
    """
    digest = base64.b64encode(blake3(EXAMPLE.encode()).digest()).decode("ascii")
    protocol = f"--http2 --cacert {shlex.quote(str(ca))}" if ca else "--http2-prior-knowledge"
    auth = f'-H "Authorization: Bearer $(cat {shlex.quote(str(token))})"'
    call = f'curl -sS {protocol} {auth} \\\n  -H "Content-Type: application/json"'
    create = '{"tenant": "demo", "purpose": "first", "use": "sign", "suite": "hybrid"}'
    forgets = f" It keeps nothing: all is in {token.parent} and ends with it." if amnesia else ""
    kid = """$(echo "$KEY" | sed 's/.*"kid":"\\([^"]*\\)".*/\\1/')"""
    sigs = """$(echo "$SIGNED" | sed 's/^{//')"""
    where = (
        f"the administrator's is in {token}" if token.exists() else f"the administrator's is not in {token} any more"
    )
    state = f"runs and is not ready: {', '.join(missing)} is missing; its log says why." if missing else "is ready."
    return f"""\
ron-kms {state}{forgets}
  API       {api}   (documentation at {api}/docs)
  operator  {operator}   (/healthz /readyz /metrics /version)
  token     {where}

Try it in a shell on this machine: create a hybrid key, sign with it (the BLAKE3 digest of "{EXAMPLE}"), verify.

KEY=$({call} \\
  -d '{create}' \\
  {api}/v1/kms/keys); echo "$KEY"

SIGNED=$({call} \\
  -d "{{\\"kid\\": \\"{kid}\\", \\"digest\\": \\"{digest}\\"}}" \\
  {api}/v1/kms/sign); echo "$SIGNED"

{call} \\
  -d "{{\\"digest\\": \\"{digest}\\", {sigs}" \\
  {api}/v1/kms/verify; echo
"""
