"""`capacity init`: a project of one's own."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--postgres", "database", is_flag=True, help="with PostgreSQL")
@click.option("--redis", is_flag=True, help="with Redis")
@click.option("--queue", is_flag=True, help="with a BullMQ queue")
@click.option("--gateway", is_flag=True, help="with an HTTP API")
@click.option("--notebooks", is_flag=True, help="copy the notebooks, to open them in JupyterLab")
def init(folder: Path, notebooks: bool, **named: bool) -> None:
    """Make a project in FOLDER: workloads, promises, a plan and monitoring of the parts that are named, else of all.

    Nothing that is there is overwritten.
    """
    from capacity.display.text import aligned
    from capacity.suite.new_project.files import make_project

    parts = [name for name in named if named[name]] or list(named)
    made = make_project(folder, parts, notebooks=notebooks)
    click.echo(f"A project is in {folder}:\n\n{aligned(list(made.items()))}\n")
    click.echo(
        f"Put your addresses into {folder / '.env'} and your operations into {folder / 'data/workloads'}. Then:\n"
    )
    where = f" --project {folder}"
    for command, does in (
        ("check", "whether all files are valid"),
        ("doctor", "whether your stack answers, and what this machine lacks"),
        ("run", "measures for some minutes, and writes a report"),
    ):
        click.echo(f"  {f'capacity {command}{where}':{len(where) + 18}}  # {does}")
