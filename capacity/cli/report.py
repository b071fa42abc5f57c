"""`capacity report`: the report of a run that was measured before."""

from pathlib import Path

import click

from capacity.places import project_folder


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Make a run's report again."""
    from capacity.suite.run import reported

    reported(project_folder(), folder.resolve())
    click.echo(f"report: {folder.resolve() / 'report.html'}")
