"""A PostgreSQL's first process is found where it runs on this machine, and nobody else's is taken for it."""

import os

import psutil
import psycopg
import pytest

from capacity.errors import CapacityError
from capacity.system import postmaster
from capacity.system.addresses import System
from capacity.system.postmaster import find_postmaster

LASTING = """
SELECT pid FROM pg_stat_activity
WHERE pid = pg_backend_pid()
   OR backend_type IN ('checkpointer', 'background writer', 'walwriter', 'autovacuum launcher')
"""  # others may end before they are looked at


def test_it_is_the_parent_of_the_servers_own_processes(postgres_url: str) -> None:
    pid = find_postmaster(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        pids = {row[0] for row in connection.execute(LASTING).fetchall()}
        assert len(pids) > 1 and pid not in pids
        assert {psutil.Process(each).ppid() for each in pids} == {pid}


def test_it_is_found_over_a_socket_in_the_file_system(system: System, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute("SHOW unix_socket_directories").fetchone()
        url = f"postgresql://postgres@/postgres?host={row[0]}&port={connection.info.port}" if row else ""
    assert find_postmaster(url) == find_postmaster(postgres_url)


@pytest.mark.parametrize(
    "told",
    [
        "SELECT {ours}, '[local]'",  # a server elsewhere may give any process of ours its number,
        "SELECT pg_backend_pid(), '(1)'",  # also that of another PostgreSQL here,
        "SELECT 2147483647, '[local]'",  # or one that nobody has
        "SELECT 1 / 0, ''",
    ],
)
def test_a_process_that_is_not_that_of_the_connection_is_not_taken(
    told: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postmaster, "BACKEND", told.format(ours=os.getpid()))
    assert find_postmaster(postgres_url) is None


def test_without_an_address_there_is_none_and_a_server_that_is_down_is_one_sentence() -> None:
    assert find_postmaster("") is None
    with pytest.raises(CapacityError, match=r"^PostgreSQL does not answer: .*; start it, or correct its address$"):
        find_postmaster("postgresql://postgres@127.0.0.1:1/postgres")
