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
@click.option("--only", multiple=True, metavar="NAME", help="a notebook's name, as database; may be repeated")
@click.option("--into", type=click.Path(path_type=Path), help="the run's folder; one that exists is resumed")
def run(profile: str, only: tuple[str, ...], into: Path | None) -> None:
    """Measure by the notebooks, judge what they found, and print the verdicts."""
    from capacity.suite import run_suite
    from capacity.tables import verdicts_table

    project = Path.cwd()
    folder = (into or project / "runs" / datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")).resolve()
    judged = run_suite(project, profile, only, folder, click.echo)
    click.echo(verdicts_table(judged))
    click.echo(f"run: {folder}")


@main.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def verdict(folder: Path) -> None:
    """Judge a run again: exit code 0 where all pass, 1 where any fails, 3 where something is undecided."""
    from capacity.suite import gathered
    from capacity.tables import verdicts_table

    if not (folder / "manifest.json").exists():
        raise CapacityError(f"there is no run in {folder}: manifest.json is missing")
    judged = gathered(Path.cwd(), folder)
    click.echo(verdicts_table(judged))
    verdicts = {each for _, _, each in judged}
    sys.exit(1 if Verdict.FAIL in verdicts else 0 if verdicts == {Verdict.PASS} else 3)
