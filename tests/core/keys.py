"""Ways to bring known bytes into a secret and to see a secret's bytes: only through file descriptors."""

from __future__ import annotations

import os

from ron_kms._core import SecretKey


def pipe_with(content: bytes) -> int:
    """The reading end of a pipe that holds ``content`` and then ends."""
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return reading


def read_hex(content: bytes) -> SecretKey:
    """What :meth:`SecretKey.read_hex` makes of a pipe with this content."""
    fd = pipe_with(content)
    try:
        return SecretKey.read_hex(fd)
    finally:
        os.close(fd)


def secret(raw: bytes) -> SecretKey:
    """A secret of these bytes."""
    return read_hex(raw.hex().encode() + b"\n")


def reveal(key: SecretKey) -> bytes:
    """A secret's bytes, by way of :meth:`SecretKey.write_hex`."""
    reading, writing = os.pipe()
    try:
        key.write_hex(writing)
        os.close(writing)
        return bytes.fromhex(os.read(reading, 100).decode())
    finally:
        os.close(reading)
