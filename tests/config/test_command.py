"""``ron-kms config``: what it shows is what a start would be given, and it gives no password away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ron_kms import config
from ron_kms.cli.main import commands
from ron_kms.errors import ConfigurationError, NotFound


def _run(*arguments: str, **environ: str) -> Result:
    found = CliRunner().invoke(commands, ["config", *arguments], env={"XDG_STATE_HOME": "/state", **environ})
    if found.exception is not None:
        raise found.exception
    return found


def test_show_tells_values_and_where_they_come_from(tmp_path: Path) -> None:
    file = tmp_path / "kms.toml"
    file.write_text('log_level = "error"\nkey_slots = 33\n')
    arguments = ("show", "--config", str(file), "--idle-seconds", "7")
    shown = json.loads(_run(*arguments, "--json", KMS_KEY_SLOTS="44").stdout)["settings"]
    assert list(shown) == [row.name for row in config.DEFINITIONS]
    assert shown["log_level"] == {"value": "error", "source": "file", "reloads": True}
    assert shown["key_slots"] == {"value": 44, "source": "environment", "reloads": False}
    assert shown["idle_seconds"] == {"value": 7.0, "source": "flag", "reloads": True}
    assert shown["data_dir"] == {"value": "/state/ron-kms", "source": "default", "reloads": False}
    assert shown["http_addr"]["value"] == "127.0.0.1:9446"
    assert shown["tls_cert"]["value"] is None
    lines = {line.split()[0]: line.split()[1:] for line in _run(*arguments).stdout.splitlines()}
    assert lines["key_slots"] == ["33", "file"]
    assert lines["idle_seconds"] == ["7", "flag"]
    assert lines["pq_produce_hybrid"] == ["true", "default"]
    assert lines["pq_rollback_window"] == ["604800", "default"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://u:hidden@db:5432/kms", "postgresql://u:***@db:5432/kms"),
        ("postgresql://u:hid/d@e?n#@db/kms", "postgresql://u:***@db/kms"),
        ("postgresql://u@db/kms?sslpassword=hidden&x=hidden", "postgresql://u@db/kms?sslpassword=***&x=***"),
        ("sqlite:////var/lib/a@b/kms.db", "sqlite:////var/lib/a@b/kms.db"),
    ],
)
def test_no_password_is_shown(url: str, told: str) -> None:
    for arguments in (("show",), ("show", "--json")):
        output = _run(*arguments, KMS_STORE_URL=url).output
        assert told in output
        assert "hid" not in output


def test_show_refuses_what_a_start_would_refuse() -> None:
    with pytest.raises(ConfigurationError, match="2 settings are wrong"):
        _run("show", "--workers", "x", KMS_LOG_LEVEL="y")
    assert "KMS_STRANGE is not a setting" in _run("show", KMS_STRANGE="1").stderr


@pytest.mark.parametrize("key", ["idle_seconds", "KMS_IDLE_SECONDS", "--idle-seconds", "idle-seconds"])
def test_explain_by_any_name(key: str) -> None:
    told = json.loads(_run("explain", "--json", key).output)
    assert told == {
        "means": "A connection without a request is closed after this.",
        "must_be": "a number of seconds from 0.1 to 86400",
        "default": "60",
        "changed_by": "a reload (SIGHUP)",
        "environment": "KMS_IDLE_SECONDS",
        "flag": "--idle-seconds",
        "file": "idle_seconds",
        "section": "Connections",
        "used_in": told["used_in"],
    }
    assert "server/serving.py" in told["used_in"]
    assert "KMS_IDLE_SECONDS" in _run("explain", key).output


def test_explain_helps_with_names_that_are_not_there() -> None:
    for key, close in (("wrkers", "workers"), ("tls", "tls_cert"), ("zzz", "config show")):
        with pytest.raises(NotFound) as caught:
            _run("explain", key)
        assert close in (caught.value.hint or "")


def test_every_setting_is_used() -> None:
    def used(row: config.Definition) -> bool:
        return bool(json.loads(_run("explain", "--json", row.name).output)["used_in"])

    assert [row.name for row in config.DEFINITIONS if not used(row)] == []
