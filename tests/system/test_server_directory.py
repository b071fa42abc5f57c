"""A directory is known by its name alone, and what is stopped or left in it ends all the same."""

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from capacity.clock import wait_until
from capacity.system import server_directory
from capacity.system.embedded import run_postgres, run_redis
from capacity.system.server_directory import open_server_directory, remove_orphans

SEGMENTS = Path("/proc/sysvipc/shm")


def named(place: Path, pid: int, started: float) -> Path:
    folder = place / f"capacity-{pid}-{round(started):x}-0"
    folder.mkdir()
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_directory_is_removed_whose_owner_was_killed_before_anything_was_in_it(place: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    started = psutil.Process(ended.pid).create_time()
    ended.wait()
    folder = named(place, ended.pid, started)
    remove_orphans()
    assert not folder.exists()


def test_an_owner_that_nobody_has_waited_for_has_ended(place: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    process = psutil.Process(ended.pid)
    folder = named(place, ended.pid, process.create_time())
    assert wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, 30)
    remove_orphans()
    assert not folder.exists()
    ended.wait()


def test_a_later_process_with_the_owners_number_is_not_the_owner(place: Path) -> None:
    folder = named(place, os.getpid(), psutil.Process().create_time() - 60)
    remove_orphans()
    assert not folder.exists()


def test_a_living_owners_directory_and_what_is_none_are_left_alone(place: Path) -> None:
    own = named(place, os.getpid(), psutil.Process().create_time())
    other = place / "capacity-report"
    other.mkdir()
    remove_orphans()
    assert own.exists()
    assert other.exists()


def test_a_directory_that_is_closed_leaves_one_alone_whose_name_begins_with_its_own(place: Path) -> None:
    directories = [server_directory.ServerDirectory() for _ in range(11)]
    first, last = directories[1], directories[10]
    assert last.folder.name.startswith(first.folder.name)
    server = run_redis(last)
    first.close()
    assert psutil.pid_exists(server.pid)
    assert not first.folder.exists()
    last.close()
    assert not psutil.pid_exists(server.pid)


def test_a_server_that_is_stopped_hears_of_its_end_at_once() -> None:
    with open_server_directory() as place:
        process = psutil.Process(run_redis(place).pid)
        (started,) = [server for server, _ in place._servers]
        process.suspend()
        assert wait_until(lambda: process.status() == psutil.STATUS_STOPPED, 30)
    assert started.returncode == 0  # by SIGTERM, and not killed after a time


@pytest.mark.skipif(not SEGMENTS.exists(), reason="shared memory is listed here on Linux")
@pytest.mark.parametrize("stopped", [True, False])
def test_what_a_postgres_leaves_is_ended_with_its_shared_memory(stopped: bool) -> None:
    with open_server_directory() as place:
        server = psutil.Process(run_postgres(place).pid)
        if stopped:
            server.suspend()  # before its children are listed, or it starts others
        its_own = [server, *server.children()]
        segment = (place.folder / "postgres" / "postmaster.pid").read_text().splitlines()[6].split()[1]
        assert segment in SEGMENTS.read_text().split()
        for child in its_own[1:] if stopped else ():
            with suppress(psutil.NoSuchProcess):  # one whose work was done
                child.suspend()
        server_directory._clear(place.folder)
        assert not place.folder.exists()
        assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in its_own)
        assert segment not in SEGMENTS.read_text().split()
