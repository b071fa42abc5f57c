"""`capacity run`: the whole suite, or some of its notebooks."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from capacity.places import project_folder


@click.command()
@click.option("--profile", default="smoke", show_default=True, help="smoke, standard or full")
@click.option("--only", multiple=True, metavar="NAMES", help="notebooks to run, as database,redis")
@click.option("--into", type=click.Path(path_type=Path), help="the run's folder; one that exists is resumed")
@click.option("--set", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="a notebook's parameter")
def run(profile: str, only: tuple[str, ...], into: Path | None, given: tuple[tuple[str, str], ...]) -> None:
    """Measure by the notebooks, judge what they found, and write the report.

    Names in a list are apart by commas or spaces, or their option is repeated.
    """
    from capacity.display.tables import verdicts_table
    from capacity.suite.parameters import parse_values
    from capacity.suite.run import RunPlan, run_suite

    project = project_folder()
    folder = (into or project / "runs" / datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")).resolve()
    plan = RunPlan(project, profile, only, parse_values(given))
    judged = run_suite(plan, folder, partial(click.echo, err=True))
    click.echo(verdicts_table(judged))
    click.echo(f"report: {folder / 'report.html'}")
