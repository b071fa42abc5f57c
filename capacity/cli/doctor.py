"""`capacity doctor`: what this machine can measure with."""

import sys

import click


@click.command()
def doctor() -> None:
    """Say what this machine can measure with, and what is missing; exit code 2 where the suite cannot run."""
    from capacity.probes.parts import PARTS
    from capacity.probes.promises import enough_time
    from capacity.system.doctor import examined

    checks = [*examined(), *enough_time(PARTS)]
    for check in checks:
        click.echo(f"{'ok' if check.fine else 'MISSING' if check.needed else 'note':8} {check.name:22} {check.said}")
    sys.exit(2 if any(check.needed and not check.fine for check in checks) else 0)
