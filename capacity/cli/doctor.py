"""`capacity doctor`: what this machine can measure with, and what is to be known of the servers beforehand."""

import sys

import click

COLOURS = {"ok": "green", "note": "yellow", "MISSING": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="as a list of names and values, for pipelines")
def doctor(as_json: bool) -> None:
    """Say what this machine can measure with, and what to know of the servers that the environment names.

    Nothing is loaded or written. Exit code 2 where something is missing without which nothing can be measured.
    """
    from capacity.places import project_folder
    from capacity.probes.promises import enough_time
    from capacity.suite.preflight import checks_json, checks_text, wanted_of
    from capacity.system.addresses import system_from
    from capacity.system.preflight.stack import local_checks, parts_of, stack_checks

    parts, system = parts_of(project_folder()), system_from()
    wanted = wanted_of(parts)
    checks = [*stack_checks(system, wanted), *local_checks(system, wanted), *enough_time(parts)]
    if as_json:
        click.echo(checks_json(checks))
    else:
        for line in checks_text(checks).splitlines():
            click.echo(_coloured(line))
    sys.exit(2 if any(check.needed and not check.fine for check in checks) else 0)


def _coloured(line: str) -> str:
    state = line[2:10].strip()
    return line[:2] + click.style(line[2:10], fg=COLOURS[state]) + line[10:] if state in COLOURS else line
