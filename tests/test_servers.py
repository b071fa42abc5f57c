"""Servers that are down, refuse or hang give one clear sentence, exit code 2, and no traceback."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from capacity.clock import wait_until
from capacity.system.addresses import System

PROJECT = Path(__file__).parents[1]
DOWN = "127.0.0.1:1"


@pytest.fixture
def hanging() -> Iterator[str]:
    """The kernel accepts connections, and nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def said(**environment: str) -> str:
    """The one line that the command says before it ends with exit code 2."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
    command = [sys.executable, "-c", "from capacity.cli import main; main()", "prepare"]
    ran = subprocess.run(
        command, cwd=PROJECT, env=plain | environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 2, ran.stdout + ran.stderr
    lines = ran.stderr.strip().splitlines()
    assert len(lines) == 1, ran.stderr
    return lines[0]


@pytest.mark.parametrize("host", [DOWN, "hanging"])
def test_postgres_that_is_down_or_hangs(host: str, hanging: str) -> None:
    address = hanging if host == "hanging" else host
    line = said(CAPACITY_POSTGRES_URL=f"postgresql://someone@{address}/postgres")
    assert line.startswith("capacity: PostgreSQL does not answer: ")
    assert line.endswith("; start it, or correct its address")


@pytest.mark.parametrize("host", [DOWN, "hanging"])
def test_redis_that_is_down_or_hangs(host: str, hanging: str) -> None:
    address = hanging if host == "hanging" else host
    line = said(CAPACITY_REDIS_URL=f"redis://{address}/0")
    assert line.startswith("capacity: Redis does not answer: ")
    assert line.endswith("; start it, or correct its address")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.thorough)]
)
def test_a_command_that_waits_for_a_server_ends_in_one_line_when_it_is_asked_to(
    hanging: str, number: signal.Signals, code: int
) -> None:
    command = [sys.executable, "-c", "from capacity.cli import main; main()", "prepare"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
    address = {"CAPACITY_POSTGRES_URL": f"postgresql://someone@{hanging}/postgres"}
    with subprocess.Popen(command, cwd=PROJECT, env=plain | address, stderr=subprocess.PIPE, text=True) as waits:
        connected = psutil.Process(waits.pid)
        assert wait_until(lambda: any(each.status == "ESTABLISHED" for each in connected.net_connections()), 60)
        waits.send_signal(number)
        assert waits.communicate(timeout=60)[1] == "capacity: interrupted\n"
    assert waits.returncode == code


@pytest.mark.thorough
@pytest.mark.parametrize("words", [["verdict", "x"], ["report", "x"], ["audit"], ["doctor"], ["compare", "x", "y"]])
def test_a_command_that_is_interrupted_while_it_loads_or_works_says_no_more_than_a_line(words: list[str]) -> None:
    command = [sys.executable, "-c", "from capacity.cli import main; main()", *words]
    for moment in (0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5):
        with subprocess.Popen(command, cwd=PROJECT, stdout=-1, stderr=subprocess.PIPE, text=True) as works:
            time.sleep(moment)
            works.send_signal(signal.SIGINT)
            said = works.communicate(timeout=60)[1]
        python = "capacity/" not in said and works.returncode in (-signal.SIGINT, 1)  # none of our code had begun
        assert python or said in ("", "capacity: interrupted\n") or works.returncode == 2, (moment, said)
        assert works.returncode in (130, -signal.SIGINT, 0, 1, 2), (moment, said)


def test_servers_that_refuse_say_why(system: System) -> None:
    refused = system.postgres_admin_url.rpartition("/")[0] + "/no_such_database"
    assert 'database "no_such_database" does not exist' in said(CAPACITY_POSTGRES_URL=refused)
    assert "Redis" in said(CAPACITY_REDIS_URL=system.redis_url.replace("redis://", "redis://nobody:wrong@"))


def test_without_a_server_there_is_nothing_to_prepare() -> None:
    assert said() == "capacity: no server is named; set CAPACITY_POSTGRES_URL or CAPACITY_REDIS_URL"


def test_another_host_is_refused_before_it_is_opened() -> None:
    line = said(CAPACITY_REDIS_URL="redis://redis.example/0")
    assert "redis.example" in line
    assert "CAPACITY_ALLOW_HOSTS" in line
