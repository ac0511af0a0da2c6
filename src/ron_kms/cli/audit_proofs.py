"""Proofs from the audit logs: made from a log, and checked without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ron_kms.audit import consistency, inclusion
from ron_kms.audit.checkpoint import verify_all
from ron_kms.audit.consistency import ConsistencyProof
from ron_kms.audit.inclusion import InclusionProof
from ron_kms.audit.reading import Entry, read_record
from ron_kms.audit.source import tiles_of
from ron_kms.cli.audit_place import (
    WRONG,
    checkpoint_of,
    keys_for,
    keys_of,
    load_keys,
    only,
    places,
    read_given,
    with_logs,
)
from ron_kms.cli.audit_text import as_json
from ron_kms.errors import ConfigurationError, Malformed

_file = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@with_logs
@click.option("--index", type=click.IntRange(0), help="Prove that this record is in the log.")
@click.option("--item", type=click.IntRange(0), help="And that this item is in its batch; needs --digests.")
@click.option(
    "--digests", type=_file, help="The digests of the batch's items of that key, a line of hexadecimal digits each."
)
@click.option("--old-size", type=click.IntRange(0), help="Prove that the log goes on from its first so many records.")
@click.option("--old-checkpoint", type=_file, help="The same, from a checkpoint that was kept.")
@click.option("--out", type=click.Path(path_type=Path), help="File for the proof. [default: standard output]")
def prove(
    index: int | None,
    item: int | None,
    digests: Path | None,
    old_size: int | None,
    old_checkpoint: Path | None,
    out: Path | None,
    **options: Any,
) -> None:
    """Make a proof that can be checked without the log: of a record, of an item in a batch, or that the log only grew.

    The first two are C2SP tlog-proof; the last is what a witness takes (C2SP tlog-witness, add-checkpoint).
    """
    if [index, old_size, old_checkpoint].count(None) != 2 or (item is None) != (digests is None):
        raise click.UsageError("give --index, with --item and --digests or without; or --old-size; or --old-checkpoint")
    with places(**options) as logs:
        log = only(logs)
        note, checkpoint = checkpoint_of(log)
        read = tiles_of(log.source)
        more = ""
        try:
            if index is not None:
                entry = read_record(log.source, index, checkpoint.size)
                proven = None
                if item is not None and digests is not None:
                    proven = inclusion.prove_item(entry.record, _digests(digests), item)
                proof = inclusion.prove(read, checkpoint.size, index, entry.data, note, proven).format()
            else:
                if old_checkpoint is not None:
                    old_size = verify_all(read_given(old_checkpoint), keys_of(log)).checkpoint.size
                    more = f" --old-checkpoint {old_checkpoint}"
                proof = consistency.prove(read, checkpoint.size, old_size or 0, note).format()
        except IndexError:
            raise ConfigurationError(
                f"the log's checkpoint has {checkpoint.size:,} records, and not that many"
            ) from None
    if out is None:
        click.echo(proof, nl=False)
        return
    out.write_bytes(proof)
    click.echo(f"check it with: ron-kms audit check-proof {out} --keys KEYS{more}", err=True)


@click.command("check-proof")
@click.argument("proof", type=_file)
@click.option("--keys", "keys_file", type=_file, required=True, help="The log's verifier keys, one a line.")
@click.option("--old-checkpoint", type=_file, help="The older checkpoint, where the proof is that the log only grew.")
def check_proof(proof: Path, keys_file: Path, old_checkpoint: Path | None) -> None:
    """Check a proof, with nothing but the log's keys. The exit code is 3 where it does not hold."""
    keys = load_keys(keys_file)
    data = read_given(proof)
    try:
        if data.startswith(b"old "):
            grown = ConsistencyProof.parse(data)
            mine = keys_for(grown.note, keys)
            kept = None if old_checkpoint is None else verify_all(read_given(old_checkpoint), mine).checkpoint
            checkpoint = grown.check(mine, kept).checkpoint
            click.echo(f"holds: {checkpoint.origin} grew from {grown.old:,} to {checkpoint.size:,} records")
            return
        found = InclusionProof.parse(data)
        verified, record = found.check(keys_for(found.note, keys))
    except Malformed as error:
        click.echo(f"does not hold: {error.message}", err=True)
        raise click.exceptions.Exit(WRONG) from None
    origin = verified.checkpoint.origin
    click.echo(f"holds: record {found.index:,} of {origin}, which has {verified.checkpoint.size:,}")
    if found.item is not None:
        click.echo(f"holds: item {found.item.index} of its {record.count:,}, digest {found.item.digest.hex()}")
    click.echo(as_json(origin, Entry(found.index, found.record, record)))


def _digests(file: Path) -> list[bytes]:
    try:
        return [bytes.fromhex(text) for text in read_given(file).decode("ascii").split()]
    except ValueError:
        raise Malformed(f"{file}: digests are 64 hexadecimal digits, one a line") from None
