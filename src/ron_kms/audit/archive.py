"""Moves old records of a log, with the tiles of their hashes, to another place.

The tiles above stay: they are a 256th as large, and stand for what was moved, so that the log can still be proven whole
and be gone on with. The index before which tiles may be elsewhere is written down first (tlog-tiles' minimum index):
what is missing without it is a loss.
"""

from __future__ import annotations

from pathlib import Path

from ron_kms.audit.checkpoint import Checkpoint
from ron_kms.audit.files import put
from ron_kms.audit.journal import FOLDER as JOURNAL
from ron_kms.audit.reading import read_bundle
from ron_kms.audit.source import MINIMUM, Folder, read_minimum, read_tile
from ron_kms.audit.tiles import ENTRIES, encode_bundle, path
from ron_kms.audit.tree import TILE_WIDTH, fold, leaf_hash
from ron_kms.errors import Malformed


def archive(folder: Path, checkpoint: Checkpoint, before: int, target: Path) -> int:
    """Move the full bundles, and their tiles, whose records all come before an index.

    They are compared with the tiles above, copied, and only taken away once the copies are on the disk. What the
    journal has as well stays, for a start compares them. The service may run meanwhile; what was interrupted is done by
    another call.

    :param checkpoint: the log's newest, whose signatures were checked.
    :param target: the folder for this log's; tiles and bundles have the same paths in it.
    :returns: how many bundles it has moved.
    :raises Malformed: a bundle is missing or not what the tree was made of; nothing is taken away then.
    :raises OSError: something cannot be read or written.
    """
    source = Folder(folder)
    minimum = read_minimum(source)
    journal = [int(file.name) for file in (folder / JOURNAL).glob("[0-9]*")]
    end = min(before, checkpoint.size, *journal) // TILE_WIDTH
    moved = [number for number in range(end) if not _is_gone(folder, number, minimum)]
    for number in moved:
        for part, data in _checked(source, number, checkpoint.size).items():
            put(target, part, data)
    if end * TILE_WIDTH > minimum:
        put(folder, MINIMUM, f"{end * TILE_WIDTH}\n".encode())
    for number in moved:
        for part in _parts(number):
            (folder / part).unlink(missing_ok=True)
    return len(moved)


def _parts(number: int) -> tuple[str, str]:
    return path(0, number), path(ENTRIES, number)


def _is_gone(folder: Path, number: int, minimum: int) -> bool:
    """Whether it was moved before; what was copied and not taken away is moved again."""
    return (number + 1) * TILE_WIDTH <= minimum and not any((folder / part).exists() for part in _parts(number))


def _checked(source: Folder, number: int, size: int) -> dict[str, bytes]:
    records = read_bundle(source, number, TILE_WIDTH)
    hashes = [leaf_hash(record) for record in records]
    above, at = divmod(number, TILE_WIDTH)
    row = read_tile(source, 1, above, min(TILE_WIDTH, size // TILE_WIDTH - above * TILE_WIDTH))
    if row is None or row[at] != fold(hashes):
        raise Malformed(f"{path(ENTRIES, number)}: its records are not those that the tree was made of")
    tile, bundle = _parts(number)
    return {tile: b"".join(hashes), bundle: encode_bundle(records)}
