"""`capacity compare`: what became of a system's promises between two runs."""

import sys
from pathlib import Path

import click


@click.command()
@click.argument("before", metavar="A", type=click.Path(path_type=Path))
@click.argument("after", metavar="B", type=click.Path(path_type=Path))
@click.option("--repeated", multiple=True, type=click.Path(path_type=Path), help="a further run of what A measured")
@click.option("--all", "everything", is_flag=True, help="show what did not change, too")
@click.option("--anyway", is_flag=True, help="compare runs of another profile, host or load, with a warning")
def compare(before: Path, after: Path, repeated: tuple[Path, ...], everything: bool, anyway: bool) -> None:
    """Compare run B with run A: what became of each promise.

    Exit code 1 where a promise that A kept is broken in B, 3 where it was not measured again or is undecided, else 0.
    """
    from capacity.display.comparison import compare_runs
    from capacity.run import Run

    runs = [each.resolve() for each in (before, after, *repeated)]
    comparison = compare_runs(*runs, objectives=Run.at(runs[1]).objectives, anyway=anyway)
    for warning in comparison.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(comparison.text(everything=everything))
    sys.exit(comparison.exit_code)
