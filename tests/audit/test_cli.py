"""``ron-kms audit`` on folders, as a user calls it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from msgspec.structs import replace

from ron_kms.audit.note import format_keys
from ron_kms.audit.record import decode, encode
from ron_kms.audit.tiles import path
from ron_kms.audit.tree import merkle_root
from ron_kms.cli.main import main
from tests.audit.logs import DiskLog, records
from tests.audit.test_proof_texts import DIGESTS
from tests.audit.test_record import SIGNED

KID = "tenant-1/audit/0190a5c8-1234-7abc-8def-0123456789ab"


class Data:
    """A data folder with two logs, what a careful person kept of the first, and the batch whose record is its 299th."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = [DiskLog(folder / "audit" / slot, f"deployment/node/{slot}") for slot in ("0", "1")]
        batch = replace(SIGNED, count=len(DIGESTS), digest=merkle_root(DIGESTS))
        self.logs[0].grow([*records(298), encode(batch)])
        self.logs[0].grow(records(300, 300))
        self.logs[1].grow(records(20, 1000))
        self.kept = folder / "kept"
        self.kept.write_bytes(self.logs[0].notes[299])
        self.keys = folder / "keys"
        self.keys.write_bytes(format_keys([*self.logs[0].keys, *self.logs[1].keys]))
        self.digests = folder / "digests"
        self.digests.write_text("".join(f"{digest.hex()}\n" for digest in DIGESTS))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return Data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def data(original: Data, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original.folder, tmp_path / "data"))


def run(*arguments: object) -> tuple[int, str, str]:
    """The command in this process: its exit code, and what it has written."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    code = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["ron-kms", "audit", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return code, *(_written(stream) for stream in (out, err))


def _written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def test_verify(original: Data) -> None:
    code, out, err = run("verify", original.folder, "--keys", original.keys, "--expect-checkpoint", original.kept)
    assert (code, err) == (0, "")
    assert "deployment/node/0: 599 records, root " in out
    assert "signed by keys that you gave" in out
    assert out.count("whole: ") == 2
    code, out, _ = run("verify", "--data-dir", original.folder, "--origin", "1", "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["origin"], told["whole"], told["records"], told["keys"]) == ("deployment/node/1", True, 20, "recorded")


def test_verify_says_what_is_wrong(original: Data, data: Path) -> None:
    file = data / "audit/0" / path("entries", 1)
    content = bytearray(file.read_bytes())
    content[2] ^= 1
    file.write_bytes(content)
    code, out, _ = run("verify", data)
    assert code == 3
    assert "WRONG: tile/entries/001, byte 0: record 256 was changed" in out
    assert "the tree itself is proven" in out
    code, out, _ = run("verify", data / "audit/0", "--json")
    (_, finding) = json.loads(out)["findings"]
    assert code == 3
    assert finding == {"what": "record 256 was changed", "file": "tile/entries/001", "record": 256, "byte": 0}


def test_verify_finds_logs_that_changed_places(data: Path) -> None:
    (data / "audit/0").rename(data / "audit/2")
    (data / "audit/1").rename(data / "audit/0")
    (data / "audit/2").rename(data / "audit/1")
    code, out, _ = run("verify", data)
    assert code == 3
    assert "the log at the place of 0 is deployment/node/1" in out
    assert run("verify", data / "audit/0")[0] == 0  # a copy that somebody named may lie anywhere


def test_verify_misses_a_log_whose_keys_it_has(original: Data, data: Path) -> None:
    shutil.rmtree(data / "audit/1")
    assert run("verify", data)[0] == 0
    code, out, _ = run("verify", data, "--keys", original.keys)
    assert code == 3
    assert "deployment/node/1: WRONG: you gave its keys, and it is not here" in out
    for part in (data / "audit/0").iterdir():
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    code, out, _ = run("verify", data)
    assert code == 3
    assert "WRONG: checkpoint: it is missing" in out


def test_verify_of_a_log_that_was_moved_aside(data: Path) -> None:
    (data / "audit/1").rename(data / "audit/1.unknown-0123abcd")
    assert run("verify", data)[0] == 0


def test_verify_with_keys_of_others(original: Data, data: Path, tmp_path: Path) -> None:
    stranger = DiskLog(tmp_path / "stranger", "deployment/node/0")
    for keys in (stranger.folder / "keys", original.logs[1].folder / "keys"):
        code, out, _ = run("verify", data / "audit/0", "--keys", keys)
        assert code == 3
        assert "signed by none of the known keys" in out


def test_verify_of_an_older_state(original: Data, data: Path) -> None:
    shutil.rmtree(data / "audit/0")
    older = DiskLog(data / "audit/0", "deployment/node/0", original.logs[0].signers)
    older.grow(original.logs[0].records[:100])
    assert run("verify", data)[0] == 0
    code, out, _ = run("verify", data, "--expect-checkpoint", original.kept)
    assert code == 3
    assert "the log has 100 records, and had 299 when the kept checkpoint was made" in out


def test_verify_with_tiles_elsewhere(original: Data, data: Path, tmp_path: Path) -> None:
    log = data / "audit/0"
    for part in (path(0, 0), path("entries", 0)):
        (tmp_path / "cold/0" / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(log / part, tmp_path / "cold/0" / part)
    assert run("verify", data)[0] == 3
    assert run("verify", data, "--tiles", tmp_path / "cold")[0] == 0
    (log / "minimum").write_text("256\n")
    code, out, _ = run("verify", data)
    assert code == 0
    assert "records 0 to 255 are not here; they count by the hashes above their tiles" in out
    assert "whole, but for what is not here" in out
    assert run("verify", data, "--complete")[0] == 3
    assert run("verify", data, "--complete", "--tiles", tmp_path / "cold")[0] == 0
    code, out, err = run("show", log, "--index", "250", "--last", "260")
    assert (code, len(out.splitlines())) == (1, 5)
    assert "tile/entries/000: it is missing" in err


def test_what_cannot_be_checked(original: Data, tmp_path: Path) -> None:
    code, _, err = run("verify", tmp_path)
    assert code == 1
    assert "there is no audit log at" in err
    code, _, err = run("verify", original.folder, "--keys", original.kept)
    assert code == 1
    assert "verifier keys are ASCII text" in err
    code, _, err = run("verify", original.logs[1].folder, "--expect-checkpoint", original.kept)
    assert code == 1
    assert "is of none of these logs" in err
    (tmp_path / "token").write_text("a-token\n")
    code, _, err = run("verify", "--url", "http://127.0.0.1:1", "--token-file", tmp_path / "token")
    assert code == 1
    assert "no service answers" in err


def test_show(original: Data) -> None:
    def shown(*arguments: object) -> list[dict[str, object]]:
        code, out, err = run("show", original.folder, "--json", *arguments)
        assert (code, err) == (0, "")
        return [json.loads(line) for line in out.splitlines()]

    everything = shown()
    assert len(everything) == 599 + 20
    times = [record["time"] for record in everything if record["index"] != 298]
    assert times == sorted(times, key=str)
    assert {record["kid"] for record in shown("--kid", KID)} == {f"{KID}#v1"}
    assert shown("--kid", f"{KID}#v2") == []
    assert len(shown("--tenant", "tenant-0", "--operation", "verify", "--origin", "1")) == 1
    assert [record["request_id"] for record in shown("--request-id", "req-7")] == ["req-7"]
    (batch,) = shown("--index", "298", "--origin", "deployment/node/0")
    assert (batch["count"], batch["digest"]) == (300, merkle_root(DIGESTS).hex())
    first = decode(original.logs[1].records[0]).time // 1_000_000
    assert first == 1_790_001_000
    since, until = "2026-09-21T14:30:00Z", "2026-09-21 14:30:05+00:00"
    assert [record["index"] for record in shown("--since", since, "--until", until)] == [0, 1, 2, 3, 4]


def test_show_as_a_table(original: Data) -> None:
    _, out, _ = run("show", original.folder, "--origin", "1", "--last", "1")
    first, second = out.splitlines()
    assert first.split() == [
        "2026-09-21T14:30:00.000Z", "1#0", "verify", "ok", "1", f"{KID}#v1", "tenant-1", "tok-1",
    ]  # fmt: skip
    assert second.split()[1] == "1#1"


def test_a_table_carries_no_commands_to_the_terminal(tmp_path: Path) -> None:
    log = DiskLog(tmp_path / "0")
    log.grow([encode(replace(SIGNED, actor="\x1b[2J\x9b\u202eevil\n"))])
    _, out, _ = run("show", log.folder)
    assert out.isascii()
    assert out.rstrip("\n").isprintable()
    assert "\\x1b[2J\\x9b\\u202eevil\\n" in out


def test_proofs(original: Data, tmp_path: Path) -> None:
    proof = tmp_path / "record.tlog-proof"
    item = ("--item", "7", "--digests", original.digests)
    code, out, err = run("prove", original.logs[0].folder, "--index", "298", *item, "--out", proof)
    assert (code, out) == (0, "")
    assert f"ron-kms audit check-proof {proof} --keys KEYS" in err
    assert run("check-proof", proof, "--keys", original.keys)[0] == 0  # those of other logs do no harm
    code, out, _ = run("check-proof", proof, "--keys", original.logs[0].folder / "keys")
    assert code == 0
    assert out.startswith("holds: record 298 of deployment/node/0, which has 599\n")
    assert f"holds: item 7 of its 300, digest {DIGESTS[7].hex()}" in out
    code, _, err = run("check-proof", proof, "--keys", original.logs[1].folder / "keys")
    assert code == 3
    assert err.startswith("does not hold: ")
    proof.write_bytes(proof.read_bytes().replace(b"index 298", b"index 297"))
    assert run("check-proof", proof, "--keys", original.logs[0].folder / "keys")[0] == 3


def test_a_proof_of_growth(original: Data, tmp_path: Path) -> None:
    keys = original.logs[0].folder / "keys"
    code, out, _ = run("prove", original.folder, "--origin", "0", "--old-checkpoint", original.kept)
    assert code == 0
    assert out.startswith("old 299\n")
    proof = tmp_path / "grown"
    proof.write_text(out)
    code, out, _ = run("check-proof", proof, "--keys", keys, "--old-checkpoint", original.kept)
    assert (code, out) == (0, "holds: deployment/node/0 grew from 299 to 599 records\n")
    assert run("check-proof", proof, "--keys", original.keys, "--old-checkpoint", original.kept)[0] == 0
    assert run("check-proof", proof, "--keys", keys)[0] == 3
    assert run("prove", original.logs[0].folder, "--old-size", "600")[0] == 1
    assert run("prove", original.logs[0].folder, "--old-size", "1", "--index", "1")[0] == 2
    assert "there are 2 logs" in run("prove", original.folder, "--old-size", "1")[2]


def test_keys_and_checkpoint(original: Data) -> None:
    assert run("keys", original.folder)[1] == original.keys.read_text()
    assert run("checkpoint", original.logs[0].folder)[1].encode() == original.logs[0].notes[599]


def test_follow(original: Data, data: Path) -> None:
    folder = data / "audit/1"
    command = [sys.executable, "-m", "ron_kms.cli.main", "audit", "follow"]
    process = subprocess.Popen(
        [*command, folder, "--json", "--interval", "0.1", "--count", "100"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    log = DiskLog(folder, "deployment/node/1", original.logs[1].signers)
    try:
        for _ in range(100):  # it begins at the checkpoint that is newest when it looks first
            log.grow(original.logs[1].records if not log.records else records(150, len(log.records)))
            if process.poll() is not None:
                break
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    numbers = [json.loads(line)["index"] for line in out.splitlines()]
    assert numbers == list(range(numbers[0], numbers[0] + 100))
