"""Go's macaroon package, a second independent implementation, and ours read, narrow and check each other's tokens."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ron_kms.capabilities import tokens
from ron_kms.capabilities.macaroon import MAX_CAVEATS
from ron_kms.errors import Unauthenticated
from tests.capabilities.parts import IDENTIFIER, ROOT, ROOT_BYTES, ROOT_ID, TOKEN_ID, WRONG, checker
from tests.golang import MARKS, build

KEY = ROOT_BYTES.hex()
OURS = tokens.mint(ROOT_ID, ROOT, scopes=["kms:sign", "kms:verify"], tenant="acme", rate=9, token_id=TOKEN_ID)

pytestmark = MARKS

Go = Callable[..., list[str]]


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Go:
    """Runs the program; its lines, or none where it fails."""
    program = build(Path(__file__).parent / "go", tmp_path_factory.mktemp("go"))

    def call(*arguments: str) -> list[str]:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
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
