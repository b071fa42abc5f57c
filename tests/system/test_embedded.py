"""The embedded servers are real, and nothing of them is left however their owner ends."""

import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from capacity.errors import CapacityError
from capacity.system import embedded, server_directory
from capacity.system.addresses import System
from capacity.system.embedded import open_system, start_postgres
from capacity.system.server_directory import open_server_directory

# What a shell starts in the background ignores interrupts, and so would all that it starts.
HEED = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
OWNER = f"""
{HEED}
import sys
from capacity.system.embedded import open_system
with open_system({{}}) as system:
    print(system.redis_url, flush=True)
    sys.stdin.readline()
    if sys.argv[1] == "raise":
        raise RuntimeError("the analyst's own mistake")
"""


def test_the_servers_are_postgres_18_and_redis_8_or_valkey_9(system: System) -> None:
    with psycopg.connect(system.postgres_admin_url) as connection:
        assert connection.info.server_version // 10_000 >= 18
    with redis.Redis.from_url(system.redis_url) as client:
        facts = client.info("server")
        version, least = (facts["valkey_version"], 9) if "valkey_version" in facts else (facts["redis_version"], 8)
        assert int(version.split(".")[0]) >= least


def started_owner(folder: Path, how: str = "end") -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(folder)}
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, how],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout
    said = owner.stdout.readline()
    assert said.startswith("redis://"), owner.communicate()[1]
    return owner


def servers_of(folder: Path) -> list[psutil.Process]:
    return server_directory._processes_in(folder)


@pytest.fixture
def folder() -> Iterator[Path]:
    """As root PostgreSQL runs as another user, who cannot pass through pytest's own private folders."""
    with tempfile.TemporaryDirectory(prefix="test-") as place:
        Path(place).chmod(0o755)
        yield Path(place)


@pytest.mark.parametrize("how", ["end", "raise", "SIGINT", "SIGTERM"])
def test_no_process_and_no_folder_is_left(folder: Path, how: str) -> None:
    owner = started_owner(folder, how)
    assert len(servers_of(folder)) >= 2
    if how.startswith("SIG"):
        owner.send_signal(signal.Signals[how])
        owner.wait(30)
    else:
        owner.communicate("\n", timeout=30)
    assert not servers_of(folder)
    assert not list(folder.iterdir())


def test_the_next_start_clears_away_what_a_killed_owner_left(folder: Path) -> None:
    killed = started_owner(folder)
    killed.kill()
    killed.wait()
    assert len(servers_of(folder)) >= 2
    left = list(folder.iterdir())
    following = started_owner(folder)
    assert not any(each.exists() for each in left)
    following.communicate("\n", timeout=30)
    assert not servers_of(folder)
    assert not list(folder.iterdir())


def test_the_directories_of_living_owners_are_left_alone(folder: Path) -> None:
    first = started_owner(folder)
    second = started_owner(folder)
    assert len(list(folder.iterdir())) == 2
    for owner in (first, second):
        owner.communicate("\n", timeout=30)
    assert not list(folder.iterdir())


def test_only_what_the_environment_does_not_name_is_started(system: System) -> None:
    with open_system({"CAPACITY_POSTGRES_URL": system.postgres_url}) as mixed:
        assert mixed.postgres_url == system.postgres_url
        assert mixed.redis_url not in ("", system.redis_url)
        assert not mixed.embedded


def test_a_server_that_ends_at_once_says_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(embedded.REDIS_SETTINGS, "maxmemory", "plenty")
    with (
        server_directory.open_server_directory() as place,
        pytest.raises(CapacityError, match=r"^Redis did not start: .+"),
    ):
        embedded.run_redis(place)


UP_PRINTS = "POSTGRES_URL POSTGRES_ADMIN_URL REDIS_URL GATEWAY_URL QUEUE QUEUE_PREFIX LEDGER EMBEDDED"


def test_up_prints_the_addresses_and_stops_at_a_signal() -> None:
    command = [sys.executable, "-c", f"{HEED}from capacity.cli import main; main()", "up"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            lines = [running.stdout.readline().strip() for _ in UP_PRINTS.split()]
            addresses = {name: address for name, _, address in (line.partition("=") for line in lines)}
            assert list(addresses) == [f"export CAPACITY_{name}" for name in UP_PRINTS.split()]
            url = addresses["export CAPACITY_REDIS_URL"]
            with redis.Redis.from_url(url) as client:
                assert client.ping()
            health = f"{addresses['export CAPACITY_GATEWAY_URL']}/api/health"
            with urllib.request.urlopen(health, timeout=10) as answer:
                assert answer.status == 200
        finally:
            running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "Traceback" not in errors
    with pytest.raises(redis.ConnectionError):
        redis.Redis.from_url(url).ping()


def test_the_role_that_load_comes_as_is_there_before_anything_is_prepared() -> None:
    """A workload of one's own prepares nothing, and runs on the embedded server all the same."""
    with open_server_directory() as directory:
        _, ordinary = start_postgres(directory)
        with psycopg.connect(ordinary) as connection:
            assert connection.execute("SELECT current_user::text").fetchall() == [("authenticator",)]
