"""`capacity export`: what monitoring needs of a run."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--to", "into", required=True, type=click.Path(path_type=Path), help="the folder to write to")
@click.option("--format", "formats", multiple=True, metavar="NAMES", help="of these alone, as prometheus,grafana")
def export(folder: Path, into: Path, formats: tuple[str, ...]) -> None:
    """Write a run's alert rules, dashboards, alarms and findings, and say what no metric shows.

    The formats are prometheus, grafana, cloudformation, csv and json.
    """
    from capacity.display.text import aligned
    from capacity.exports import export_run
    from capacity.run import Run

    files, left_out = export_run(Run.at(folder.resolve()), into, formats)
    click.echo(aligned([(str(into / name), held) for name, held in files.items()]))
    if left_out:
        click.echo(f"\nnot exported: no metric\n{aligned(left_out)}")
