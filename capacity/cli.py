"""The `capacity` command."""

import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from capacity.errors import CapacityError
from capacity.findings import Verdict


class Sentences(click.Group):
    """A group of commands whose errors are one sentence and exit code 2, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except CapacityError as error:
            click.echo(f"capacity: {error}", err=True)
            sys.exit(2)


@click.group(cls=Sentences, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """How much load does our stack hold, what breaks first, and when do we outgrow it?"""


@main.command()
def up() -> None:
    """Start the embedded PostgreSQL and Redis, print their addresses, and stay until Ctrl-C."""
    from capacity.system.embedded import open_system

    with open_system({}) as system:
        for name, value in system.as_environment().items():
            click.echo(f"export {name}={value}")
        click.echo("running until Ctrl-C", err=True)
        sys.stdout.flush()
        try:
            signal.pause()
        except KeyboardInterrupt:
            click.echo("stopped", err=True)


@main.command()
@click.option("--profile", default="smoke", show_default=True, help="smoke, standard or full")
@click.option("--only", metavar="NAMES", default="", help="notebooks to run, as database,redis; all where not given")
@click.option("--into", type=click.Path(path_type=Path), help="the run's folder; one that exists is resumed")
@click.option("--set", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="a notebook's parameter")
def run(profile: str, only: str, into: Path | None, given: tuple[tuple[str, str], ...]) -> None:
    """Measure by the notebooks, judge what they found, and write the report."""
    from capacity.parameters import parse_values
    from capacity.suite import Plan, run_suite
    from capacity.tables import verdicts_table

    project = Path.cwd()
    folder = (into or project / "runs" / datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")).resolve()
    names = [name.strip() for name in only.split(",") if name.strip()]
    judged = run_suite(Plan(project, profile, names, parse_values(dict(given))), folder, click.echo)
    click.echo(verdicts_table(judged))
    click.echo(f"report: {folder / 'report.html'}")


@main.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Judge a run again and make its report again; exit code 0 all pass, 1 any fails, 3 something is undecided."""
    from capacity.suite import reported
    from capacity.tables import verdicts_table

    judged = reported(Path.cwd(), folder.resolve())
    click.echo(verdicts_table(judged))
    verdicts = {each for _, _, each in judged}
    sys.exit(1 if Verdict.FAIL in verdicts else 0 if verdicts == {Verdict.PASS} else 3)
