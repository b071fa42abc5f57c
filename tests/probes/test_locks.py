"""The looks at who waits for a row count each wait once and no other wait, and cost the server little."""

import threading
import time
from collections.abc import Callable, Iterator

import psutil
import psycopg
import pytest

from capacity.errors import CapacityError
from capacity.probes.readers import Reader
from capacity.probes.readers.locks import CLOSE_S, GAUGES, MOST_OF_A_CORE, Looks, locks_reader
from capacity.probes.readers.postgres import postgres_reader
from capacity.system.addresses import System

WAITS, LOOKED = GAUGES
UPDATE = "UPDATE looked_at SET value = value + 1"
TIMES, WAIT_S = 10, 0.03


@pytest.fixture
def row(system: System) -> Iterator[psycopg.Connection]:
    """A connection, and a table `looked_at` with one row."""
    with psycopg.connect(system.postgres_admin_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE looked_at AS SELECT 1 AS value")
        yield connection
        connection.execute("DROP TABLE looked_at")


def waits_seen(system: System, hold: str, wait: str, read: Reader) -> dict[str, float]:
    """What was seen while one statement's transaction made another one wait, `TIMES` times for `WAIT_S`."""
    url = system.postgres_admin_url
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as waiter:
        until(read, lambda seen: seen[LOOKED] > 0)
        for _ in range(TIMES):
            holder.execute(hold)
            waiting = threading.Thread(target=waiter.execute, args=(wait,))
            waiting.start()
            time.sleep(WAIT_S)
            holder.commit()
            waiting.join()
            time.sleep(WAIT_S)
    return read()


def test_each_wait_for_a_row_is_counted_once_however_long_it_lasts(system: System, row: psycopg.Connection) -> None:
    """One that begins while this machine let no look come in time is not, and that time is not counted either."""
    read, facts = locks_reader(system.postgres_admin_url)
    assert facts == {}
    seen = waits_seen(system, UPDATE, UPDATE, read)
    assert TIMES / 2 <= seen[WAITS] <= TIMES
    assert seen[LOOKED] > 0


@pytest.mark.parametrize(
    ("hold", "wait"), [("LOCK TABLE looked_at", UPDATE), 2 * ("SELECT pg_advisory_xact_lock(1)",)], ids=["table", "own"]
)
def test_a_wait_for_another_lock_is_none_for_a_row(
    system: System, row: psycopg.Connection, hold: str, wait: str
) -> None:
    read, _ = locks_reader(system.postgres_admin_url)
    assert waits_seen(system, hold, wait, read)[WAITS] == 0


def test_a_wait_counts_where_it_begins_between_looks_that_are_close() -> None:
    looks, at_s = Looks(), 0.0
    for waiting, gap_s in [([], 0.001), ([4], 0.002), ([4], 0.002), ([4, 7], 0.002), ([], 0.002), ([4], 0.002)]:
        at_s += gap_s
        looks.see(at_s, waiting)
    assert looks.taken() == {WAITS: 3, LOOKED: pytest.approx(0.01)}
    looks.see(at_s + 2 * CLOSE_S, [4, 5])
    looks.see(at_s + 2 * CLOSE_S + 0.002, [5])
    assert looks.taken() == {WAITS: 0, LOOKED: pytest.approx(0.002)}


def until(read: Reader, holds: Callable[[dict[str, float]], bool]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        seen = read()
        if seen and holds(seen):
            return
        time.sleep(0.05)
    raise AssertionError(f"never seen; last {seen}")


def test_the_looks_cost_the_server_a_twentieth_of_a_core_at_most(system: System) -> None:
    """About 0.06 ms a look beside 90 connections on the machine that this was written on, and 460 looks a second."""
    with psycopg.connect(system.postgres_admin_url, autocommit=True) as connection:
        before = {pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity")}
        read, _ = locks_reader(system.postgres_admin_url)
        until(read, lambda seen: seen[LOOKED] > 0)
        after = {pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity WHERE datid IS NOT NULL")}
    (looker,) = after - before
    process = psutil.Process(looker)
    begun, spent = time.monotonic(), sum(process.cpu_times()[:2])
    time.sleep(1)
    assert sum(process.cpu_times()[:2]) - spent < MOST_OF_A_CORE * (time.monotonic() - begun) + 0.02


def test_the_looks_own_connection_is_none_of_those_that_are_counted(system: System) -> None:
    read_all, _ = postgres_reader(system.postgres_admin_url)
    before = read_all()["postgres.connections"]
    read, _ = locks_reader(system.postgres_admin_url)
    until(read, lambda seen: seen[LOOKED] > 0)
    assert read_all()["postgres.connections"] == before


def test_a_role_that_does_not_see_what_others_wait_for_has_no_such_figures(system: System) -> None:
    read, facts = locks_reader(system.postgres_url)
    assert read() == {}
    assert set(facts["not_given"]) == set(GAUGES)


def test_a_server_that_is_down_is_a_sentence() -> None:
    with pytest.raises(CapacityError, match=r"^PostgreSQL does not answer: "):
        locks_reader("postgresql://127.0.0.1:1/postgres")
