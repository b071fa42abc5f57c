"""What went to a block device is what its processes really moved, and not what the page cache answered."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from capacity.clock import wait_until
from capacity.probes.readers import device
from capacity.probes.readers.device import NO_DEVICE, UNSEEN, device_reader

MIB = 2**20
MEMORY = Path("/dev/shm")  # a tmpfs
# Has a child do what each line says, in a folder as that of a PostgreSQL, and says when that has ended.
PARENT = """
import os, sys
os.mkdir("pg_wal")
print(flush=True)
for line in sys.stdin:
    if os.fork() == 0:
        exec(line)
        os._exit(0)
    os.wait()
    print(flush=True)
"""
WRITE = f"f = open('kept', 'wb'); f.write(b'x' * {8 * MIB}); f.flush(); os.fsync(f.fileno())"
FORGET = "f = open('kept', 'rb'); os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)"
READ = f"f = open('kept', 'rb', buffering=0); os.posix_fadvise(f.fileno(), 0, 0, 1); f.read({8 * MIB})"
DISCARD = f"f = open('gone', 'wb'); f.write(b'x' * {4 * MIB}); f.flush(); os.unlink('gone'); f.close()"
Told = Callable[[str], None]

pytestmark = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux tells what a process moved")


@pytest.fixture
def parent(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[int, Told]]:
    """A process, and what has a child of it do something."""
    where = tmp_path if not hasattr(request, "param") else request.param
    where.mkdir(exist_ok=True)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=where, text=True, **pipes) as process:

        def told(line: str) -> None:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            process.stdout.readline()

        process.stdout.readline()
        yield process.pid, told
        process.stdin.close()
    shutil.rmtree(where)


def on_disk(folder: Path) -> bool:
    kinds = {each.mountpoint: each.fstype for each in psutil.disk_partitions(all=True)}
    mounts = (str(each) for each in (folder, *folder.parents))
    return next((kinds[each] for each in mounts if each in kinds), "") in ("ext4", "xfs")


def test_what_the_page_cache_answered_or_never_sent_did_not_go_to_the_device(
    parent: tuple[int, Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Children that ended count, and a server that does nothing moves nothing."""
    if not on_disk(tmp_path):
        pytest.skip("the temporary folder is on no file system whose reads and writes are those of a device")
    monkeypatch.setattr(device, "CPU_SHARE", 1000.0)
    pid, told = parent
    read, facts = device_reader(f"postgres={pid}")
    assert facts == {"not_given": {}}
    begin = read()

    def moved() -> tuple[float, float]:
        now = read()
        return tuple(
            (now[f"postgres.{name}"] - begin[f"postgres.{name}"]) / MIB for name in ("fetched_bytes", "sent_bytes")
        )

    told(WRITE)
    assert moved() == (pytest.approx(0, abs=0.1), pytest.approx(8, abs=0.2))
    told(READ)
    assert moved() == (pytest.approx(0, abs=0.1), pytest.approx(8, abs=0.2))
    assert wait_until(lambda: bool(told(FORGET) or told(READ) or moved()[0] > 7.9), 20)
    fetched = moved()[0]
    told(DISCARD)
    assert moved() == (fetched, pytest.approx(8, abs=0.2))
    rose = {name: value - begin[name] for name, value in read().items()}
    assert rose["postgres.device_bytes"] >= 15.9 * MIB
    assert rose["postgres.device_reads"] > 0 < rose["postgres.device_writes"]
    assert rose["postgres.device_write_ms"] >= 0 <= rose["postgres.device_read_ms"]


@pytest.mark.skipif(not MEMORY.is_dir(), reason="there is no tmpfs at its usual place")
@pytest.mark.parametrize("parent", [MEMORY / f"capacity-{os.getpid()}"], indirect=True)
def test_a_file_system_in_memory_has_no_device(parent: tuple[int, Told]) -> None:
    pid, told = parent
    read, facts = device_reader(f"postgres={pid}")
    names = ("reads", "read_ms", "writes", "write_ms", "bytes")
    assert facts["not_given"] == {f"postgres.device_{name}": NO_DEVICE for name in names}
    told(DISCARD)
    assert read() == {"postgres.fetched_bytes": 0, "postgres.sent_bytes": 0}


def test_what_another_users_processes_move_is_not_told() -> None:
    """Root may see all of them, so that it looks as somebody else here."""
    heard, says = os.pipe()
    if os.fork() == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        read, facts = device_reader("postgres=1")
        os.write(says, json.dumps([read(), facts]).encode())
        os._exit(0)
    os.close(says)
    os.wait()
    with os.fdopen(heard) as answer:
        found, facts = json.loads(answer.read())
    assert found == {}
    assert set(facts["not_given"].values()) == {UNSEEN}
    assert "postgres.fetched_bytes" in facts["not_given"]
