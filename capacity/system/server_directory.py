"""A temporary folder with servers in it that never outlives its owner for long.

Its owner is this process. Whatever ends the owner, a normal end, an exception or a signal, stops the servers and
removes the folder; after a SIGKILL the next owner does it. The folder's name says whose it is. A file in it could not:
the owner may be killed before it is written.
"""

import atexit
import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from capacity.clock import monotonic_s
from capacity.load.child import ended
from capacity.system.interruption import deferred

PREFIX = "capacity-"
NAME = re.compile(rf"{PREFIX}(\d+)-([0-9a-f]+)-\d+")  # the owner's process, its start, and which of its own it is
STOP_SECONDS = 15.0
QUIT_SECONDS = 3.0
POLL_SECONDS = 0.02
POSTGRES = "postgres"  # its children show another command than their parent


class ServerDirectory:
    """A folder and the servers started in it, in the order in which they are stopped."""

    def __init__(self) -> None:
        self.folder = _new_folder()
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
        ended(server, STOP_SECONDS)

    def end(self, pid: int, how: signal.Signals) -> None:
        """End one server with a signal, and wait until it is gone."""
        (ended,) = [server for server, _ in self._servers if server.pid == pid]
        ended.send_signal(how)
        ended.wait(STOP_SECONDS)
        self._servers = [(server, stop) for server, stop in self._servers if server is not ended]

    def close(self) -> None:
        """Stop the servers and remove the folder; further signals wait until that is done."""
        with deferred():
            for process in _processes_in(self.folder):
                _tell(process, signal.SIGCONT)  # one that is stopped would hear of its end only then
            while self._servers:
                self.stop_last()
            _clear(self.folder)


@contextlib.contextmanager
def open_server_directory() -> Iterator[ServerDirectory]:
    """A directory for the time of a with-block, after sweeping away those whose owner was killed."""
    remove_orphans()
    with deferred():
        directory = ServerDirectory()
        atexit.register(directory.close)
    try:
        with _termination_raises():
            yield directory
    finally:
        directory.close()
        atexit.unregister(directory.close)


def remove_orphans() -> None:
    """Stop the servers and remove the folders of owners that live no more; those of other users are left alone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.geteuid() and _is_left(folder.name):
                _clear(folder)


def _new_folder() -> Path:
    """A folder of this process, which others may pass through."""
    started = round(psutil.Process().create_time())
    for number in itertools.count():
        folder = Path(tempfile.gettempdir()) / f"{PREFIX}{os.getpid()}-{started:x}-{number}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            folder.chmod(0o755)
            return folder
    raise AssertionError  # there is always a further number


def _is_left(name: str) -> bool:
    """Whether its owner has ended, by its name: the start tells the owner from a later process of the same number."""
    owner = NAME.fullmatch(name)
    if owner is None:
        return False
    try:
        process = psutil.Process(int(owner[1]))
        return process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - int(owner[2], 16)) > 2
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # what is hidden from us is somebody else's
        return True


def _clear(folder: Path) -> None:
    """End what still runs in a folder, stopped or not, and remove it; what ends may still write for a moment."""
    began = monotonic_s()
    while ((left := _processes_in(folder)) or folder.exists()) and monotonic_s() < began + STOP_SECONDS:
        for process in left:
            _end_at_once(process, patient=monotonic_s() < began + QUIT_SECONDS)
        if not left:
            shutil.rmtree(folder, ignore_errors=True)
        if left or folder.exists():
            time.sleep(POLL_SECONDS)


def _end_at_once(process: psutil.Process, *, patient: bool) -> None:
    """Kill a process; but where we are patient tell PostgreSQL to end: killed, it leaves its shared memory behind."""
    if patient and process.info["name"] == POSTGRES:
        _tell(process, signal.SIGQUIT)
        _tell(process, signal.SIGCONT)
    else:
        _tell(process, signal.SIGKILL)


def _processes_in(folder: Path) -> list[psutil.Process]:
    """Those started in a folder: their command names it, or they are PostgreSQL's own and stand in it."""
    names = "|".join(re.escape(str(each)) for each in {folder, folder.resolve()})
    within = re.compile(rf"({names})(?![\w-])")
    found = psutil.process_iter(["cmdline", "name", "cwd"])
    return [
        each
        for each in found
        if any(map(within.search, each.info["cmdline"] or []))
        or (each.info["name"] == POSTGRES and within.match(each.info["cwd"] or ""))
    ]


def _tell(process: psutil.Process, said: signal.Signals) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(said)


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
