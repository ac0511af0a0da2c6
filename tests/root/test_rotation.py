"""A new root key or another seal: everything still opens, nothing of the old one does, and a crash loses neither."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ron_kms.errors import ConfigurationError, KmsError, RootKeyError
from ron_kms.root.keyfile import Keyfile
from ron_kms.store import changes, keys
from ron_kms.store.rotation import Rotated, root_of, rotate_root
from tests.backup.command import done, refused
from tests.counts import count
from tests.root import crash
from tests.server.service import DIGEST, create, serving
from tests.store.sample import Place, add_key


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "data")


def rotate(place: Place, target: Path | None = None) -> Rotated:
    return rotate_root(place.url, Keyfile(place.root), Keyfile(target or place.root), lambda *_: None)


def test_a_new_root_key_in_the_same_place(place: Place) -> None:
    store = place.open()
    kid = add_key(store)
    seal = store.keys.tenant_seal("acme").id
    store.close()
    old = place.root.read_text()
    for n in range(3):
        before = Keyfile(place.root).identify()
        rotated = rotate(place)
        assert rotated.before == before
        assert rotated.after == Keyfile(place.root).identify() != before
        assert rotated.kept == place.root.with_name(f"root.key.{before}.old")
        assert rotated.kept.stat().st_mode & 0o777 == 0o600
        assert Keyfile(rotated.kept).identify() == before
        if n == 0:
            assert rotated.kept.read_text() == old
    assert not place.root.with_name("root.key.next").exists()
    assert root_of(place.url) == (rotated.after, "keyfile")
    store = place.open()
    assert store.keys.tenant_seal("acme").id == seal
    assert store.database.read(lambda connection: keys.load_version(connection, store.rows, kid)).result() is not None
    listed = store.database.read(lambda connection: changes.since(connection, store.rows, 0, 10)).result()
    assert [change.kind for change in listed] == ["key", "root", "root", "root"]
    assert listed[-1].id == rotated.after
    store.close()


def test_a_new_place(place: Place, tmp_path: Path) -> None:
    place.open().close()
    before = Keyfile(place.root).identify()
    target = tmp_path / "elsewhere" / "kms.key"
    rotated = rotate(place, target)
    assert rotated.kept == place.root
    assert Keyfile(place.root).identify() == before
    assert [path.name for path in target.parent.iterdir()] == ["kms.key"]
    with pytest.raises(RootKeyError, match=r"the store is sealed with root key .* \(seal: keyfile\)"):
        place.open()
    place.root.unlink()
    with pytest.raises(RootKeyError, match="is missing"):
        place.open()
    rotate_root(place.url, Keyfile(target), Keyfile(place.root), lambda *_: None)
    place.open().close()


def test_an_old_copy_still_opens_with_the_root_key_that_was_kept(place: Place) -> None:
    place.open().close()
    copy = place.file.read_bytes()
    kept = rotate(place).kept
    assert kept is not None
    place.file.write_bytes(copy)
    with pytest.raises(RootKeyError):
        place.open()
    kept.replace(place.root)
    place.open().close()


def test_what_is_in_the_way_is_never_replaced(place: Place, tmp_path: Path) -> None:
    place.open().close()
    taken = tmp_path / "taken"
    taken.write_text("something else")
    before = place.file.read_bytes(), place.root.read_bytes()
    for current, target in [
        (Keyfile(place.root), Keyfile(taken)),
        (Keyfile(place.root), crash.seal_of(f"passphrase:{place.root}", tmp_path)),
    ]:
        with pytest.raises(KmsError):
            rotate_root(place.url, current, target, lambda *_: None)
    waiting = place.root.with_name("root.key.next")
    place.root.rename(waiting)
    with pytest.raises(ConfigurationError, match="in the way"):
        rotate_root(place.url, Keyfile(waiting), Keyfile(place.root), lambda *_: None)
    waiting.rename(place.root)
    assert (place.file.read_bytes(), place.root.read_bytes()) == before
    assert taken.read_text() == "something else"
    place.open().close()


def test_through_a_link_the_key_itself_is_replaced(place: Place, tmp_path: Path) -> None:
    place.open().close()
    real = tmp_path / "real.key"
    place.root.rename(real)
    place.root.symlink_to(real)
    rotated = rotate(place)
    assert place.root.is_symlink()
    assert Keyfile(real).identify() == rotated.after
    place.open().close()


def test_a_wrong_or_missing_root_key_rotates_nothing(place: Place) -> None:
    with pytest.raises(ConfigurationError, match="never started"):
        rotate(place)
    place.open().close()
    kept = place.root.read_bytes()
    place.root.unlink()
    with pytest.raises(ConfigurationError, match="is missing"):
        rotate(place)
    Keyfile(place.root).create().release()
    with pytest.raises(RootKeyError, match="and the store is sealed with"):
        rotate(place)
    assert not place.root.with_name("root.key.next").exists()
    place.root.write_bytes(kept)
    place.open().close()


def test_what_an_earlier_rotation_left_behind_is_no_hindrance(place: Place) -> None:
    place.open().close()
    before = Keyfile(place.root).identify()
    waiting = place.root.with_name("root.key.next")
    Keyfile(waiting).create().release()
    place.open().close()
    assert Keyfile(place.root).identify() == before
    assert waiting.exists()
    waiting.write_text("half a k")
    stray = place.root.with_name(".root.key.next.0123456789abcdef")
    stray.write_text("half a k")
    place.open().close()
    assert rotate(place).before == before
    assert not waiting.exists()
    assert not stray.exists()
    place.open().close()


def test_a_rotation_to_another_seal_that_was_done_already_says_so(place: Place, tmp_path: Path) -> None:
    place.open().close()
    target = tmp_path / "other.key"
    rotate(place, target)
    with pytest.raises(ConfigurationError, match="in force already"):
        rotate(place, target)
    target.rename(tmp_path / "other.key.next")  # as if it had been killed before the last step
    with pytest.raises(ConfigurationError, match="in force already"):
        rotate(place, target)
    assert target.exists()


@pytest.mark.timeout(count(120, 600))
@pytest.mark.parametrize(
    "seals",
    [
        ["keyfile:{}/root.key"],
        ["keyfile:{}/a.key", "passphrase:{}/b.key"],
        ["passphrase:{}/root.key"],
    ],
)
def test_killed_at_any_moment_every_key_is_there(tmp_path: Path, seals: list[str]) -> None:
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.root.crash",
            str(tmp_path),
            str(count(25, 200)),
            *(seal.format(tmp_path) for seal in seals),
        ],
        capture_output=True,
        text=True,
        timeout=count(110, 590),
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert ended.returncode == 0, ended.stderr
    outcomes = dict(word.split("=") for word in ended.stdout.split())
    assert int(outcomes["killed-old"]) > 2, outcomes
    assert int(outcomes.get("killed-new", 0)) + int(outcomes.get("done-new", 0)) > 2, outcomes


def test_the_commands(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serving(data_dir, workers="1") as service, service.client() as client:
        kid = create(client)
        signed = client.post("/sign", json={"kid": kid, "digest": DIGEST}).json()
        assert "in use by another ron-kms" in refused(data_dir, "root", "rotate")
        shown = done(data_dir, "root", "show").splitlines()
        assert shown[0].startswith("the store is sealed with root key ")
        assert shown[1] == f"the root key file {data_dir / 'root.key'} holds root key {shown[0].split()[7]}"
        assert (data_dir / "root.key").read_text().strip() not in "\n".join(shown)
        assert service.stop() == 0
    told = done(data_dir, "root", "rotate")
    assert f"is kept in {data_dir}/root.key.{shown[0].split()[7]}.old" in told
    assert "KMS_SEAL" not in told
    other = f"keyfile:{tmp_path / 'other.key'}"
    assert f"from now on: KMS_SEAL={other}" in done(data_dir, "root", "rotate", "--seal", other)
    with serving(data_dir, workers="1", seal=other) as service, service.client() as client:
        assert client.post("/verify", json={"digest": DIGEST, **signed}).json()["ok"] is True
        assert client.post("/sign", json={"kid": kid, "digest": DIGEST}).is_success
    assert "there is no store at" in refused(tmp_path / "none", "root", "rotate")
    assert "there is no store at" in refused(tmp_path / "none", "root", "show")
    assert not (tmp_path / "none").exists()
