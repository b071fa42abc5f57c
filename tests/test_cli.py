"""Every command is a module of its own, which the README names, and loads nothing that another one needs."""

import importlib
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from capacity.cli import THE_PROJECT, main
from capacity.clock import wait_until
from capacity.system.embedded import free_port

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
from capacity.cli import THE_PROJECT, main
main(["--help"], standalone_mode=False)
print(*sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert not {*HEAVY} & {*ran.stdout.split()}


def test_each_command_takes_the_project_but_the_one_that_makes_it() -> None:
    without = [name for name in COMMANDS if "--project" not in CliRunner().invoke(main, [name, "--help"]).output]
    assert without == ["init"]


def test_the_named_project_and_its_addresses_are_there_until_the_command_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CAPACITY_PROJECT", "CAPACITY_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "objectives.yaml").write_text("[]")
    (tmp_path / ".env").write_text("CAPACITY_REDIS_URL=redis://127.0.0.1:1")
    seen = {}

    @click.command()
    def show() -> None:
        seen.update(os.environ)

    show.params.append(THE_PROJECT)
    assert CliRunner().invoke(show, ["--project", str(tmp_path)]).exit_code == 0
    assert (seen["CAPACITY_PROJECT"], seen["CAPACITY_REDIS_URL"]) == (str(tmp_path), "redis://127.0.0.1:1")
    assert not {"CAPACITY_PROJECT", "CAPACITY_REDIS_URL"} & {*os.environ}


def test_a_folder_that_is_no_project_is_one_sentence(tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["audit", "--project", str(tmp_path)])
    assert ran.exit_code == 2
    assert ran.stderr == (
        f"capacity: there is no project in {tmp_path}: data/objectives.yaml is missing; "
        f"make one with `capacity init {tmp_path}`\n"
    )


def test_the_command_that_goes_on_is_the_one_that_was_given(tmp_path: Path) -> None:
    project, run = str(PROJECT), str(tmp_path / "my run")
    words = ["run", "--project", project, "--only", "redis", "--only", "queue", "--set", "workloads", "my load #2"]
    with click.Context(main, info_name="capacity") as outer:
        given = main.get_command(outer, "run")
        assert given is not None
        with given.make_context("run", [*words[1:], "--all", "--into", "elsewhere"], parent=outer):
            again = shlex.split(importlib.import_module("capacity.cli.run")._again(Path(run)))
    assert again[:2] == ["capacity", "run"]
    expected = ["--only redis", "--only queue", "--set workloads my load #2", "--all", f"--project {project}"]
    assert " ".join(again[2:]) == " ".join([*expected, f"--into {run}"])


def port_refuses(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.thorough
def test_make_lab_serves_at_the_port_that_is_asked_for_and_prints_its_address(tmp_path: Path) -> None:
    port, said = free_port(), tmp_path / "said"
    told = subprocess.run(
        ["make", "-n", "--no-print-directory", "lab", f"PORT={port}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    command = shlex.split(told.stdout.splitlines()[-1])
    with said.open("w") as sink:
        lab = subprocess.Popen([*command, "--no-browser"], cwd=PROJECT, stdout=sink, stderr=sink)
    try:
        assert wait_until(lambda: not port_refuses(port), 120)
        assert wait_until(lambda: f"http://127.0.0.1:{port}/lab" in said.read_text(), 60)
    finally:
        lab.terminate()
        lab.wait()
