"""The looks at who waits for a lock see each wait as long as it lasts, and cost the server little."""

import threading
import time
from collections.abc import Callable, Iterator

import psutil
import psycopg
import pytest

from capacity.errors import CapacityError
from capacity.probes.readers import Reader
from capacity.probes.readers.locks import locks_reader
from capacity.probes.readers.postgres import postgres_reader
from capacity.streams import LOOKS_PER_S
from capacity.system.addresses import System

NAMES = {"postgres.looks", "postgres.looks_busy", "postgres.looks_lock_waiting"}


@pytest.fixture
def row(system: System) -> Iterator[psycopg.Connection]:
    """A connection, and a table `looked_at` with one row."""
    with psycopg.connect(system.postgres_admin_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE looked_at AS SELECT 1 AS value")
        yield connection
        connection.execute("DROP TABLE looked_at")


def test_who_waits_for_a_row_is_seen_at_every_look_and_no_longer(system: System, row: psycopg.Connection) -> None:
    read, facts = locks_reader(system.postgres_admin_url)
    assert facts == {}
    with psycopg.connect(system.postgres_admin_url) as holder, psycopg.connect(system.postgres_admin_url) as waiter:
        holder.execute("UPDATE looked_at SET value = 2")
        waiting = threading.Thread(target=waiter.execute, args=("UPDATE looked_at SET value = 3",))
        waiting.start()
        try:
            until(read, lambda seen: seen["postgres.looks_lock_waiting"] == seen["postgres.looks"] > 0)
            assert set(read()) in (set(), NAMES)
        finally:
            holder.commit()
            waiting.join()
        until(read, lambda seen: seen["postgres.looks_lock_waiting"] == 0 < seen["postgres.looks"])


def until(read: Reader, holds: Callable[[dict[str, float]], bool]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        seen = read()
        if seen and holds(seen):
            return
        time.sleep(0.05)
    raise AssertionError(f"never seen; last {seen}")


def test_a_look_costs_the_server_half_a_millisecond_at_most(system: System) -> None:
    """About 0.16 ms beside 90 connections on the machine that this was written on."""
    with psycopg.connect(system.postgres_admin_url, autocommit=True) as connection:
        before = {pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity")}
        read, _ = locks_reader(system.postgres_admin_url)
        until(read, lambda seen: seen["postgres.looks"])
        after = {pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity WHERE datid IS NOT NULL")}
    (looker,) = after - before
    process = psutil.Process(looker)
    read()
    begun, spent = time.monotonic(), sum(process.cpu_times()[:2])
    time.sleep(2)
    looks, seconds = read()["postgres.looks"], time.monotonic() - begun
    assert looks <= 1.3 * LOOKS_PER_S * seconds
    assert (sum(process.cpu_times()[:2]) - spent) / looks < 0.0005


def test_the_looks_own_connection_is_none_of_those_that_are_counted(system: System) -> None:
    read_all, _ = postgres_reader(system.postgres_admin_url)
    before = read_all()["postgres.connections"]
    read, _ = locks_reader(system.postgres_admin_url)
    until(read, lambda seen: seen["postgres.looks"])
    assert read_all()["postgres.connections"] == before


def test_a_server_that_is_down_is_a_sentence() -> None:
    with pytest.raises(CapacityError, match=r"^PostgreSQL does not answer: "):
        locks_reader("postgresql://127.0.0.1:1/postgres")
