"""The `capacity` command."""

import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from capacity.errors import CapacityError
from capacity.findings import Verdict
from capacity.places import OBJECTIVES, project_folder

REFERENCE = Path("data") / "reference" / "infrastructure-load-testing-report.yaml"


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
    """Start the embedded system with its application, print its addresses, and stay until Ctrl-C."""
    from capacity.places import WORKLOADS
    from capacity.system.application.database import DATASETS, prepare_database
    from capacity.system.embedded import open_system
    from capacity.system.processes import open_application

    jobs = project_folder() / WORKLOADS / "queue.yaml"
    with open_system({}) as system:
        prepare_database(system.postgres_admin_url, DATASETS["smoke"])
        with open_application(system, jobs) as application:
            _stay(application.system.as_environment())


def _stay(environment: Mapping[str, str]) -> None:
    """Print the environment, and wait for Ctrl-C."""
    for name, value in environment.items():
        click.echo(f"export {name}={value}")
    click.echo("running until Ctrl-C", err=True)
    sys.stdout.flush()
    try:
        signal.pause()
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


@main.command()
@click.option("--profile", default="smoke", show_default=True, help="smoke, standard or full")
@click.option("--only", multiple=True, metavar="NAME", help="a notebook to run, as database or database,redis")
@click.option("--into", type=click.Path(path_type=Path), help="the run's folder; one that exists is resumed")
@click.option("--set", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="a notebook's parameter")
def run(profile: str, only: tuple[str, ...], into: Path | None, given: tuple[tuple[str, str], ...]) -> None:
    """Measure by the notebooks, judge what they found, and write the report."""
    from capacity.display.tables import verdicts_table
    from capacity.suite.parameters import parse_values
    from capacity.suite.run import RunPlan, run_suite

    project = project_folder()
    folder = (into or project / "runs" / datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")).resolve()
    names = [name.strip() for word in only for name in word.split(",") if name.strip()]
    judged = run_suite(RunPlan(project, profile, names, parse_values(dict(given))), folder, click.echo)
    click.echo(verdicts_table(judged))
    click.echo(f"report: {folder / 'report.html'}")


@main.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def verdict(folder: Path) -> None:
    """Judge a run again: exit code 0 where all pass, 1 where any fails, 3 where something is undecided."""
    from capacity.display.tables import verdicts_table
    from capacity.judgement import judged_run

    judged = judged_run(project_folder(), folder.resolve())
    click.echo(verdicts_table(judged))
    verdicts = {each for _, _, each in judged}
    sys.exit(1 if Verdict.FAIL in verdicts else 0 if verdicts == {Verdict.PASS} else 3)


@main.command()
@click.argument("before", metavar="A", type=click.Path(path_type=Path))
@click.argument("after", metavar="B", type=click.Path(path_type=Path))
@click.option("--repeated", multiple=True, type=click.Path(path_type=Path), help="a further run of what A measured")
@click.option("--all", "everything", is_flag=True, help="show what did not change, too")
@click.option("--anyway", is_flag=True, help="compare runs of another profile, host or load, with a warning")
def compare(before: Path, after: Path, repeated: tuple[Path, ...], everything: bool, anyway: bool) -> None:
    """Compare run B with run A: exit code 1 where a promise that A kept is broken in B."""
    from capacity.analysis.measured.comparison import PromiseOutcome, compare_findings
    from capacity.display.comparison import (
        comparison_table,
        promised_in,
        read_run,
        refuse_unlike,
        remarks,
        summary_text,
        unlike,
    )
    from capacity.findings import read_objectives

    (old, facts), (new, later) = read_run(before.resolve()), read_run(after.resolve())
    further = {path: read_run(path.resolve()) for path in repeated}
    for path, other in {after: later, **{path: each for path, (_, each) in further.items()}}.items():
        problems = unlike(facts, other)
        if not anyway:
            refuse_unlike(before, path, problems)
        for problem in problems:
            click.echo(f"warning: {problem}", err=True)
    promised = promised_in(read_objectives(project_folder() / OBJECTIVES), old, new)
    compared = compare_findings(old, new, promised, [findings for findings, _ in further.values()])
    click.echo(comparison_table(compared, old, new, everything=everything))
    for remark in remarks(facts, later):
        click.echo(f"note: {remark}")
    click.echo(summary_text(compared, repeated=bool(further)))
    sys.exit(1 if (compared["outcome"] == PromiseOutcome.REGRESSED).any() else 0)


@main.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--to", "into", required=True, type=click.Path(path_type=Path), help="the folder to write to")
@click.option(
    "--format", "formats", multiple=True, metavar="NAME", help="prometheus, grafana, cloudformation, csv or json"
)
def export(folder: Path, into: Path, formats: tuple[str, ...]) -> None:
    """Write a run's alert rules, dashboards, alarms and findings, and say what no metric shows."""
    from capacity.display.tables import aligned
    from capacity.exports import export_run

    files, left_out = export_run(project_folder(), folder.resolve(), into, formats)
    click.echo(aligned([(str(into / name), held) for name, held in files.items()]))
    rows = []
    for each in left_out:
        first = each.watches[0].objective
        limits = ", ".join(dict.fromkeys(watch.objective.promise for watch in each.watches))
        rows.append((first.section, first.title, limits, " and ".join(each.kinds), each.reason))
    if rows:
        click.echo(f"\nnot exported: no metric\n{aligned(rows)}")


@main.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Make a run's report again."""
    from capacity.suite.run import reported

    reported(project_folder(), folder.resolve())
    click.echo(f"report: {folder.resolve() / 'report.html'}")


@main.command()
@click.option("--profile", default="smoke", show_default=True, help="smoke, standard or full")
@click.option("--remove", is_flag=True, help="remove the tables and keys instead; roles stay")
def prepare(profile: str, remove: bool) -> None:
    """Fill the tables and the cache of the servers that the environment names, as the probes do before they measure."""
    from capacity.system.addresses import system_from
    from capacity.system.application.cache import ITEMS, prepare_cache, remove_cache
    from capacity.system.application.database import DATASETS, prepare_database, remove_database

    if profile not in DATASETS:
        raise CapacityError(f"there is no profile {profile!r}; accepted are {', '.join(DATASETS)}")
    system = system_from(os.environ)
    if not (system.postgres_admin_url or system.redis_url):
        raise CapacityError("no server is named; set CAPACITY_POSTGRES_URL or CAPACITY_REDIS_URL")
    done = "removed" if remove else "filled"
    if system.postgres_admin_url:
        if remove:
            remove_database(system.postgres_admin_url)
        else:
            prepare_database(system.postgres_admin_url, DATASETS[profile])
        click.echo(f"PostgreSQL: the schema capacity is {done}")
    if system.redis_url:
        if remove:
            remove_cache(system.redis_url)
        else:
            prepare_cache(system.redis_url, ITEMS[profile])
        click.echo(f"Redis: the keys below capacity: are {done}")


@main.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="show what follows, too")
def audit(file: Path | None, everything: bool) -> None:
    """Judge a published report (by default the project's reference) by its own numbers.

    Exit code 0 where every claim follows, 1 where any does not or cannot be told.
    """
    from capacity.audit.agreement import Answer
    from capacity.audit.judgement import judge_claims
    from capacity.audit.report import read_published, untranscribed
    from capacity.audit.shown import print_audit

    path = file or project_folder() / REFERENCE
    report = read_published(path)
    judged = judge_claims(report)
    print_audit(judged, untranscribed(report, path.parent), everything=everything)
    sys.exit(0 if all(claim.answer is Answer.FOLLOWS for claim in judged) else 1)


@main.command()
def doctor() -> None:
    """Say what this machine can measure with, and what is missing; exit code 2 where the suite cannot run."""
    from capacity.system.doctor import examined

    checks = examined()
    for check in checks:
        click.echo(f"{'ok' if check.fine else 'MISSING' if check.needed else 'note':8} {check.name:22} {check.said}")
    sys.exit(2 if any(check.needed and not check.fine for check in checks) else 0)
