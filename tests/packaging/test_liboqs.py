"""Which liboqs the build takes, and what it says of one that it does not take."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "wheels" / "build_liboqs.py"

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="the build's sources are not beside the tests")

GOOD = """
#define OQS_VERSION_MAJOR 0
#define OQS_VERSION_MINOR 13
/* #undef OQS_USE_OPENSSL */
#define OQS_ENABLE_KEM_ml_kem_768 1
#define OQS_ENABLE_KEM_ml_kem_1024 1
#define OQS_ENABLE_SIG_ml_dsa_44 1
#define OQS_ENABLE_SIG_ml_dsa_65 1
#define OQS_ENABLE_SIG_ml_dsa_87 1
"""


@pytest.fixture
def build() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like an installed static liboqs, named in the environment."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "liboqs.a").touch()
    (tmp_path / "include" / "oqs").mkdir(parents=True)
    (tmp_path / "include" / "oqs" / "oqsconfig.h").write_text(GOOD)
    monkeypatch.setenv("RON_KMS_LIBOQS_PREFIX", str(tmp_path))
    return tmp_path


def change(prefix: Path, old: str, new: str) -> None:
    config = prefix / "include" / "oqs" / "oqsconfig.h"
    config.write_text(config.read_text().replace(old, new))


def test_an_installed_static_one_is_taken(build: dict[str, Any], prefix: Path) -> None:
    assert build["find"]() == (prefix / "lib" / "liboqs.a", prefix / "include")


def test_lib64_will_do(build: dict[str, Any], prefix: Path) -> None:
    (prefix / "lib").rename(prefix / "lib64")
    assert build["find"]().archive == prefix / "lib64" / "liboqs.a"


def test_a_shared_one_is_refused(build: dict[str, Any], prefix: Path) -> None:
    (prefix / "lib" / "liboqs.a").rename(prefix / "lib" / "liboqs.so")
    with pytest.raises(SystemExit, match="only a shared liboqs: install a static one"):
        build["find"]()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("MINOR 13", "MINOR 12", "has liboqs 0.12: install 0.13 or newer"),
        ("/* #undef OQS_USE_OPENSSL */", "#define OQS_USE_OPENSSL 1", "needs OpenSSL"),
        ("#define OQS_ENABLE_SIG_ml_dsa_87 1", "", "built without SIG_ml_dsa_87"),
    ],
)
def test_an_unfit_one_is_refused(build: dict[str, Any], prefix: Path, old: str, new: str, said: str) -> None:
    change(prefix, old, new)
    with pytest.raises(SystemExit, match=said):
        build["find"]()


def test_headers_are_needed(build: dict[str, Any], prefix: Path) -> None:
    (prefix / "include" / "oqs" / "oqsconfig.h").unlink()
    with pytest.raises(SystemExit, match="install liboqs with its headers"):
        build["find"]()


def test_nothing_there_is_said_so(build: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RON_KMS_LIBOQS_PREFIX", str(tmp_path))
    with pytest.raises(SystemExit, match="has no liboqs"):
        build["find"]()


def test_without_cargo_it_says_what_to_install(build: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RON_KMS_LIBOQS_PREFIX", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit, match=r"needs cargo of Rust 1\.78 or newer"):
        build["find"]()
