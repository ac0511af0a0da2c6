"""The passphrase seal: opens with the passphrase alone, says nothing more where it does not, and never shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ron_kms import _core
from ron_kms.errors import RootKeyError
from ron_kms.root.ask import LONGEST, passphrase
from ron_kms.root.passphrase import MODERATE, Cost, Passphrase
from ron_kms.root.seals import parse_seal
from tests.backup.command import done, refused
from tests.root.terminal import type_to
from tests.server.service import DIGEST, create, serving

WORDS = "correct horse battery staple"
CHEAP = Cost(1, 8 * 2**20)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return words(tmp_path / "words", WORDS + "\n")


def words(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture
def seal(tmp_path: Path, source: Path) -> Passphrase:
    return Passphrase(tmp_path / "root.json", source, CHEAP)


def test_what_was_made_opens_again(seal: Passphrase) -> None:
    assert seal.load() is None
    assert seal.identify() is None
    made = seal.create()
    loaded = seal.load()
    assert loaded is not None
    assert loaded.id == made.id == seal.identify()
    assert seal.path.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in seal.path.parent.iterdir()} == {"root.json", "words"}


def test_the_format_is_the_one_that_is_documented(seal: Passphrase) -> None:
    """Opened here step by step, from the file alone."""
    made = seal.create()
    file = json.loads(seal.path.read_text())
    assert list(file) == ["root_id", "kdf", "wrapped", "format"]
    assert (file["root_id"], file["format"]) == (made.id, 1)
    kdf = file["kdf"]
    assert (kdf["alg"], kdf["opslimit"], kdf["memlimit"]) == ("argon2id13", *CHEAP)
    key = _core.from_passphrase(WORDS.encode(), bytes.fromhex(kdf["salt"]), kdf["opslimit"], kdf["memlimit"])
    file["wrapped"], wrapped = "", bytes.fromhex(file["wrapped"])
    ad = b"ron-kms/root-key/passphrase/v1\0" + json.dumps(file, separators=(",", ":")).encode()
    assert key.open_key(wrapped, ad).id == made.id


def test_two_files_share_nothing(seal: Passphrase, tmp_path: Path) -> None:
    seal.create().release()
    other = seal.at(tmp_path / "other.json")
    other.create().release()
    one, two = (json.loads(place.path.read_text()) for place in (seal, other))
    assert one["kdf"]["salt"] != two["kdf"]["salt"]
    assert one["wrapped"] != two["wrapped"]


def test_a_new_file_is_as_costly_as_it_is_said() -> None:
    assert Cost(3, 256 * 2**20) == MODERATE
    assert parse_seal("passphrase:/x")._cost == MODERATE  # type: ignore[attr-defined]


@pytest.mark.parametrize("given", [WORDS + " ", WORDS[:-1], WORDS.upper(), "x"])
def test_a_wrong_passphrase_and_a_changed_file_are_one_refusal(seal: Passphrase, source: Path, given: str) -> None:
    seal.create().release()
    messages = set()
    words(source, given)
    with pytest.raises(RootKeyError) as refusal:
        seal.load()
    messages.add(refusal.value.message)
    words(source, WORDS)
    intact = seal.path.read_text()
    file = json.loads(intact)
    for edit in (
        {"root_id": "0" * 16},
        {"wrapped": file["wrapped"][:-2] + "00"},
        {"wrapped": "00"},
        {"kdf": {**file["kdf"], "opslimit": 2}},
        {"kdf": {**file["kdf"], "memlimit": 9 * 2**20}},
        {"kdf": {**file["kdf"], "salt": "0" * 32}},
    ):
        seal.path.write_text(json.dumps({**file, **edit}))
        with pytest.raises(RootKeyError) as refusal:
            seal.load()
        messages.add(refusal.value.message)
    assert messages == {f"the {seal} does not open: the passphrase is wrong, or the file was changed"}
    seal.path.write_text(intact)
    assert seal.load() is not None


@pytest.mark.parametrize(
    "edit",
    [
        {"kdf": {"memlimit": 2**40}},
        {"kdf": {"memlimit": 1024}},
        {"kdf": {"opslimit": 0}},
        {"kdf": {"opslimit": 10**9}},
        {"kdf": {"alg": "scrypt"}},
        {"kdf": {"salt": "00"}},
        {"format": 2},
        {"wrapped": "zz"},
        {"more": 1},
        {"root_id": 7},
    ],
)
def test_what_is_not_such_a_file_is_refused_before_anyone_is_asked(seal: Passphrase, edit: dict[str, object]) -> None:
    seal.create().release()
    file = json.loads(seal.path.read_text())
    kdf = edit.get("kdf", {})
    assert isinstance(kdf, dict)
    seal.path.write_text(json.dumps({**file, **edit, "kdf": {**file["kdf"], **kdf}}))
    unasked = Passphrase(seal.path, Path("/nowhere"), CHEAP)
    for ask in (unasked.load, unasked.identify):
        with pytest.raises(RootKeyError, match="does not hold a root key under a passphrase"):
            ask()


def test_the_file_must_be_private(seal: Passphrase) -> None:
    seal.create().release()
    seal.path.chmod(0o640)
    with pytest.raises(RootKeyError, match="others"):
        seal.load()


@pytest.mark.parametrize(
    ("text", "words_for_it"),
    [("", "is empty"), ("\nsecond line", "is empty"), ("x" * (LONGEST + 1), "longer than"), ("short\n", "at least")],
)
def test_passphrases_that_are_refused(tmp_path: Path, text: str, words_for_it: str) -> None:
    with pytest.raises(RootKeyError, match=words_for_it), passphrase(words(tmp_path / "words", text), new=True):
        pass


def test_files_that_are_refused(tmp_path: Path) -> None:
    open_to_others = words(tmp_path / "words", WORDS)
    open_to_others.chmod(0o644)
    for path, told in [
        (open_to_others, "others"),
        (tmp_path / "none", "cannot be opened"),
        (tmp_path, "cannot be read"),
    ]:
        with pytest.raises(RootKeyError, match=told), passphrase(path, new=False):
            pass


@pytest.mark.parametrize("end", ["", "\n", "\nmore\n"])
def test_the_first_line_is_taken_and_wiped(tmp_path: Path, end: str) -> None:
    with passphrase(words(tmp_path / "words", "ä" * 20 + end), new=True) as given:
        assert bytes(given) == ("ä" * 20).encode()
        room = given.obj
        assert isinstance(room, bytearray)
    assert room == bytes(LONGEST + 1)


def test_an_inherited_descriptor(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, WORDS.encode())
    os.close(writer)
    with passphrase(Path(f"/dev/fd/{reader}"), new=False) as given:
        assert bytes(given) == WORDS.encode()
    os.close(reader)


def test_nobody_to_ask(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from ron_kms.errors import RootKeyError
from ron_kms.root.seals import parse_seal
try:
    parse_seal(f"passphrase:{sys.argv[1]}").create()
except RootKeyError as error:
    print(error.message)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "root.json")],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    assert ended.stdout == "there is no terminal to ask for the passphrase of the root key\n"
    assert list(tmp_path.iterdir()) == []


def test_at_the_terminal(tmp_path: Path, source: Path) -> None:
    """The service under a keyfile, moved to a passphrase at a terminal, and started with it from a file."""
    data_dir = tmp_path / "data"
    with serving(data_dir, workers="1") as service, service.client() as client:
        kid = create(client)
    seal = f"passphrase:{data_dir / 'root.json'}"
    rotate = ["root", "rotate", "--seal", seal]
    for answers, told in [(["short"], "at least 12 bytes"), ([WORDS, WORDS + "x"], "passphrases differ")]:
        code, seen = type_to(data_dir, rotate, answers)
        assert (code, told in seen) == (1, True), seen
    code, seen = type_to(data_dir, rotate, [WORDS, WORDS])
    assert code == 0, seen
    assert "New passphrase of the root key: " in seen
    assert WORDS not in seen
    assert f"KMS_SEAL={seal}" in seen
    shown = done(data_dir, "root", "show", seal=seal)
    assert "(seal: passphrase)" in shown
    assert len({line.split()[-1] for line in shown.replace(" (seal: passphrase)", "").splitlines()}) == 1
    code, seen = type_to(data_dir, ["restore", "accept", "--seal", seal], ["wrong"])
    assert (code, "the passphrase is wrong, or the file was changed" in seen) == (1, True), seen
    code, seen = type_to(data_dir, ["restore", "accept"], [WORDS], seal=seal)
    assert (code, "nothing to accept" in seen) == (0, True), seen
    with (
        serving(data_dir, workers="1", seal=seal, passphrase_file=str(source)) as service,
        service.client() as client,
    ):
        assert client.post("/sign", json={"kid": kid, "digest": DIGEST}).is_success
        assert service.stop() == 0
        assert WORDS not in service.out.read_text() + service.err.read_text()
    # Another passphrase.
    other = words(tmp_path / "other", "some quite different words\n")
    settings = {"seal": seal, "passphrase_file": str(source)}
    done(data_dir, "root", "rotate", "--new-passphrase-file", str(other), **settings)
    assert "the passphrase is wrong" in refused(data_dir, "restore", "accept", **settings)
    done(data_dir, "restore", "accept", seal=seal, passphrase_file=str(other))


def test_a_first_start(tmp_path: Path, source: Path) -> None:
    data_dir = tmp_path / "data"
    settings = {"seal": f"passphrase:{data_dir / 'root.json'}", "passphrase_file": str(source), "workers": "1"}
    with serving(data_dir, **settings) as service, service.client() as client:
        create(client)
    assert not (data_dir / "root.key").exists()
    assert MODERATE.memlimit == json.loads((data_dir / "root.json").read_text())["kdf"]["memlimit"]
