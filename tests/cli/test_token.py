"""``ron-kms token`` beside a real service, and without any."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from ron_kms.capabilities import tokens
from ron_kms.capabilities.caveats import SCOPES
from ron_kms.capabilities.macaroon import Macaroon
from ron_kms.cli.main import commands
from ron_kms.cli.token_text import describe_tokens
from ron_kms.errors import BadRequest, ConfigurationError, KmsError, NotFound, Unauthenticated
from tests.backup.command import done, refused
from tests.capabilities.parts import ROOT, ROOT_ID, TOKEN_ID
from tests.e2e.wire import narrowed
from tests.server.service import Service, serving
from tests.waiting import until

TOKEN = tokens.mint(ROOT_ID, ROOT, scopes=["kms:sign", "kms:verify"], tenant="acme", token_id=TOKEN_ID)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("cli") / "data", workers="2") as service:
        yield service


def run(*arguments: str, stdin: str | None = None, env: dict[str, str | None] | None = None) -> Result:
    clean = {"KMS_TOKEN_FILE": None, "KMS_DATA_DIR": None, **(env or {})}
    return CliRunner().invoke(commands, ["token", *arguments], input=stdin, env=clean, standalone_mode=False)


def said(*arguments: str, **options: Any) -> str:
    result = run(*arguments, **options)
    assert result.exception is None, repr(result.exception)
    return result.stdout


def at(service: Service, *arguments: str) -> str:
    return said(*arguments, "--data-dir", str(service.data_dir))


def status(service: Service, token: str, path: str = "/keys") -> int:
    with service.client() as client:
        return client.get(path, headers={"authorization": f"Bearer {token}"}).status_code


def test_narrowed_offline_from_a_file_from_the_environment_and_from_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    asked = ("attenuate", "--scope", "kms:sign", "--prefix", "acme/audit", "--rate", "5")
    expected = narrowed(TOKEN, "scope = kms:sign", "prefix = acme/audit", "rate = 5")
    assert said(*asked, "--token-file", str(file)).strip() == expected
    assert said(*asked, env={"KMS_TOKEN_FILE": str(file)}).strip() == expected
    assert said(*asked, stdin=TOKEN).strip() == expected
    out = tmp_path / "narrow"
    assert said(*asked, "--token-file", str(file), "--out", str(out)) == ""
    assert (out.read_text(), stat.S_IMODE(out.stat().st_mode)) == (expected + "\n", 0o600)
    assert isinstance(run(*asked, "--out", str(out), stdin=TOKEN).exception, FileExistsError)


def test_looked_into_offline_without_its_signature(tmp_path: Path) -> None:
    expires = said("attenuate", "--expires", "2020-01-01T00:00:00Z", "--rate", "5", stdin=TOKEN).strip()
    told = said("inspect", stdin=expires)
    for word in (TOKEN_ID, ROOT_ID, "tenant = acme", "under acme", "has expired at 2020-01-01 00:00:00 UTC", "5 op"):
        assert word in told
    signature = Macaroon.decode(expires).signature
    as_json = said("inspect", "--json", stdin=expires)
    assert json.loads(as_json)["caveats"][-1] == "rate = 5"
    for text in (told, as_json):
        assert signature.hex() not in text
        assert expires[-20:] not in text
    assert "covers no key" in said("inspect", stdin=narrowed(TOKEN, "tenant = core"))
    assert "nothing" in said("inspect", stdin=narrowed(TOKEN, "scope = kms:read"))
    whole = said("inspect", stdin=tokens.mint_administrator(ROOT_ID, ROOT))
    assert "every tenant" in whole
    assert "does not expire" in whole


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect",),
        ("attenuate", "--rate", "1"),
        ("attenuate", "--tenant", "Acme"),
        ("attenuate", "--expires", "tomorrow"),
        ("attenuate", "--expires", "2030-01-01T00:00:00"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...]) -> None:
    wrong = TOKEN if len(arguments) > 2 and arguments[2] != "1" else TOKEN[:-1]
    result = run(*arguments, stdin=wrong)
    assert isinstance(result.exception, BadRequest)
    assert TOKEN[10:40] not in result.exception.message + result.exception.hint


def test_narrowing_by_nothing_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    assert isinstance(run("attenuate", stdin=TOKEN).exception, click.UsageError)
    missing = run("inspect", "--token-file", str(tmp_path / "none"))
    assert isinstance(missing.exception, KmsError)


def test_minted_listed_and_revoked_with_what_was_minted_with_it(service: Service, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    at(service, "mint", "--scope", "kms:admin", "--scope", "kms:read", "--tenant", "acme", "--out", str(parent))
    assert stat.S_IMODE(parent.stat().st_mode) == 0o600
    minted = ("mint", "--scope", "kms:read", "--expires", "12h", "--rate", "50", "--label", "a reader")
    child = at(service, *minted, "--token-file", str(parent)).strip()
    assert status(service, child) == 200
    listed = json.loads(at(service, "list", "--json", "--token-file", str(parent)))
    [reader] = [one for one in listed if one["label"] == "a reader"]
    assert (reader["tenant"], reader["rate"], reader["scopes"]) == ("acme", 50, ["kms:read"])
    assert reader["minted_by"] in {one["id"] for one in listed}
    told = at(service, "list")
    assert "a reader" in told
    assert "administrator" in told
    assert child not in told
    assert "revoked now: 2" in at(service, "revoke", reader["minted_by"], "--descendants")
    assert until(lambda: status(service, child) == status(service, parent.read_text().strip()) == 401, 5)
    assert "revoked 2" in at(service, "list")


def test_a_label_says_nothing_to_the_terminal() -> None:
    told = describe_tokens([{"id": "x", "scopes": ["kms:read"], "label": "a\x1b[2Jb\u202ec\nd"}])
    assert "a?[2Jb?c?d" in told
    assert len(told.splitlines()) == 2


def test_roots_rotate_and_the_administrator_s_token_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers="1") as service:
        first = service.token
        [before] = json.loads(at(service, "roots", "--json"))
        made = re.search(r"root (\S+)", at(service, "rotate-root"))
        assert made is not None
        assert status(service, first) == 200
        wrong = run("retire-root", before["id"], "--data-dir", str(service.data_dir))
        assert "signs the token that asks" in str(wrong.exception)
        assert "is revoked" in at(service, "replace")
        assert service.token != first
        assert (status(service, first), status(service, service.token)) == (401, 200)
        assert tokens.inspect(service.token).caller.scopes == set(SCOPES)
        assert stat.S_IMODE((service.data_dir / "admin.token").stat().st_mode) == 0o600
        at(service, "retire-root", before["id"])
        told = at(service, "roots")
        assert f"{before['id']}  made" in told.splitlines()[0]
        assert "retired" in told.splitlines()[0]
        assert "signs what is minted" in told.splitlines()[1]


def test_what_replacing_could_not_revoke_is_named(tmp_path: Path, service: Service) -> None:
    """A token of a tenant may mint another, and does not cover the one that it was narrowed from."""
    file = tmp_path / "narrow.token"
    file.write_text(narrowed(service.token, "tenant = acme"))
    result = run("replace", "--token-file", str(file), "--data-dir", str(service.data_dir))
    assert isinstance(result.exception, NotFound)
    old = tokens.inspect(service.token).token_id
    assert result.exception.hint.endswith(f"ron-kms token revoke {old}")
    assert tokens.inspect(file.read_text().strip()).caller.tenant == "acme"
    assert status(service, service.token) == 200


def test_when_every_token_is_lost_the_owner_of_the_root_key_makes_another(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serving(data_dir, workers="1") as service:
        lost = service.token
        assert "in use" in refused(data_dir, "token", "reset")
    (data_dir / "admin.token").unlink()
    assert "admin.token" in done(data_dir, "token", "reset")
    second = service.token
    assert "every token from before is ended" in done(data_dir, "token", "reset", "--retire-roots")
    with serving(data_dir, workers="1") as service:
        codes = [status(service, token) for token in (service.token, second, lost)]
        assert codes == [200, 401, 401]


def test_no_secret_of_the_data_folder_is_asked_for(tmp_path: Path) -> None:
    """Offline commands need the token alone: nothing is opened beside it, and no library of the service loaded."""
    code = (
        "import sys; from ron_kms.cli.main import commands;"
        "commands(['token', 'inspect'], standalone_mode=False);"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'sqlalchemy', 'starlette', 'hypercorn'}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], input=TOKEN, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True
    )
    assert ended.stdout.endswith("[]\n")
    assert list(tmp_path.iterdir()) == []


def test_a_token_that_was_lost_is_not_told_by_an_error(service: Service, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text(TOKEN)
    result = run("list", "--token-file", str(wrong), "--data-dir", str(service.data_dir))
    assert isinstance(result.exception, Unauthenticated)
    assert TOKEN[20:60] not in str(result.exception)


def test_a_file_without_a_token_is_refused_and_its_text_is_in_no_error(service: Service, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    for text in ("secret one\nsecret two\n", "", "s\u00e9cret", "secret" * 2000, "secret\x00"):
        wrong.write_text(text)
        result = run("list", "--token-file", str(wrong), "--data-dir", str(service.data_dir))
        assert isinstance(result.exception, ConfigurationError)
        assert "secret" not in result.exception.message + result.exception.hint
    wrong.write_bytes(b"\xff\xfe")
    assert isinstance(run("list", "--token-file", str(wrong)).exception, KmsError)


def test_no_token_is_made_that_has_no_place_or_makes_no_sense(service: Service, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    before = at(service, "list", "--json")
    for more in (("--out", str(taken)), ("--out", str(tmp_path / "none" / "token"))):
        result = run("mint", "--scope", "kms:read", *more, "--data-dir", str(service.data_dir))
        assert isinstance(result.exception, ConfigurationError)
    result = run("mint", "--scope", "kms:reed", "--data-dir", str(service.data_dir))
    assert isinstance(result.exception, BadRequest)
    assert "scope" in result.exception.message
    assert at(service, "list", "--json") == before


def test_an_authority_that_is_none_is_named(service: Service, tmp_path: Path) -> None:
    none = tmp_path / "none.pem"
    for _ in range(2):
        result = run("list", "--url", "https://127.0.0.1:1", "--ca", str(none), "--data-dir", str(service.data_dir))
        assert isinstance(result.exception, ConfigurationError)
        assert str(none) in result.exception.message
        none.write_text("not PEM")
