"""The `capacity` command."""

import signal
import sys

import click

from capacity.errors import CapacityError


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
