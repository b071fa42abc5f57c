"""`capacity verdict`: whether a run kept what is promised, for a person and a pipeline."""

import sys
from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="show the promises that hold, too")
def verdict(folder: Path, everything: bool) -> None:
    """Judge a run again: exit code 0 where all pass, 1 where any fails, 3 where something is undecided."""
    from capacity.findings import Verdict
    from capacity.run import Run, write_verdicts
    from capacity.suite.closing import print_closing

    run = Run.at(folder.resolve())
    write_verdicts(run)
    verdicts = {each for _, _, each in run.judged}
    print_closing(run, everything=everything)
    sys.exit(1 if Verdict.FAIL in verdicts else 0 if verdicts == {Verdict.PASS} else 3)
