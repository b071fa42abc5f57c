"""`capacity up`: the embedded system for other tools."""

import signal
import sys
from collections.abc import Mapping

import click

from capacity.places import workloads_of
from capacity.system.interruption import Interrupted


@click.command()
def up() -> None:
    """Start the embedded system with its application, print its addresses, and stay until Ctrl-C."""
    from capacity.system.application.database import DATASETS, prepare_database
    from capacity.system.embedded import open_system
    from capacity.system.processes import open_application

    jobs = workloads_of("queue") / "queue.yaml"
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
    except Interrupted as asked:
        if asked.number != signal.SIGINT:
            raise
        click.echo("stopped", err=True)
