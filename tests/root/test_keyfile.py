"""The keyfile seal: made whole and private or not at all, and refused by name when it is not as it was made."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ron_kms.errors import ConfigurationError, RootKeyError
from ron_kms.root.keyfile import Keyfile
from ron_kms.root.seals import parse_seal

DIGITS = "5f" * 32


@pytest.fixture
def keyfile(tmp_path: Path) -> Keyfile:
    return Keyfile(tmp_path / "data" / "root.key")


def put(keyfile: Keyfile, content: bytes, mode: int = 0o600) -> None:
    keyfile.path.parent.mkdir(exist_ok=True)
    keyfile.path.write_bytes(content)
    keyfile.path.chmod(mode)


def test_a_missing_file_is_no_key(keyfile: Keyfile) -> None:
    assert keyfile.load() is None


def test_a_made_key_loads_as_the_same(keyfile: Keyfile) -> None:
    made = keyfile.create()
    loaded = keyfile.load()
    assert loaded is not None
    assert loaded.id == made.id
    assert len(made.id) == 16


def test_the_file_is_private_whatever_the_umask_says_and_nothing_else_is_left(keyfile: Keyfile) -> None:
    before = os.umask(0)
    try:
        keyfile.create()
    finally:
        os.umask(before)
    assert keyfile.path.stat().st_mode & 0o777 == 0o600
    assert keyfile.path.parent.stat().st_mode & 0o777 == 0o700
    assert list(keyfile.path.parent.iterdir()) == [keyfile.path]
    assert len(keyfile.path.read_bytes()) == 65


def test_two_keys_differ(tmp_path: Path) -> None:
    assert Keyfile(tmp_path / "a").create().id != Keyfile(tmp_path / "b").create().id


def test_create_never_replaces_a_key(keyfile: Keyfile) -> None:
    made = keyfile.create()
    content = keyfile.path.read_bytes()
    assert keyfile.create().id == made.id
    assert keyfile.path.read_bytes() == content


def test_starters_at_once_agree_on_one_key(keyfile: Keyfile) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = {future.result().id for future in [pool.submit(keyfile.create) for _ in range(8)]}
    assert len(ids) == 1
    assert list(keyfile.path.parent.iterdir()) == [keyfile.path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o666, 0o610, 0o601])
def test_a_key_open_to_others_is_refused(keyfile: Keyfile, mode: int) -> None:
    put(keyfile, f"{DIGITS}\n".encode(), mode)
    with pytest.raises(RootKeyError) as refused:
        keyfile.load()
    assert str(keyfile.path) in refused.value.message
    assert f"chmod 600 {keyfile.path}" in refused.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_key_of_another_user_is_refused(keyfile: Keyfile) -> None:
    put(keyfile, f"{DIGITS}\n".encode())
    os.chown(keyfile.path, 54321, 54321)
    with pytest.raises(RootKeyError, match="belongs to another user"):
        keyfile.load()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        DIGITS[:-1].encode() + b"\n",
        DIGITS.encode() + b"0\n",
        DIGITS.encode() + b"\n\n",
        DIGITS.encode() + b"\n" + DIGITS.encode() + b"\n",
        b" " + DIGITS.encode(),
        DIGITS[:-2].encode() + b"xy\n",
        b"\0" * 65,
        b"\x80" * 64,
        os.urandom(4096),
    ],
    ids=["empty", "newline", "short", "long", "two newlines", "twice", "space", "no digits", "zeros", "high", "binary"],
)
def test_something_else_is_refused_without_telling_it(keyfile: Keyfile, content: bytes) -> None:
    put(keyfile, content)
    with pytest.raises(RootKeyError) as refused:
        keyfile.load()
    assert str(keyfile.path) in refused.value.message
    assert "does not hold a root key" in refused.value.message
    assert DIGITS[:16] not in refused.value.message + refused.value.hint


def test_digits_without_a_newline_are_a_key(keyfile: Keyfile) -> None:
    put(keyfile, DIGITS.encode())
    with_newline = Keyfile(keyfile.path.with_name("other"))
    put(with_newline, DIGITS.encode() + b"\n")
    one, other = keyfile.load(), with_newline.load()
    assert one is not None
    assert other is not None
    assert one.id == other.id


def test_what_is_no_regular_file_is_refused_and_does_not_hang(keyfile: Keyfile) -> None:
    keyfile.path.parent.mkdir()
    os.mkfifo(keyfile.path, 0o600)
    with pytest.raises(RootKeyError, match="not a regular file"):
        keyfile.load()
    keyfile.path.unlink()
    keyfile.path.mkdir(mode=0o700)
    with pytest.raises(RootKeyError, match="not a regular file"):
        keyfile.load()


def test_a_dangling_link_is_never_filled(keyfile: Keyfile) -> None:
    keyfile.path.parent.mkdir()
    keyfile.path.symlink_to("nowhere")
    assert keyfile.load() is None
    with pytest.raises(RootKeyError):
        keyfile.create()
    assert not keyfile.path.exists()


def test_a_folder_that_is_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    keyfile = Keyfile(tmp_path / "file" / "root.key")
    with pytest.raises(RootKeyError, match=r"root\.key"):
        keyfile.load()
    with pytest.raises(RootKeyError, match=r"root\.key"):
        keyfile.create()


def test_a_seal_is_told_by_name_and_place(tmp_path: Path) -> None:
    seal = parse_seal(f"keyfile:{tmp_path}/a:b")
    assert seal.name == "keyfile"
    assert str(seal) == f"root key file {tmp_path}/a:b"


@pytest.mark.parametrize("text", ["", "keyfile", "keyfile:", "passphrase:", "pkcs11:token", "Keyfile:/x", "/root.key"])
def test_other_seals_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="seal"):
        parse_seal(text)
