"""`capacity run`: the whole suite, or some of its notebooks."""

import sys
from functools import partial
from pathlib import Path

import click

from capacity.clock import utc_name
from capacity.project import project_folder

INTERRUPTED = 130  # as a shell has it of what Ctrl-C ended


@click.command()
@click.option("--profile", default="smoke", show_default=True, help="smoke, standard or full")
@click.option("--only", multiple=True, metavar="NAMES", help="notebooks to run, as database,redis")
@click.option("--into", type=click.Path(path_type=Path), help="the run's folder; one that exists is resumed")
@click.option("--set", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="a notebook's parameter")
@click.option("--all", "everything", is_flag=True, help="show the promises that hold, too")
def run(
    profile: str, only: tuple[str, ...], into: Path | None, given: tuple[tuple[str, str], ...], everything: bool
) -> None:
    """Measure by the notebooks, judge what they found, and write the report.

    Names in a list are apart by commas or spaces, or their option is repeated.
    """
    from capacity.suite.check.project import refuse_problems
    from capacity.suite.parameters import parse_values

    project = project_folder()
    folder = (into or project / "runs" / utc_name()).resolve()
    parameters = parse_values(given)
    refuse_problems(project, profile, only, parameters)  # at once: what follows takes seconds to load

    from capacity.suite.closing import print_closing
    from capacity.suite.run import RunPlan, run_suite

    plan = RunPlan(project, profile, only, parameters)
    try:
        made = run_suite(plan, folder, partial(click.echo, err=True))
    except KeyboardInterrupt:
        click.echo(f"interrupted; the same command with --into {folder} goes on from here", err=True)
        sys.exit(INTERRUPTED)
    print_closing(made, everything=everything)
    click.echo(f"\nreport: {folder / 'report.html'}")
