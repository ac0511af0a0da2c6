"""What a running service has done is in its logs, and whoever has a copy of them can prove it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from tests.audit.test_cli import run
from tests.server.service import Service, create, serving
from tests.waiting import until

DIGESTS = [blake3(f"item {number}".encode()).digest() for number in range(40)]


class Done:
    """A service that has signed, one and many, and verified; and a copy of its logs after its end."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        self.remote = ("--url", service.endpoints["http"], "--token-file", service.data_dir / "admin.token")
        command = [sys.executable, "-m", "ron_kms.cli.main", "audit", "follow", "--operation", "rotate", "--count", "1"]
        following = subprocess.Popen(
            [*command, "--json", *self.remote], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with service.client() as client:
            self.kid = create(client, suite="ed25519")
            self.other = create(client, suite="ed25519")
            self.signed = client.post("/sign", json={"kid": self.kid, "digest": encoded(DIGESTS[0])}).json()
            kids = [self.other if number % 4 == 0 else self.kid for number in range(len(DIGESTS))]
            items = [{"kid": kid, "digest": encoded(digest)} for kid, digest in zip(kids, DIGESTS, strict=True)]
            client.post("/sign:batch", json={"items": items}).raise_for_status()
            client.post(f"/keys/{self.kid.partition('#')[0]}/rotate", json={}).raise_for_status()
        self.mine = [digest for number, digest in enumerate(DIGESTS) if number % 4]
        self.while_running = run("verify", service.data_dir)
        # It tells of the rotation once that is in a checkpoint.
        with service.client() as client:
            for _ in range(60):  # it may have begun behind the first one
                if until(lambda: following.poll() is not None, 1.0):
                    break
                client.post(f"/keys/{self.kid.partition('#')[0]}/rotate", json={}).raise_for_status()
        self.followed, self.follow_error = following.communicate()
        assert "  rotate  " in run("show", *self.remote)[1]
        self.over_http = run("verify", *self.remote, "--json")
        self.keys_over_http = run("keys", *self.remote)[1]
        self.proof_over_http = run("prove", *self.remote, "--index", "2")[1]
        assert service.stop() == 0
        self.copy = folder / "copy"
        shutil.copytree(service.data_dir / "audit", self.copy)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    folder = tmp_path_factory.mktemp("service")
    with serving(folder / ".ron-kms", workers="1") as service:
        yield Done(service, folder)


def shown(done: Done, *arguments: object) -> list[dict[str, Any]]:
    code, out, err = run("show", done.copy, "--json", *arguments)
    assert (code, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def test_its_logs_are_whole(done: Done) -> None:
    assert done.while_running[0] == 0, done.while_running
    code, out, _ = run("verify", done.copy)
    assert code == 0
    assert "WRONG" not in out
    assert "wait in the journal" not in out  # its last act was a checkpoint of all that there was


def test_a_service_gives_its_logs_to_whoever_is_to_check_them(done: Done, tmp_path: Path) -> None:
    code, out, err = done.over_http
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["whole"], told["waiting"]) == (True, None)
    assert 0 < told["records"] <= len(shown(done))  # the last rotations may have come behind that checkpoint
    assert done.keys_over_http == run("keys", done.copy)[1]
    (tmp_path / "keys").write_text(done.keys_over_http)
    (tmp_path / "proof").write_text(done.proof_over_http)
    assert run("check-proof", tmp_path / "proof", "--keys", tmp_path / "keys")[0] == 0


def test_a_service_can_be_followed(done: Done) -> None:
    assert done.follow_error == ""
    told = json.loads(done.followed)
    assert (told["operation"], told["kid"].partition("#")[0]) == ("rotate", done.kid.partition("#")[0])


def test_all_that_it_did_is_in_them(done: Done) -> None:
    operations = [(record["operation"], record["count"]) for record in shown(done)]
    assert operations.count(("create", 1)) == 2
    assert ("sign", 1) in operations
    assert sorted(count for operation, count in operations if operation == "sign:batch") == [10, 30]
    assert any("rotate" in operation for operation, _ in operations)
    (one,) = shown(done, "--operation", "sign")
    assert (one["kid"], one["digest"], one["result"]) == (done.signed["kid"], DIGESTS[0].hex(), "ok")
    assert {record["kid"].partition("#")[0] for record in shown(done, "--kid", done.other.partition("#")[0])} == {
        done.other.partition("#")[0]
    }


def test_an_item_of_a_batch_is_proven_years_later(done: Done, tmp_path: Path) -> None:
    (batch,) = shown(done, "--operation", "sign:batch", "--kid", done.kid.partition("#")[0])
    digests, proof, keys = tmp_path / "digests", tmp_path / "proof", tmp_path / "keys"
    digests.write_text("".join(f"{digest.hex()}\n" for digest in done.mine))
    keys.write_text(run("keys", done.copy)[1])
    slot = batch["origin"].rpartition("/")[2]
    item = ("--index", batch["index"], "--item", 17, "--digests", digests, "--out", proof)
    code, _, err = run("prove", done.copy, "--origin", slot, *item)
    assert code == 0, err
    code, out, _ = run("check-proof", proof, "--keys", keys)
    assert code == 0
    assert f"item 17 of its 30, digest {done.mine[17].hex()}" in out
    digests.write_text("".join(f"{digest.hex()}\n" for digest in reversed(done.mine)))
    assert run("prove", done.copy, "--origin", slot, *item)[0] == 1


def test_no_payload_and_no_secret_is_in_them(done: Done) -> None:
    everything = b"".join(file.read_bytes() for file in done.copy.rglob("*") if file.is_file())
    assert done.service.token.encode() not in everything
    for signature in done.signed["sigs"]:
        assert base64.b64decode(signature["signature"]) not in everything
