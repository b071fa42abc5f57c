"""Every command is a module of its own, which the README names, and loads nothing that another one needs."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from capacity.cli import main

PROJECT = Path(__file__).parents[1]
COMMANDS = sorted(path.stem for path in (PROJECT / "capacity" / "cli").glob("[a-z]*.py"))
HEAVY = ("pandas", "scipy", "papermill", "psycopg", "pyarrow")


def test_each_module_is_a_command_with_a_line_of_help() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    assert re.findall(r"^  (\w+)  +\w", shown[shown.index("Commands:") :], re.MULTILINE) == COMMANDS


def test_the_readme_names_each_command() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if not re.search(rf"capacity {name}\b", readme)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_how_it_is_called(name: str) -> None:
    ran = CliRunner().invoke(main, [name, "--help"])
    assert ran.exit_code == 0
    assert ran.output.startswith(f"Usage: main {name} ")


def test_an_unknown_command_is_refused() -> None:
    ran = CliRunner().invoke(main, ["rnu"])
    assert (ran.exit_code, "No such command 'rnu'" in ran.output) == (click.UsageError.exit_code, True)


def test_help_loads_nothing_that_takes_long() -> None:
    code = """
import sys
from capacity.cli import main
main(["--help"], standalone_mode=False)
print(*sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert not {*HEAVY} & {*ran.stdout.split()}
