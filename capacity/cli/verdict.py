"""`capacity verdict`: whether a run kept what is promised, for a person and a pipeline."""

import sys
from pathlib import Path

import click

from capacity.places import project_folder


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def verdict(folder: Path) -> None:
    """Judge a run again: exit code 0 where all pass, 1 where any fails, 3 where something is undecided."""
    from capacity.display.tables import verdicts_table
    from capacity.findings import Verdict
    from capacity.judgement import judged_run

    judged = judged_run(project_folder(), folder.resolve())
    click.echo(verdicts_table(judged))
    verdicts = {each for _, _, each in judged}
    sys.exit(1 if Verdict.FAIL in verdicts else 0 if verdicts == {Verdict.PASS} else 3)
