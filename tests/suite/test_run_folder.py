"""A run has its folder to itself, a dead process loses it, and a folder of something else is not filled."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.suite.run_folder import LOCK, kept_text, only_here

HOLDS = """
import sys
from pathlib import Path
from capacity.suite.run_folder import only_here
with only_here(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
COMMAND = "capacity run --into here"


def holder(run: Path) -> "subprocess.Popen[str]":
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = subprocess.Popen([sys.executable, "-c", HOLDS, str(run)], **pipes)
    assert started.stdout is not None
    assert started.stdout.readline() == "held\n"
    return started


def test_a_second_process_is_told_which_one_runs_into_the_folder_and_a_dead_one_loses_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with holder(run) as first:
        sentence = f"another process ({first.pid}) runs into {run}; wait until it has ended, or give another folder"
        with pytest.raises(CapacityError, match=f"^{re.escape(sentence)}$"), only_here(run):
            raise AssertionError
        first.kill()
    with only_here(run):
        assert (run / LOCK).read_text() == f"{os.getpid()}\n"


def test_what_the_holder_starts_does_not_keep_the_folder(tmp_path: Path) -> None:
    with only_here(tmp_path / "run"):
        started = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with only_here(tmp_path / "run"):
            assert started.poll() is None
    finally:
        started.kill()
        started.wait()


@pytest.mark.parametrize("there", [(), (LOCK,), (LOCK, "manifest.json", "findings.json")])
def test_an_empty_folder_and_that_of_a_run_are_taken(tmp_path: Path, there: tuple[str, ...]) -> None:
    for name in there:
        (tmp_path / name).touch()
    with only_here(tmp_path):
        assert (tmp_path / LOCK).exists()


def test_a_folder_of_something_else_is_not_filled(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    sentence = (
        f"{tmp_path} holds something else than a run: it is not empty and has no manifest.json; "
        "give --into a new folder, or that of a run"
    )
    with pytest.raises(CapacityError, match=f"^{re.escape(sentence)}$"), only_here(tmp_path):
        raise AssertionError
    assert [each.name for each in tmp_path.iterdir()] == ["letter.txt"]


def test_a_file_and_a_place_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    file, place = tmp_path / "letter.txt", Path("/proc/run")
    file.touch()
    with pytest.raises(CapacityError, match=r"letter\.txt is a file; give --into a new folder, or that of a run$"):
        only_here(file).__enter__()
    with pytest.raises(CapacityError, match=r"^cannot write /proc/run: .+; make room, or give a folder that may be "):
        only_here(place).__enter__()


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("", "nothing was measured yet; begin again with: capacity run --into here"),
        ("[]", "no notebook is finished, and what was measured is kept in {}; go on with: capacity run --into here"),
        ('["redis"]', "redis is finished, and what was measured is kept in {}; go on with: capacity run --into here"),
        (
            '["redis", "queue"]',
            "redis, queue are finished, and what was measured is kept in {}; go on with: capacity run --into here",
        ),
    ],
)
def test_what_is_kept_is_said_with_the_command_that_goes_on(tmp_path: Path, manifest: str, said: str) -> None:
    if manifest:
        (tmp_path / "manifest.json").write_text(f'{{"profile": "smoke", "finished": {manifest}}}')
    assert kept_text(tmp_path, COMMAND) == said.format(tmp_path)
