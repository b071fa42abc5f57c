"""The `capacity` command: each module here is one of its commands, a function of the module's name."""

import importlib
import pkgutil
import sys
from typing import cast

import click

from capacity.errors import CapacityError


class Commands(click.Group):
    """The commands, loaded when they are asked for; their errors are one sentence and exit code 2, no traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names in the order of the alphabet."""
        return sorted(module.name for module in pkgutil.iter_modules(__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None where there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return cast(click.Command, getattr(importlib.import_module(f"{__name__}.{cmd_name}"), cmd_name))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except CapacityError as error:
            click.echo(f"capacity: {error}", err=True)
            sys.exit(2)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """How much load does our stack hold, what breaks first, and when do we outgrow it?"""
