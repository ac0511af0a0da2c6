"""What the service has written is checked as it lies there, with the journal behind the checkpoint."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ron_kms.audit.journal import GROUP_HEAD, SEGMENT_BYTES, encode_group, read_segments
from ron_kms.audit.keys import keys_of
from ron_kms.audit.note import NoteKey, parse_keys
from ron_kms.audit.result import Result
from ron_kms.audit.source import KEYS, Folder
from ron_kms.audit.tail import read_tail
from ron_kms.audit.verify import check_log
from ron_kms.store.audit import load_logs
from tests.audit.place import SLOW, Place, crash, records
from tests.audit.test_cli import run
from tests.waiting import until

SIZE, MORE = 600, 40


class Written:
    """A log of 600 records with a checkpoint, and 40 behind it."""

    def __init__(self, folder: Path) -> None:
        self.place = Place(folder)
        with closing(self.place.store()) as store:
            trail = self.place.open(store)
            trail.append(records(0, SIZE)).result()
            assert trail.close()
            trail = self.place.open(store, pace=SLOW._replace(checkpoint=3600))
            for number in range(MORE // 10):
                trail.append(records(SIZE + 10 * number, 10)).result()
            (log,) = store.database.read(lambda connection: load_logs(connection, store.rows)).result()
            self.keys: tuple[NoteKey, ...] = tuple(keys_of(log))
            self.copy = folder / "copy"
            shutil.copytree(self.place.audit / "0", self.copy)
            trail.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("written"))


@pytest.fixture
def folder(written: Written, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written.copy, tmp_path / "0"))


def check(written: Written, folder: Path) -> Result:
    return check_log(Folder(folder), written.keys)


def newest(folder: Path) -> Path:
    return max(segment.path for segment in read_segments(folder / "journal") if segment.groups)


def test_a_log_as_the_service_writes_it(written: Written, folder: Path) -> None:
    result = check(written, folder)
    assert [str(finding) for finding in result.findings] == []
    assert (result.records, result.waiting, result.proven) == (SIZE, MORE, True)
    entries = list(read_tail(Folder(folder), SIZE))
    assert [entry.number for entry in entries] == list(range(SIZE, SIZE + MORE))
    assert [entry.data for entry in entries] == records(SIZE, MORE)


def test_they_are_shown(written: Written, folder: Path) -> None:
    _, out, _ = run("show", folder, "--json", "--index", SIZE - 2, "--last", SIZE + 1)
    assert [json.loads(line)["index"] for line in out.splitlines()] == [SIZE - 2, SIZE - 1, SIZE, SIZE + 1]
    assert len(run("show", folder, "--request-id", f"request-{SIZE + MORE - 1}")[1].splitlines()) == 1


def test_its_keys_are_beside_it(written: Written) -> None:
    assert parse_keys((written.copy / KEYS).read_bytes()) == written.keys


def test_a_closed_log(written: Written) -> None:
    result = check(written, written.place.audit / "0")
    assert (result.whole, result.records, result.waiting) == (True, SIZE + MORE, 0)


def test_a_copy_without_a_journal(written: Written, folder: Path) -> None:
    shutil.rmtree(folder / "journal")
    result = check(written, folder)
    assert (result.whole, result.waiting) == (True, None)


def test_a_torn_end_is_what_a_crash_leaves(written: Written, folder: Path) -> None:
    file = newest(folder)
    (segment,) = [segment for segment in read_segments(file.parent) if segment.path == file]
    file.write_bytes(file.read_bytes()[: segment.good - 3])
    result = check(written, folder)
    assert (result.whole, result.waiting) == (True, MORE - 10)


def test_a_changed_record_that_others_followed(written: Written, folder: Path) -> None:
    file = newest(folder)
    data = bytearray(file.read_bytes())
    data[GROUP_HEAD + 20] ^= 1
    file.write_bytes(data)
    result = check(written, folder)
    (finding,) = result.findings
    assert finding.file == f"journal/{file.name}"
    assert (finding.record, finding.byte) == (int(file.name), 0)
    assert "or what was written with it was changed" in finding.what


def test_a_group_cut_out(written: Written, folder: Path) -> None:
    file = newest(folder)
    groups = [encode_group(SIZE + 10 * number, 0, records(SIZE + 10 * number, 10)) for number in (0, 2, 3)]
    assert int(file.name) == SIZE
    file.write_bytes(b"".join(groups))
    result = check(written, folder)
    (finding,) = result.findings
    assert finding.what == f"it goes on with record {SIZE + 20} after {SIZE + 10}"
    assert finding.byte == len(groups[0])


def test_a_journal_of_other_records(written: Written, folder: Path) -> None:
    """Those that the tiles have as well must be the same in both, and the others must be records."""
    for file in (folder / "journal").iterdir():
        file.unlink()
    (folder / "journal" / f"{SIZE - 2:020}").write_bytes(
        encode_group(SIZE - 2, 0, [records(SIZE - 2, 1)[0], records(7, 1)[0], b"no record"])
    )
    told = [finding.what for finding in check(written, folder).findings]
    assert told[0] == f"record {SIZE - 1} is not the one that the tiles have"
    assert told[1].startswith(f"record {SIZE}: a record of version 1 was expected")
    assert len(told) == 2


def test_a_file_of_the_journal_lost(written: Written, folder: Path) -> None:
    file = newest(folder)
    file.rename(file.with_name(f"{SIZE + 5:020}"))
    (finding, *_) = check(written, folder).findings
    assert finding.what == f"it begins with record {SIZE + 5}, and {SIZE} was to come"
    for other in (folder / "journal").iterdir():
        if int(other.name) < SIZE:
            other.unlink()
    (finding, *_) = check(written, folder).findings
    assert finding.what == f"records {SIZE} to {SIZE + 4} are missing"


def test_a_log_that_is_being_written(tmp_path: Path) -> None:
    """Whenever it is looked at, it is whole."""
    place = Place(tmp_path)
    with closing(place.store()) as store:
        trail = place.open(store, pace=SLOW._replace(head=0.0, checkpoint=0.0, records=50))
        (log,) = store.database.read(lambda connection: load_logs(connection, store.rows)).result()
        keys, seen = keys_of(log), set()
        for number in range(30):
            trail.append(records(40 * number, 40)).result()
            result = check_log(Folder(place.audit / "0"), keys)
            assert [str(finding) for finding in result.findings] == []
            assert result.verified is not None
            seen.add(result.verified.checkpoint.size)
        assert until(lambda: len(seen) > 1)
        crash(trail)
        trail.close()


@given(data=st.binary(max_size=400), kept=st.integers(0, 3), at=st.integers(0, 400))
def test_any_journal_is_read_or_refused(
    written: Written, tmp_path_factory: pytest.TempPathFactory, data: bytes, kept: int, at: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    groups = b"".join(encode_group(SIZE + number, 0, records(SIZE + number, 1)) for number in range(kept))
    (folder / f"{SIZE:020}").write_bytes(groups[:at] + data + groups[at:])
    (segment,) = read_segments(folder)
    assert segment.good <= segment.size
    assert [record for group in segment.groups for record in group.records] == records(SIZE, len(segment.groups))


@pytest.mark.parametrize("pattern", [b"\0", b"\0\x08", b"\0\0\0\x01", b"\xff"])
def test_a_journal_that_is_made_to_take_long(tmp_path: Path, pattern: bytes) -> None:
    (tmp_path / f"{0:020}").write_bytes(pattern * (SEGMENT_BYTES // len(pattern)))
    (segment,) = read_segments(tmp_path)
    assert (segment.groups, segment.good, segment.later) == ([], 0, 0)
