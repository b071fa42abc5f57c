"""The `capacity` command: each module here is one of its commands, a function of the module's name."""

import sys

try:
    import importlib
    import pkgutil
    from contextlib import suppress
    from pathlib import Path
    from typing import Any, cast

    import click

    from capacity.errors import CapacityError
    from capacity.places import OBJECTIVES, PROJECT, environment, is_own, project_folder
    from capacity.system.interruption import Interrupted, end_when_asked, end_without_a_word
except KeyboardInterrupt:  # nothing has begun yet of which anything is to be said
    sys.exit(130)

NEEDS_NO_PROJECT = {"init"}


def _enter(ctx: click.Context, _: click.Parameter, folder: Path | None) -> None:
    """Until the command has ended, the environment names the project and what stands in its `.env`."""
    if folder and not (folder / OBJECTIVES).exists():
        raise CapacityError(
            f"there is no project in {folder}: {OBJECTIVES} is missing; make one with `capacity init {folder}`"
        )
    if folder:
        ctx.with_resource(environment({PROJECT: str(folder.resolve())}))
    if is_own(project_folder()):
        from capacity.system.addresses import project_environment  # loads a client of PostgreSQL

        ctx.with_resource(environment(project_environment()))


THE_PROJECT = click.Option(
    ["--project"],
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    expose_value=False,
    callback=_enter,
    help="the project's folder; by default the nearest from the current folder upwards",
)


class Commands(click.Group):
    """The commands, loaded when they are asked for; their errors are one sentence and exit code 2, no traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names in the order of the alphabet."""
        return sorted(module.name for module in pkgutil.iter_modules(__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, with the option that names the project; None where there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = cast(click.Command, getattr(importlib.import_module(f"{__name__}.{cmd_name}"), cmd_name))
        if cmd_name not in NEEDS_NO_PROJECT and THE_PROJECT not in command.params:
            command.params.append(THE_PROJECT)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except CapacityError as error:
            click.echo(f"capacity: {error}", err=True)
            sys.exit(2)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Be the whole process: whenever it is asked to end, it says so in one line and leaves nothing behind."""
        try:
            end_when_asked()
            return self.main(*args, **kwargs)
        except (Interrupted, RuntimeError) as error:
            # Up to Python 3.11 what interrupts the making of a class comes as the cause of another error.
            interrupted = error if isinstance(error, Interrupted) else error.__cause__
            if not isinstance(interrupted, Interrupted):
                raise
            end_without_a_word(ignoring=True)
            with suppress(OSError):  # the terminal may be gone
                click.echo(f"capacity: {interrupted}", err=True)
            sys.exit(interrupted.exit_code)
        except KeyboardInterrupt:  # before its own way to end stood
            sys.exit(130)
        finally:
            end_without_a_word()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """How much load does our stack hold, what breaks first, and when do we outgrow it?"""
