"""A temporary folder with servers in it that never outlives its owner for long.

Its owner is this process. Whatever ends the owner, a normal end, an exception or a signal, stops the servers and
removes the folder; after a SIGKILL the next owner does it.
"""

import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

PREFIX = "capacity-"
OWNER = "owner.json"
STOP_SECONDS = 15.0


class Home:
    """A folder and the servers started in it, in the order in which they are stopped."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.folder.chmod(0o755)
        mine = {"pid": os.getpid(), "started": psutil.Process().create_time()}
        (self.folder / OWNER).write_text(json.dumps(mine), encoding="utf-8")
        self._servers: list[tuple[subprocess.Popen[bytes], signal.Signals]] = []

    def start(self, command: Sequence[str | Path], stop: signal.Signals, log: Path, **options: Any) -> int:
        """Start a server that `stop` ends and return its pid; its own session keeps a terminal's Ctrl-C from it."""
        with log.open("ab") as sink:
            server = subprocess.Popen(
                [str(word) for word in command],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                **options,
            )
        self._servers.append((server, stop))
        return server.pid

    @property
    def running(self) -> bool:
        """Whether every server that was started still runs."""
        return all(server.poll() is None for server, _ in self._servers)

    def stop_last(self) -> None:
        """Stop the server that was started last."""
        server, stop = self._servers.pop()
        server.send_signal(stop)
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    def end(self, pid: int, how: signal.Signals) -> None:
        """End one server with a signal, and wait until it is gone."""
        (ended,) = [server for server, _ in self._servers if server.pid == pid]
        ended.send_signal(how)
        ended.wait(STOP_SECONDS)
        self._servers = [(server, stop) for server, stop in self._servers if server is not ended]

    def close(self) -> None:
        """Stop the servers and remove the folder; further signals wait until that is done."""
        with _signals_ignored():
            while self._servers:
                self.stop_last()
            shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def open_home() -> Iterator[Home]:
    """A home for the time of a with-block, after sweeping away those whose owner was killed."""
    sweep()
    home = Home()
    atexit.register(home.close)
    try:
        with _termination_raises():
            yield home
    finally:
        home.close()
        atexit.unregister(home.close)


def sweep() -> None:
    """Stop the servers and remove the folders of owners that live no more; those of other users are left alone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            if folder.owner() and folder.stat().st_uid == os.geteuid() and not _lives(folder / OWNER):
                for server in _processes_in(folder):
                    server.kill()
                    server.wait(STOP_SECONDS)
                shutil.rmtree(folder, ignore_errors=True)


def _lives(owner_file: Path) -> bool:
    """Whether the owner still runs; its start time tells it from a later process with its number."""
    owner = json.loads(owner_file.read_text(encoding="utf-8"))
    try:
        return bool(abs(psutil.Process(owner["pid"]).create_time() - owner["started"]) < 1.0)
    except psutil.NoSuchProcess:
        return False


def _processes_in(folder: Path) -> list[psutil.Process]:
    """The servers started in a folder: those whose command names it."""
    found = psutil.process_iter(["cmdline"])
    return [each for each in found if any(str(folder) in word for word in each.info["cmdline"] or [])]


@contextlib.contextmanager
def _termination_raises() -> Iterator[None]:
    """SIGTERM unwinds the stack like Ctrl-C does, so that what was started is stopped."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
    """Keep a second Ctrl-C from leaving servers behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
