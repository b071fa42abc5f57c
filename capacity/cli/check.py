"""`capacity check`: whether the files and parameters of a run are right, without a server."""

import sys
from pathlib import Path

import click

from capacity.places import project_folder


@click.command()
@click.option("--profile", default="smoke", show_default=True, help="smoke, standard or full")
@click.option("--only", multiple=True, metavar="NAMES", help="notebooks to run, as database,redis")
@click.option("--set", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="a notebook's parameter")
@click.option("--schemas", type=click.Path(path_type=Path), metavar="FOLDER", help="write JSON schemas for editors")
def check(profile: str, only: tuple[str, ...], given: tuple[tuple[str, str], ...], schemas: Path | None) -> None:
    """Say what is wrong in the project's files and in these words of `capacity run`: exit code 2 where something is.

    With --schemas, the JSON schema of every kind of file is written into FOLDER instead.
    """
    if schemas:
        from capacity.suite.check.schemas import write_schemas

        click.echo("\n".join(map(str, write_schemas(schemas))))
        return
    from capacity.suite.check.project import check_project
    from capacity.suite.parameters import texts_by_name

    files = check_project(project_folder(), profile, only, texts_by_name(given))
    for each in files:
        click.echo("\n".join(f"WRONG  {said}" for said in each.problems) or f"ok     {each.name}: {each.holds}")
    sys.exit(2 if any(each.problems for each in files) else 0)
