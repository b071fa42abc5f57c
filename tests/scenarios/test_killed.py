"""A harness that is killed at any moment leaves nothing: the next start finds what is left, and ends it.

With CAPACITY_TESTS=full 50 harnesses are killed.
"""

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import psutil
import pytest

from capacity.clock import wait_until
from capacity.system.server_directory import open_server_directory

PROJECT = Path(__file__).parents[2]
KINDS = ("stopped_database", "proxy", "stopped_worker", "redis_restart", "database_restart", "outbox_restart")
KILLS = 50 if os.environ.get("CAPACITY_TESTS") == "full" else 12
SEED = 20261125
LIFE_S = 4.0  # the longest; a quiet machine needs some 2 s for a worker to be stopped
AT_ONCE = 3
WITHIN_S = 10.0
APPEARS_S = 60.0


@dataclass
class Harnesses:
    """Where harnesses run: `home` is where their own folders are, `work` where their recordings are."""

    home: Path
    work: Path
    starter: "subprocess.Popen[str]"
    seen: set[psutil.Process] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, kind: str, number: int) -> psutil.Process:
        assert self.starter.stdin
        assert self.starter.stdout
        with self.lock:
            self.starter.stdin.write(f"{kind} {self.work / str(number)}\n")
            self.starter.stdin.flush()
            return psutil.Process(int(self.starter.stdout.readline()))

    def kill(self, harness: psutil.Process) -> list[str]:
        """The states of the processes that it had, once it is gone: while it is dying its home is still its own."""
        its_own = set(harness.children(recursive=True))
        harness.kill()
        harness.wait(WITHIN_S)
        self.seen |= {harness, *its_own}
        return [state_of(each) for each in its_own]

    def left(self) -> list[psutil.Process]:
        """Those seen and not gone, and those that are here by their folder or their environment."""
        known = [each for each in self.seen if state_of(each) not in ("gone", psutil.STATUS_ZOMBIE)]
        return known + [each for each in psutil.process_iter() if self._is_here(each) and each not in known]

    def _is_here(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            words = [*process.cmdline(), process.cwd(), process.environ().get("TMPDIR", "")]
            return any(str(self.home) in word for word in words) and process.pid != self.starter.pid
        return False


def state_of(process: psutil.Process) -> str:
    try:
        return str(process.status()) if process.is_running() else "gone"
    except psutil.NoSuchProcess:
        return "gone"


def has_stopped(harness: psutil.Process) -> bool:
    return psutil.STATUS_STOPPED in map(state_of, harness.children(recursive=True))


def has_a_proxy_under_load(harness: psutil.Process) -> bool:
    return len(harness.children()) == len(("Redis", "the proxy", "the load"))


CERTAIN = {"stopped_database": has_stopped, "stopped_worker": has_stopped, "proxy": has_a_proxy_under_load}


@pytest.fixture
def harnesses() -> Iterator[Harnesses]:
    with tempfile.TemporaryDirectory(prefix="killed-") as place:
        home, work = Path(place) / "home", Path(place) / "work"
        for folder in (Path(place), home, work):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)  # as root PostgreSQL runs as another user
        environment = {**os.environ, "TMPDIR": str(home), "PYTHONPATH": str(PROJECT)}
        words = [sys.executable, str(Path(__file__).with_name("harness.py"))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL, **pipes) as starter:
            found = Harnesses(home, work, starter)
            try:
                yield found
            finally:
                for each in found.left():
                    with contextlib.suppress(psutil.Error):
                        each.kill()


@pytest.mark.thorough
def test_harnesses_killed_at_random_moments_leave_nothing_after_the_next_start(
    harnesses: Harnesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(SEED)
    lives = [(kind, draw.uniform(0, LIFE_S)) for kind in islice(cycle(KINDS), KILLS)]

    def killed(number: int) -> list[str]:
        kind, seconds = lives[number]
        harness = harnesses.start(kind, number)
        time.sleep(seconds)
        return harnesses.kill(harness)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        states = list(threads.map(killed, range(KILLS)))
    certain = [harnesses.start(kind, number) for number, kind in enumerate(CERTAIN, KILLS)]
    for kind, harness in zip(CERTAIN, certain, strict=True):
        assert wait_until(lambda harness=harness, has=CERTAIN[kind]: has(harness), APPEARS_S), kind
    states += [harnesses.kill(each) for each in certain]
    harnesses.starter.stdin.close()
    running, stopped = sum(map(len, states)), sum(each.count(psutil.STATUS_STOPPED) for each in states)
    print(f"{len(states)} were killed, with {running} processes, {stopped} of them stopped")
    assert psutil.STATUS_STOPPED in map(state_of, harnesses.left())

    monkeypatch.setattr(tempfile, "tempdir", str(harnesses.home))
    began = time.monotonic()
    with open_server_directory() as directory:
        assert wait_until(lambda: not harnesses.left(), WITHIN_S), harnesses.left()
        print(f"nothing of them ran {time.monotonic() - began:.1f} s after the next start began")
        assert list(harnesses.home.iterdir()) == [directory.folder]
    assert not list(harnesses.home.iterdir())
