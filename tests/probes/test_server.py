"""The processes of a server: their CPU, the memory that they share counted once, and seldom read."""

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import psycopg
import pytest

from capacity.probes.readers import server
from capacity.probes.readers.server import server_reader, sparing
from capacity.system.postmaster import find_postmaster

MIB = 2**20
SHARED, OWN, CHILDREN = 96, 8, 3
# A parent whose children see its shared memory whole, have some of their own, and burn a little CPU time.
TREE = f"""
import mmap, os, sys, time
shared = mmap.mmap(-1, {SHARED * MIB})
def touched():
    for place in range(0, len(shared), 4096):
        shared[place] = 1
    own = bytearray(os.urandom(4096) * ({OWN * MIB} // 4096))
    while time.process_time() < 0.3:
        pass
    return own
touched()
for child in range({CHILDREN}):
    if os.fork() == 0:
        own = touched()
        os.write(1, b"x")
        time.sleep(600)
os.write(1, b"x")
sys.stdin.read()
"""


@pytest.fixture
def tree() -> Iterator[int]:
    """The first of four processes."""
    with subprocess.Popen([sys.executable, "-c", TREE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        told = b""
        while len(told) <= CHILDREN:
            told += parent.stdout.read(1)
        children = psutil.Process(parent.pid).children()
        try:
            yield parent.pid
        finally:
            for each in (*children, psutil.Process(parent.pid)):
                each.kill()


@pytest.mark.parametrize("way", ["PSS", "RSS"])
@pytest.mark.skipif(not psutil.LINUX, reason="only Linux tells what processes share")
def test_shared_memory_is_counted_once_and_ones_own_for_each(
    way: str, tree: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "RSS":
        denied = lambda process: (_ for _ in ()).throw(psutil.AccessDenied(process.pid))  # noqa: E731
        monkeypatch.setattr(psutil.Process, "memory_full_info", denied)
    read, facts = server_reader(f"tree={tree}")
    found = read()
    assert facts == {"processes": {"tree": 1}, "memory_by": way}
    least = SHARED + OWN * (1 + CHILDREN)
    used = found["tree.memory_bytes"] / MIB
    print(f"{way}: {used:.1f} MiB, of which {least} are known; counted by each it would be {SHARED * CHILDREN} more")
    assert least <= used < least + SHARED
    assert found["tree.memory_limit_bytes"] == psutil.virtual_memory().total


def test_cpu_is_that_of_all_its_processes_together(tree: int) -> None:
    read, _ = server_reader(f"tree={tree}")
    assert read()["tree.cpu_s"] >= 0.25 * (1 + CHILDREN)


def test_the_cpu_time_of_a_connection_stays_when_it_has_ended(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CPU_SHARE", math.inf)
    pid = find_postmaster(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        read, _ = server_reader(f"postgres={pid}")
        before = read()["postgres.cpu_s"]
        while backend.cpu_times().user < 0.3:
            connection.execute("SELECT sum(g) FROM generate_series(1, 300000) g")
        assert read()["postgres.cpu_s"] - before >= 0.25
    psutil.wait_procs([backend], timeout=30)
    assert read()["postgres.cpu_s"] - before >= 0.25


def test_where_memory_cannot_be_told_it_is_not_read(tree: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_way", lambda process: "")
    read, facts = server_reader(f"tree={tree}")
    assert set(read()) == {"tree.cpu_s"}
    assert facts["memory_by"] == ""


def test_a_server_that_is_gone_has_no_figures() -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        read, _ = server_reader(f"gone={process.pid}")
    assert read() == {}


def test_reading_takes_no_more_of_a_core_than_its_share() -> None:
    spent: list[float] = []

    def read() -> dict[str, float]:
        begun = time.process_time()
        while time.process_time() < begun + 0.01:
            pass
        spent.append(time.process_time() - begun)
        return {"a": 1.0}

    seldom, begun, given = sparing(read, 0.1), time.monotonic(), 0
    while len(spent) < 6:
        given += bool(seldom())
        time.sleep(0.001)
    assert given == 6
    assert time.monotonic() - begun >= sum(spent[:-1]) / 0.1


def test_postgresqls_memory_holds_its_buffers_once_however_many_connections_touch_them(postgres_url: str) -> None:
    """Ten connections have read all of a table of 30 MiB."""
    pid = find_postmaster(postgres_url)
    assert pid is not None
    with ExitStack() as stack:
        connections = [stack.enter_context(psycopg.connect(postgres_url, autocommit=True)) for _ in range(10)]
        connections[0].execute("CREATE TABLE public.touched AS SELECT repeat('x', 1000) FROM generate_series(1, 30000)")
        stack.callback(drop, postgres_url)
        for each in connections:
            each.execute("SELECT count(repeat) FROM public.touched")
        read, _ = server_reader(f"postgres={pid}")
        memory = read()["postgres.memory_bytes"] / MIB
        processes = [psutil.Process(pid), *psutil.Process(pid).children()]
        each_for_itself = sum(process.memory_info().rss for process in processes) / MIB
    print(f"{memory:.0f} MiB, where the processes have {each_for_itself:.0f} MiB each for itself")
    assert 30 < memory < each_for_itself - 9 * 25


def drop(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE public.touched")
