"""Where settings come from, which goes first, and how wrong ones are named."""

from __future__ import annotations

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ron_kms import config
from ron_kms.errors import ConfigurationError


def _fault(flags: dict[str, object], environ: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        config.load(flags, environ)
    return caught.value.message


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    settings, warnings, _ = config.load({}, {})
    assert settings.data_dir == Path("/state/ron-kms")
    assert settings.store_url == "sqlite:////state/ron-kms/ron-kms.db"
    assert settings.seal == "keyfile:/state/ron-kms/root.key"
    assert (str(settings.http_addr), str(settings.operator_addr)) == ("127.0.0.1:9446", "127.0.0.1:9909")
    assert settings.workers == config.cores()
    assert not settings.tls
    assert warnings == []


def test_the_state_directory_without_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", "/home/x")
    assert config.state_directory() == Path("/home/x/.local/state/ron-kms")


def test_flags_before_environment_before_file_before_default(tmp_path: Path) -> None:
    file = tmp_path / "kms.toml"
    file.write_text('workers = 3\nkey_slots = 33\nlog_level = "error"\ninsecure_plaintext = true\n')
    settings, _, sources = config.load(
        {"config": str(file), "workers": "5"}, {"KMS_WORKERS": "4", "KMS_KEY_SLOTS": "44", "KMS_CONFIG": "/not/read"}
    )
    assert (settings.workers, settings.key_slots, settings.log_level) == (5, 44, "error")
    assert settings.insecure_plaintext
    assert {name: source for name, source in sources.items() if source != "default"} == {
        "workers": "flag",
        "key_slots": "environment",
        "log_level": "file",
        "insecure_plaintext": "file",
    }
    settings, _, _ = config.load({}, {"KMS_CONFIG": str(file)})
    assert settings.workers == 3


def test_all_faults_at_once_and_no_value_repeated(tmp_path: Path) -> None:
    file = tmp_path / "kms.toml"
    file.write_text('workers = "many-secret"\nno_such_thing = 1\nidle_seconds = true\n')
    environ = {
        "KMS_CONFIG": str(file),
        "KMS_HTTP_ADDR": "secret:0x9",
        "KMS_LOG_LEVEL": "secret",
        "KMS_DEBUG_DUMPABLE": "secret",
        "KMS_KEY_SLOTS": "15",
        "KMS_TLS_KEY": "/secret.pem",
    }
    message = _fault({"drain_seconds": "nan", "workers": "0"}, environ)
    assert "secret" not in message
    for part in (
        "10 settings are wrong:",
        "workers in the file of KMS_CONFIG must be a whole number from 1 to 256",
        "no_such_thing in the file of KMS_CONFIG is not a setting",
        "idle_seconds in the file of KMS_CONFIG must be a number of seconds",
        "KMS_HTTP_ADDR must be an IP address and a port",
        "KMS_LOG_LEVEL must be one of debug, info, warning, error",
        "KMS_DEBUG_DUMPABLE must be true or false",
        "KMS_KEY_SLOTS must be a whole number from 16 to 16,384",
        "--workers must be a whole number",
        "--drain-seconds must be",
        "tls_cert and tls_key are needed together",
    ):
        assert part in message
    assert len(message.splitlines()) == 11


def test_unknown_environment_names_are_warned_of() -> None:
    assert config.load({}, {"KMS_NO_SUCH_THING": "1", "PATH": "/bin"}).warnings == [
        "KMS_NO_SUCH_THING is not a setting of this version and changes nothing"
    ]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("localhost:80", ("127.0.0.1", 80)),
        ("[::1]:9446", ("::1", 9446)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    found = config.load({}, {"KMS_HTTP_ADDR": text}).settings.http_addr
    assert found == address
    assert found.loopback


@pytest.mark.parametrize("text", ["", "9446", ":9446", "example.org:1", "127.0.0.1:", "127.0.0.1:65536", "1.2.3:4"])
def test_wrong_addresses(text: str) -> None:
    assert "KMS_HTTP_ADDR must be an IP address and a port" in _fault({}, {"KMS_HTTP_ADDR": text})


def test_plain_text_off_loopback_must_be_asked_for() -> None:
    for address in ("0.0.0.0:9446", "192.0.2.1:9446", "[::]:9446"):
        assert "http_addr is not on loopback" in _fault({}, {"KMS_HTTP_ADDR": address})
        assert "operator_addr is not on loopback" in _fault({}, {"KMS_OPERATOR_ADDR": address})
        config.load({"insecure_plaintext": True}, {"KMS_HTTP_ADDR": address})
        config.load({"tls_cert": "/c", "tls_key": "/k"}, {"KMS_HTTP_ADDR": address})
    assert config.Address("0.0.0.0", 1).reachable == ("127.0.0.1", 1)
    assert config.Address("::", 1).reachable == ("::1", 1)
    assert str(config.Address("::1", 1)) == "[::1]:1"


def test_contradictions() -> None:
    assert "tls_client_ca needs" in _fault({"tls_client_ca": "/ca"}, {})
    assert "are the same" in _fault({"http_addr": "127.0.0.1:1", "operator_addr": "127.0.0.1:1"}, {})


def test_files_that_cannot_be_read_are_named_by_their_origin(tmp_path: Path) -> None:
    assert (
        _fault({"config": str(tmp_path / "none")}, {})
        == "the file of --config cannot be read: No such file or directory"
    )
    (tmp_path / "bad").write_text("[[[")
    assert _fault({}, {"KMS_CONFIG": str(tmp_path / "bad")}).startswith(
        "the file of KMS_CONFIG is not TOML: see line 1, "
    )


def test_every_field_has_a_definition() -> None:
    assert [row.name for row in config.DEFINITIONS] == list(config.Settings.__struct_fields__)
    assert len({row.env for row in config.DEFINITIONS}) == len(config.DEFINITIONS)
    for row in config.DEFINITIONS:
        assert row.knob.help.endswith(".")


def test_the_reference_page_is_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    if not page.is_file():
        pytest.skip("not run from the source tree")
    assert page.read_text() == config.reference(), "write it anew: python -m ron_kms.config > docs/configuration.md"


def test_the_example_in_the_reference_page_is_a_file(tmp_path: Path) -> None:
    example = config.reference().partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "kms.toml").write_text(example)
    assert config.load({"config": str(tmp_path / "kms.toml")}, {}).settings.workers == 4


_ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)


@given(flags=st.dictionaries(st.sampled_from([row.name for row in config.DEFINITIONS]), _ANYTHING, max_size=8))
def test_whatever_comes_is_taken_or_refused(flags: dict[str, Any]) -> None:
    with contextlib.suppress(ConfigurationError):
        settings = config.load(flags, {}).settings
        assert all(getattr(settings, name) is not None for name, value in flags.items() if value is not None)


@given(name=st.sampled_from([row.name for row in config.DEFINITIONS]), secret=st.uuids())
def test_no_fault_repeats_a_value(name: str, secret: UUID) -> None:
    with contextlib.suppress(ConfigurationError):
        config.load({name: str(secret)}, {})
        return
    assert str(secret) not in _fault({name: str(secret)}, {})


@given(
    sources=st.fixed_dictionaries(
        {}, optional={source: st.integers(16, 16_384) for source in ("flag", "environment", "file")}
    )
)
def test_the_strongest_source_wins(sources: dict[str, int]) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder, "kms.toml")
        file.write_text(f"key_slots = {sources['file']}" if "file" in sources else "")
        environ = {"KMS_CONFIG": str(file)}
        if "environment" in sources:
            environ["KMS_KEY_SLOTS"] = str(sources["environment"])
        loaded = config.load({"key_slots": sources.get("flag")}, environ)
    strongest = next((source for source in ("flag", "environment", "file") if source in sources), "default")
    assert loaded.sources["key_slots"] == strongest
    assert loaded.settings.key_slots == sources.get(strongest, 1024)


def test_a_renewal_takes_what_may_change_and_names_what_waits() -> None:
    before = config.Settings()
    after = msgspec.structs.replace(before, log_level="debug", workers=before.workers + 1, key_slots=16)
    renewal = config.renew(before, after)
    assert renewal.settings == msgspec.structs.replace(before, log_level="debug")
    assert (renewal.changed, renewal.waiting) == (("log_level",), ("workers", "key_slots"))
    assert config.renew(before, before) == (before, (), ())


@given(data=st.data())
def test_a_renewal_leaves_nothing_that_contradicts_itself(data: st.DataObject) -> None:
    modes = st.sampled_from(["or", "and", "pq_only"])
    before = msgspec.structs.replace(config.Settings(), pq_produce_hybrid=data.draw(st.booleans()))
    after = msgspec.structs.replace(
        before,
        pq_verify_mode=data.draw(modes),
        pq_produce_hybrid=data.draw(st.booleans()),
        workers=data.draw(st.integers(1, 9)),
    )
    if after.pq_verify_mode == "and" and not after.pq_produce_hybrid:
        with pytest.raises(ConfigurationError):
            config.renew(before, after)
    else:
        renewed = config.renew(before, after)
        assert renewed.settings == msgspec.structs.replace(after, workers=before.workers)
