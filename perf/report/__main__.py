"""``python -m perf.report [RECORDS...]``: write the page."""

from __future__ import annotations

from pathlib import Path

import click

from perf.baselines import FOLDER
from perf.record import RESULTS, host
from perf.report.collect import collect, newest
from perf.report.whole import whole


@click.command()
@click.argument("paths", nargs=-1, metavar="[RECORDS]...", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", default=RESULTS / "report.html", show_default="perf/results/report.html", type=click.Path(path_type=Path)
)
@click.option("--baselines", type=click.Path(path_type=Path), help="Folder of baselines; by default this machine's.")
def main(paths: tuple[Path, ...], out: Path, baselines: Path | None) -> None:
    """One HTML page from records: files, or folders of them; by default those in perf/results.

    Of runs of the same subject the newest counts.
    """
    found = collect(paths or (RESULTS,))
    for path, why in found.refused:
        click.echo(f"left out, it is no record: {path}: {why}", err=True)
    records = newest(found.records)
    if not records:
        raise click.ClickException("there are no records; python -m perf.load run --mix sign writes one")
    out.parent.mkdir(parents=True, exist_ok=True)
    kept = collect([baselines or FOLDER / host().name]).records
    beside = [one for one in [*kept, *found.records] if one.role == "baseline"]
    out.write_text(whole(records, beside), encoding="utf-8")
    click.echo(f"{out}: {len(records)} records, {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
