"""Where ``ron-kms audit`` finds logs and their keys: folders, or a running service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import click

from ron_kms.audit.checkpoint import Checkpoint, verify_all
from ron_kms.audit.lines import MAX_TEXT
from ron_kms.audit.note import MAX_NOTE, NoteKey, parse_keys
from ron_kms.audit.source import KEYS, Folder, Source, read_file, read_minimum, read_note
from ron_kms.cli.client import Client
from ron_kms.cli.place import connect, data_folder, with_service
from ron_kms.errors import ConfigurationError, Malformed

F = TypeVar("F", bound=Callable[..., Any])

WRONG = 3
"""Exit code where a log is not as it was written."""

LOGS = "audit"
"""The folder of all logs in a data folder, and the service's path for them."""
_PARTS = ("checkpoint", "journal", "tile")


class Service:
    """A log that a running service gives out.

    :param more: folders, searched for what it has no longer.
    """

    def __init__(self, client: Client, origin: str, more: Sequence[Path]) -> None:
        self.name = origin
        self._client = client
        self._more = more

    def read(self, part: str, limit: int) -> bytes | None:
        data = self._client.fetch(f"/{LOGS}/{quote(self.name)}/{part}", limit)
        for place in self._more if data is None else ():
            data = data or read_file(place / part, limit)
        return data


class Place(NamedTuple):
    """A log and what is known of it beforehand.

    :ivar slot: what its origin must end in, by the place where it is; None where that tells nothing.
    :ivar keys: none where neither was any given nor is any recorded.
    :ivar given: whether the keys were given, and not only found beside the log.
    :ivar minimum: records before this one may be elsewhere.
    """

    source: Source
    slot: str | None
    keys: tuple[NoteKey, ...]
    given: bool
    minimum: int


def with_logs(command: F) -> F:
    """Give a command the options that :func:`places` takes."""
    for option in (
        click.option(
            "--tiles",
            multiple=True,
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            help="A folder with tiles that were moved away; may be given more than once.",
        ),
        click.option(
            "--keys",
            "keys_file",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="Verifier keys that you trust, one a line. [default: those recorded beside the log]",
        ),
        click.option("--origin", help="Only the log of this origin, or of this last part of it."),
        click.argument("folder", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False)),
    ):
        command = option(command)
    return with_service("the scope kms:audit and no tenant")(command)


@contextmanager
def places(
    folder: Path | None, origin: str | None, keys_file: Path | None, tiles: Sequence[Path], **service: Any
) -> Iterator[list[Place]]:
    """The logs that the options name.

    :raises ConfigurationError: there is none.
    :raises Malformed: keys cannot be read.
    """
    given = load_keys(keys_file) if keys_file is not None else None
    if folder is None and service["url"] is not None:
        with connect(**service) as client:
            origins = [str(log["origin"]) for log in client.get(f"/{LOGS}").body["logs"]]
            sources: list[Source] = [
                Service(client, one, _more(tiles, one.rpartition("/")[2])) for one in origins if _named(one, origin)
            ]
            yield _known([_place(source, source.name, given) for source in sources], str(service["url"]), origin)
        return
    place = folder or data_folder(service["data_dir"])
    found = [path for path in find_logs(place) if _named(path.name, origin and origin.rpartition("/")[2])]
    logs = []
    for path in found:
        source = Folder(path, _more(tiles, path.name))
        # A log that a restored store did not know is moved aside under such a name.
        slot = path.name.partition(".unknown-")[0]
        logs.append(_place(source, None if path == place else slot, given))
    yield _known(logs, str(place), origin)


def only(logs: Sequence[Place]) -> Place:
    """The one log that is meant.

    :raises ConfigurationError: there are more.
    """
    if len(logs) > 1:
        names = ", ".join(log.source.name for log in logs)
        raise ConfigurationError(f"there are {len(logs)} logs: {names}", hint="Name one with --origin, or its folder.")
    return logs[0]


def find_logs(folder: Path) -> list[Path]:
    """The folders of logs: this one, or those in it, or those in its ``audit``."""
    if _is_log(folder):
        return [folder]
    inner = folder / LOGS
    if inner.is_dir():  # every folder in it is a log, or what is left of one
        return sorted(path for path in inner.iterdir() if path.is_dir())
    return sorted(path for path in folder.iterdir() if path.is_dir() and _is_log(path))


def load_keys(file: Path) -> tuple[NoteKey, ...]:
    """:raises Malformed: it has no verifier keys, or something else."""
    try:
        return parse_keys(read_file(file, MAX_NOTE) or b"")
    except Malformed as error:
        raise Malformed(f"{file}: {error.message}") from None


def keys_of(log: Place) -> tuple[NoteKey, ...]:
    """:raises ConfigurationError: they are not known."""
    if not log.keys:
        raise ConfigurationError(
            f"the keys of the log at {log.source.name} are not known", hint="Name a file that has them with --keys."
        )
    return log.keys


def checkpoint_of(log: Place) -> tuple[bytes, Checkpoint]:
    """A log's newest checkpoint, as it was signed and read.

    :raises Malformed: there is none, or its signatures do not hold.
    """
    note = read_note(log.source)
    if note is None:
        raise Malformed(f"the log at {log.source.name} has no checkpoint")
    return note, verify_all(note, keys_of(log)).checkpoint


def keys_for(note: bytes, keys: Sequence[NoteKey]) -> tuple[NoteKey, ...]:
    """Those of the log that a checkpoint says it is of; that it is of that log, their signatures prove."""
    claimed = note.partition(b"\n")[0]
    return tuple(key for key in keys if key.name.encode() == claimed)


def read_given(file: Path) -> bytes:
    """A file that the user has named, as much of it as any of these may have."""
    return read_file(file, max(MAX_NOTE, MAX_TEXT)) or b""


def _known(logs: list[Place], where: str, origin: str | None) -> list[Place]:
    if not logs:
        which = f"log {origin}" if origin else "audit log"
        raise ConfigurationError(f"there is no {which} at {where}", hint="Name its folder, or a service with --url.")
    return logs


def _place(source: Source, slot: str | None, given: tuple[NoteKey, ...] | None) -> Place:
    if given is not None:
        keys = keys_for(read_note(source) or b"", given)
    else:
        data = source.read(KEYS, MAX_NOTE)
        keys = parse_keys(data) if data is not None else ()
    return Place(source, slot, keys, given is not None, read_minimum(source))


def _more(tiles: Sequence[Path], slot: str) -> list[Path]:
    """Where tiles of a log may be in folders that were named: there, or in a folder for this log."""
    return [*tiles, *(place / slot for place in tiles)]


def _named(origin: str, wanted: str | None) -> bool:
    return wanted is None or wanted in (origin, origin.rpartition("/")[2])


def _is_log(folder: Path) -> bool:
    return any((folder / part).exists() for part in _PARTS)
