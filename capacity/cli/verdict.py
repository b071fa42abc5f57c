"""`capacity verdict`: whether a run kept what is promised, for a person and a pipeline."""

import sys
from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="show the promises that hold, too")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="write the verdicts to this file as JSON")
@click.option("--junit", "junit_file", type=click.Path(path_type=Path), help="the same as JUnit XML")
def verdict(folder: Path, everything: bool, json_file: Path | None, junit_file: Path | None) -> None:
    """Judge a run again: exit code 0 where all pass, 1 where any fails, 3 where something is undecided."""
    from capacity.exports.verdicts import write_for_pipelines
    from capacity.run import Run, write_verdicts
    from capacity.suite.closing import print_closing

    run = Run.at(folder.resolve())
    write_verdicts(run)
    write_for_pipelines(run, json_file, junit_file)
    print_closing(run, everything=everything)
    sys.exit(run.exit_code)
