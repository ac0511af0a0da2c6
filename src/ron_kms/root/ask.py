"""Where a passphrase comes from: the terminal, without echo, or a file. It never passes through arguments, the
environment or a ``str``: the bytes are read straight into a buffer that is wiped."""

from __future__ import annotations

import contextlib
import hmac
import os
import stat
import termios
from collections.abc import Iterator
from pathlib import Path

from ron_kms.errors import RootKeyError

SHORTEST = 12
"""Bytes of a new passphrase."""
LONGEST = 1024
_LINE_END = ord("\n")
_ECHO_FLAGS = 3  # the place of the local flags in what tcgetattr gives


@contextlib.contextmanager
def passphrase(file: Path | None, *, new: bool) -> Iterator[memoryview]:
    """The passphrase, wiped afterwards.

    :param file: a file, named pipe or inherited descriptor (``/dev/fd/3``), of which the first line is taken; None asks
        at the terminal.
    :param new: one is being set: it must be long enough, and a person types it twice.
    :raises RootKeyError: there is none to be had, or it is too short or too long.
    """
    with _buffer() as given, _buffer() as again:
        if file is not None:
            size = _read_file(file, given)
        else:
            size = _prompt("New passphrase of the root key: " if new else "Passphrase of the root key: ", given)
        if new and size < SHORTEST:
            raise RootKeyError(f"a new passphrase needs at least {SHORTEST} bytes", hint="Take several random words.")
        if new and file is None:
            same = _prompt("The same again: ", again)
            if not hmac.compare_digest(given[:size], again[:same]):
                raise RootKeyError("the two passphrases differ", hint="Try again; nothing was changed.")
        yield given[:size]


@contextlib.contextmanager
def _buffer() -> Iterator[memoryview]:
    """Room for a passphrase, never resized, for that could leave a copy behind."""
    room = bytearray(LONGEST + 1)
    try:
        yield memoryview(room)
    finally:
        room[:] = bytes(len(room))


def _read_file(file: Path, given: memoryview) -> int:
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _refusal(f"the passphrase file {file} cannot be opened: {error.strerror}") from None
    try:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
            raise _refusal(f"the passphrase file {file} may be read or written by others")
        return _read_line(fd, given)
    except OSError as error:
        raise _refusal(f"the passphrase file {file} cannot be read: {error.strerror}") from None
    finally:
        os.close(fd)


def _prompt(text: str, given: memoryview) -> int:
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        raise _refusal("there is no terminal to ask for the passphrase of the root key") from None
    try:
        before = termios.tcgetattr(fd)
        silent = [*before[:_ECHO_FLAGS], before[_ECHO_FLAGS] & ~termios.ECHO, *before[_ECHO_FLAGS + 1 :]]
        try:
            termios.tcsetattr(fd, termios.TCSAFLUSH, silent)
            os.write(fd, text.encode())
            return _read_line(fd, given)
        finally:
            termios.tcsetattr(fd, termios.TCSAFLUSH, before)
            os.write(fd, b"\n")
    except (OSError, termios.error):
        raise _refusal("the terminal does not give the passphrase of the root key") from None
    finally:
        os.close(fd)


def _read_line(fd: int, given: memoryview) -> int:
    """The size of the first line, without its end."""
    used, end = 0, -1
    while end < 0 and used < len(given):
        got = os.readv(fd, [given[used:]])
        if got == 0:
            break
        end = next((i for i in range(used, used + got) if given[i] == _LINE_END), -1)
        used += got
    size = used if end < 0 else end
    if size > LONGEST:
        raise _refusal(f"the passphrase is longer than {LONGEST} bytes")
    if size == 0:
        raise _refusal("the passphrase is empty")
    return size


def _refusal(what: str) -> RootKeyError:
    return RootKeyError(what, hint="Name a file that only you can read with KMS_PASSPHRASE_FILE, or use a terminal.")
