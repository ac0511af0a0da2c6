"""The thread that writes without the GIL: what it has done is there, and what it could not do is said."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ron_kms._core import Writer
from tests.core import child
from tests.counts import count


@pytest.fixture
def told() -> Iterator[int]:
    fd = os.eventfd(0)
    yield fd
    os.close(fd)


@pytest.fixture
def writer(told: int) -> Iterator[Writer]:
    with closing(Writer(told)) as writer:
        yield writer


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("sync", [False, True])
def test_orders_are_written_one_after_another(writer: Writer, told: int, file: int, sync: bool) -> None:
    for number in range(100):
        writer.order(file, b"%04d" % number, sync=sync)
        assert os.eventfd_read(told) == 1
        assert writer.outcome() == 0
        assert writer.outcome() is None
    writer.order(file, b"", sync=sync)
    writer.wait()
    assert writer.outcome() == 0
    assert os.pread(file, 1000, 0) == b"".join(b"%04d" % number for number in range(100))


def test_what_could_not_be_done_is_told_by_its_number(writer: Writer, told: int, file: int) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    source, pipe = os.pipe()
    closed = os.dup(file)
    os.close(closed)
    try:
        for fd, sync, number in (
            (full, False, errno.ENOSPC),
            (pipe, True, errno.EINVAL),  # it can be written and not synced
            (closed, False, errno.EBADF),
            (file, True, 0),
        ):
            writer.order(fd, b"record", sync=sync)
            assert os.eventfd_read(told) == 1
            assert writer.outcome() == number
        assert os.read(source, 10) == b"record"
    finally:
        for fd in (full, source, pipe):
            os.close(fd)


def test_a_pipe_that_is_read_slowly_gets_all_of_it(writer: Writer) -> None:
    data = bytes(range(256)) * 4096
    source, pipe = os.pipe()
    writer.order(pipe, data, sync=False)
    with pytest.raises(RuntimeError, match="not done"):
        writer.order(pipe, b"more", sync=False)
    assert writer.outcome() is None
    found = b""
    while len(found) < len(data):
        found += os.read(source, 1 << 16)
    writer.wait()
    with pytest.raises(RuntimeError, match="nobody has asked"):
        writer.order(pipe, b"more", sync=False)
    assert (writer.outcome(), found) == (0, data)
    os.close(source)
    os.close(pipe)


def test_closing_waits_for_what_is_under_way_and_lets_waiters_go(told: int) -> None:
    writer = Writer(told)
    source, pipe = os.pipe()
    writer.order(pipe, bytes(1 << 17), sync=False)
    waiters = [threading.Thread(target=writer.wait) for _ in range(3)]
    closer = threading.Thread(target=writer.close)
    for thread in (*waiters, closer):
        thread.start()
    read = 0
    while read < 1 << 17:
        read += len(os.read(source, 1 << 16))
    for thread in (*waiters, closer):
        thread.join()
    writer.close()
    writer.wait()
    with pytest.raises(ValueError, match="closed"):
        writer.order(pipe, b"", sync=False)
    with pytest.raises(ValueError, match="closed"):
        writer.outcome()
    os.close(source)
    os.close(pipe)


CLOSED = """
import json, os, sys, threading
from ron_kms._core import Writer
sys.setswitchinterval(1e-6)
told = os.eventfd(0, os.EFD_NONBLOCK)
writers = [Writer(told)]
def wait():
    while writers:
        try:
            writers[0].wait()
        except IndexError:
            pass
waiters = [threading.Thread(target=wait) for _ in range(6)]
for waiter in waiters:
    waiter.start()
for _ in range(int(sys.argv[1])):
    before, writers[0] = writers[0], Writer(told)
    before.close()
writers.pop().close()
for waiter in waiters:
    waiter.join()
print(json.dumps("closed"))
"""


def test_whoever_begins_to_wait_while_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Freed memory is made unlike what it was, so that a use of it shows."""
    monkeypatch.setenv("MALLOC_PERTURB_", "165")
    assert child.result(CLOSED, str(count(300, 3_000))) == "closed"


def threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def test_none_is_left_behind(told: int, file: int) -> None:
    before = threads()
    for _ in range(20):
        Writer(told).order(file, b"x", sync=True)
    assert threads() == before
    assert os.fstat(file).st_size == 20


FORKED = """
import json, os
from ron_kms._core import Writer
writer = Writer(os.eventfd(0))
if not (pid := os.fork()):
    writer.close()
    del writer
    os._exit(7)
print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
"""


def test_a_fork_does_not_wait_for_a_thread_that_it_has_not() -> None:
    assert child.result(FORKED) == 7


LIMITED = """
import json, os, resource, sys
from ron_kms._core import Writer
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
told = os.eventfd(0)
writer = Writer(told)
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
outcomes = []
for data in (b"12345678", b"1234", b"1"):
    writer.order(fd, data, sync=True)
    os.eventfd_read(told)
    outcomes.append(writer.outcome())
print(json.dumps(outcomes))
"""


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    assert child.result(LIMITED, str(tmp_path / "file")) == [0, errno.EFBIG, errno.EFBIG]
    assert (tmp_path / "file").read_bytes() == b"1234567812"  # the rest of a group that was torn
