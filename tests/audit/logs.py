"""Logs on disk, as the service keeps them, made without it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from ron_kms.audit.checkpoint import Checkpoint, Signer, sign
from ron_kms.audit.note import format_keys
from ron_kms.audit.record import encode
from ron_kms.audit.source import CHECKPOINT, KEYS
from ron_kms.audit.tiles import ENTRIES, encode_bundle, path
from ron_kms.audit.tree import Frontier, Tile, leaf_hash
from tests.audit.keys import signers
from tests.audit.test_record import SIGNED

NOW = 1_790_000_000


def records(count: int, first: int = 0) -> list[bytes]:
    """Signatures of a few tenants, one a second."""
    return [
        encode(
            replace(
                SIGNED,
                request_id=f"req-{number}",
                tenant=f"tenant-{number % 3}",
                kid=f"tenant-{number % 3}/audit/0190a5c8-1234-7abc-8def-0123456789ab#v1",
                operation="verify" if number % 5 == 0 else "sign",
                time=(NOW + number) * 1_000_000,
            )
        )
        for number in range(first, first + count)
    ]


class DiskLog:
    """A log's folder; each :meth:`grow` ends in a checkpoint.

    :ivar notes: all checkpoints, by their sizes.
    """

    def __init__(self, folder: Path, origin: str = "deployment/node/0", keys: Sequence[Signer] | None = None) -> None:
        self.folder = folder
        self.origin = origin
        self.signers = tuple(keys or signers(origin))
        self.keys = [one.key for one in self.signers]
        self.records: list[bytes] = []
        self.notes: dict[int, bytes] = {}
        self.checkpoints: dict[int, Checkpoint] = {}
        self._frontier = Frontier()
        self.put(KEYS, format_keys(self.keys))

    def put(self, name: str, data: bytes) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}")
        fresh.write_bytes(data)
        fresh.replace(file)

    def grow(self, fresh: Iterable[bytes], *, partial: bool = True) -> Checkpoint:
        """Append and checkpoint; without ``partial`` the partial bundle that it ends in is left out."""
        fresh = list(fresh)
        first = len(self.records) // 256 * 256
        self.records += fresh
        self._write(self._frontier.append(map(leaf_hash, fresh)))
        self._write(self._frontier.partial())
        for start in range(first, len(self.records), 256):
            bundle = self.records[start : start + 256]
            if partial or len(bundle) == 256:
                self.put(path(ENTRIES, start // 256, len(bundle)), encode_bundle(bundle))
        checkpoint = Checkpoint(self.origin, len(self.records), self._frontier.root)
        self.checkpoints[checkpoint.size] = checkpoint
        self.notes[checkpoint.size] = sign(checkpoint, self.signers, NOW)
        self.put(CHECKPOINT, self.notes[checkpoint.size])
        return checkpoint

    def _write(self, tiles: Iterable[Tile]) -> None:
        for tile in tiles:
            self.put(path(tile.level, tile.number, tile.width), tile.data)
