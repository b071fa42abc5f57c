"""`capacity verdict`: whether a run kept what is promised, for a person and a pipeline."""

import sys
from pathlib import Path

import click

from capacity.places import project_folder


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="show the promises that hold, too")
def verdict(folder: Path, everything: bool) -> None:
    """Judge a run again: exit code 0 where all pass, 1 where any fails, 3 where something is undecided."""
    from capacity.findings import Verdict
    from capacity.judgement import judged_run
    from capacity.suite.closing import print_closing

    verdicts = {each for _, _, each in judged_run(project_folder(), folder.resolve())}
    print_closing(project_folder(), folder.resolve(), everything=everything)
    sys.exit(1 if Verdict.FAIL in verdicts else 0 if verdicts == {Verdict.PASS} else 3)
