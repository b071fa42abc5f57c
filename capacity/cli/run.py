"""`capacity run`: the whole suite, or some of its notebooks."""

import shlex
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
from click.core import ParameterSource

from capacity.clock import utc_name
from capacity.errors import CapacityError
from capacity.places import project_folder
from capacity.suite.run_folder import RunBrokenOffError, kept_text
from capacity.system.interruption import Interrupted


@click.command()
@click.option("--profile", default="smoke", show_default=True, help="smoke, standard or full")
@click.option("--only", multiple=True, metavar="NAMES", help="notebooks to run, as database,redis")
@click.option("--into", type=click.Path(path_type=Path), help="the run's folder; one that exists is resumed")
@click.option("--set", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="a notebook's parameter")
@click.option("--all", "everything", is_flag=True, help="show the promises that hold, too")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="write the verdicts to this file as JSON")
@click.option("--junit", "junit_file", type=click.Path(path_type=Path), help="the same as JUnit XML")
@click.option("--exit-zero", is_flag=True, help="exit code 0 whatever the verdicts; errors keep theirs")
def run(
    *,
    profile: str,
    only: tuple[str, ...],
    into: Path | None,
    given: tuple[tuple[str, str], ...],
    everything: bool,
    json_file: Path | None,
    junit_file: Path | None,
    exit_zero: bool,
) -> None:
    """Measure by the notebooks, judge what they found, and write the report.

    Names in a list are apart by commas or spaces, or their option is repeated. Exit code 0 where all promises hold, 1
    where one is broken, 3 where something is undecided, 2 for an error.
    """
    project = project_folder()
    folder = (into or project / "runs" / utc_name()).resolve()
    try:
        from capacity.suite.check.project import refuse_problems
        from capacity.suite.parameters import texts_by_name

        parameters = texts_by_name(given)
        refuse_problems(project, profile, only, parameters)  # at once: what follows takes seconds to load

        from capacity.exports.verdicts import write_for_pipelines
        from capacity.suite.closing import print_closing
        from capacity.suite.run import RunPlan, run_suite

        plan = RunPlan(project, profile, only, parameters)
        made = run_suite(plan, folder, partial(click.echo, err=True))
        write_for_pipelines(made, json_file, junit_file)
        print_closing(made, everything=everything)
        click.echo(f"\nreport: {folder / 'report.html'}")
    except Interrupted as asked:
        raise Interrupted(asked.number, f"interrupted; {kept_text(folder, _again(folder))}") from None
    except RunBrokenOffError as error:
        raise CapacityError(f"{error}; {kept_text(folder, _again(folder))}") from None
    sys.exit(0 if exit_zero else made.exit_code)


def _again(folder: Path) -> str:
    """The command that was given, as it goes on in the folder."""
    return shlex.join([*_given(click.get_current_context()), "--into", str(folder)])


def _given(context: click.Context) -> Iterator[str]:
    """The words of the command as they were given, and of those before it, but for the run's folder."""
    yield from _given(context.parent) if context.parent else ()
    yield str(context.info_name) if context.parent else "capacity"
    for option in context.command.params:
        name = str(option.name)
        if name == "into" or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        given = context.params.get(name, project_folder())  # the project alone is in no parameter
        for value in given if option.multiple else [given]:
            yield option.opts[-1]
            yield from () if value is True else map(str, value if option.nargs > 1 else [value])
