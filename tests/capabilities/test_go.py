"""Go's macaroon package, a second independent implementation, and ours read, narrow and check each other's tokens."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ron_kms.capabilities import tokens
from ron_kms.capabilities.macaroon import MAX_CAVEATS
from ron_kms.errors import Unauthenticated
from tests.capabilities.parts import IDENTIFIER, ROOT, ROOT_BYTES, ROOT_ID, TOKEN_ID, WRONG, checker

SOURCES = Path(__file__).parent / "go"
KEY = ROOT_BYTES.hex()
OURS = tokens.mint(ROOT_ID, ROOT, scopes=["kms:sign", "kms:verify"], tenant="acme", rate=9, token_id=TOKEN_ID)

pytestmark = [
    pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed"),
    pytest.mark.timeout(400),  # the first build compiles what it uses of Go's library
]

Go = Callable[..., list[str]]


def run(*command: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"GOTOOLCHAIN": "local", "GOWORK": "off"}
    return subprocess.run(
        command, cwd=SOURCES, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Go:
    """Runs the program; its lines, or none where it fails."""
    try:
        got = run("go", "mod", "download")
    except subprocess.TimeoutExpired:
        pytest.skip("Go's modules do not come within a minute")
    if got.returncode:
        pytest.skip(f"Go's modules cannot be had: {got.stderr.strip().splitlines()[-1]}")
    program = tmp_path_factory.mktemp("go") / "macaroons"
    built = run("go", "build", "-o", str(program), ".", seconds=300)
    assert built.returncode == 0, built.stderr

    def call(*arguments: str) -> list[str]:
        done = run(str(program), *arguments)
        return done.stdout.splitlines() if done.returncode == 0 else []

    return call


def test_it_mints_and_we_check(go: Go) -> None:
    [token] = go("mint", KEY, IDENTIFIER.decode(), "scope = kms:sign", "tenant = acme")
    caller = checker().check(token, "kms:sign", 0.0)
    assert (caller.token_id, caller.scopes, caller.tenant) == (TOKEN_ID, {"kms:sign"}, "acme")


def test_we_mint_and_it_verifies(go: Go) -> None:
    caveats = ["scope = kms:sign kms:verify", "tenant = acme", "rate = 9"]
    assert go("verify", KEY, OURS) == caveats
    assert go("verify", bytes(32).hex(), OURS) == []
    assert go("verify", KEY, tokens.attenuate(OURS, ["prefix = acme/audit"])) == [*caveats, "prefix = acme/audit"]


def test_both_narrow_to_the_same_bytes(go: Go) -> None:
    more = ["rate = 5", "prefix = acme/audit", "expires = 2030-01-01T00:00:00Z"]
    assert go("narrow", OURS, *more) == [tokens.attenuate(OURS, more)]


def test_it_writes_lengths_of_two_bytes_as_we_do(go: Go) -> None:
    scopes = "scope = " + " ".join(f"kms:{name}" for name in ("create", "read", "rotate", "admin", "destroy", "sign"))
    long = [f"{scopes} kms:verify kms:wrap kms:unwrap kms:seal kms:open kms:policy kms:audit"] * 10
    assert go("narrow", OURS, *long) == [tokens.attenuate(OURS, long)]
    [full] = go("narrow", OURS, *["rate = 1"] * (MAX_CAVEATS - 3))
    assert checker().check(full, "kms:sign", 0.0).rate == 1
    [over] = go("narrow", full, "rate = 1")
    with pytest.raises(Unauthenticated, match=WRONG):
        checker().check(over, "kms:sign", 0.0)
