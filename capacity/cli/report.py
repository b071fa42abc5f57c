"""`capacity report`: the report of a run that was measured before."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Make a run's report again."""
    from capacity.run import Run
    from capacity.suite.run import write_report_of

    write_report_of(Run.at(folder.resolve()))
    click.echo(f"report: {folder.resolve() / 'report.html'}")
