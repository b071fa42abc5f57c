"""A process of ours that measures: told its task on stdin, started at a common moment, ended by the end of stdin.

The end of stdin reaches it however its parent ends, so that no load outlives the one who asked for it.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any

from capacity.errors import CapacityError

READY_SECONDS = 60.0
CLOSE_SECONDS = 30.0  # what watches a queue takes hundreds of thousands of jobs out of it


class ForkedProcess:
    """A process that a fork server forked, with the part of `subprocess.Popen` that its users need.

    It is not our child, so how it ended is not known.
    """

    returncode: int | None = None

    def __init__(self, pid: int, stdin: int, stdout: int = -1, stderr: int = -1) -> None:
        self.pid = pid
        self.stdin: IO[bytes] | None = os.fdopen(stdin, "wb")
        self.stdout: IO[bytes] | None = os.fdopen(stdout, "rb") if stdout >= 0 else None
        self.stderr: IO[bytes] | None = os.fdopen(stderr, "rb") if stderr >= 0 else None
        try:
            self._handle = os.pidfd_open(pid)
        except ProcessLookupError:  # it has ended already
            self._handle = -1

    def poll(self) -> int | None:
        """None while it runs, and 0 once it has ended."""
        try:
            return self.wait(0.0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; raises subprocess.TimeoutExpired."""
        if self._handle >= 0:
            if not select.select([self._handle], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            os.close(self._handle)
            self._handle = -1
        return 0

    def send_signal(self, signum: int) -> None:
        """Send it a signal, unless it has ended."""
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signum)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class Child:
    """A running `python -m module` with its task; `process` is one that runs it already."""

    def __init__(
        self, module: str, task: Mapping[str, Any], secrets: Mapping[str, str], process: ForkedProcess | None = None
    ) -> None:
        self._name = module.rpartition(".")[2]
        self._process: ForkedProcess | subprocess.Popen[bytes] = process or subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **secrets},
            start_new_session=True,
        )
        self.tell(task)

    def wait_ready(self) -> dict[str, Any]:
        """What it says when it can begin; CapacityError is its own sentence where it cannot."""
        line = self.wait(READY_SECONDS)
        if line is None:
            raise CapacityError(f"the {self._name} process was not ready after {READY_SECONDS:g} s")
        return line

    def wait(self, seconds: float) -> dict[str, Any] | None:
        """Its next line, or None where none came in time; CapacityError where it ended or says an error."""
        if self._process.stdout is None or not select.select([self._process.stdout], [], [], seconds)[0]:
            return None
        line = self._process.stdout.readline()
        if not line:
            raise CapacityError(f"the {self._name} process ended early: {self._last_words()}")
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise CapacityError(said["error"])
        return said

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """End its stdin and wait until it is gone."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        ended(self._process, seconds)

    def tell(self, said: object) -> None:
        """Tell it a line of JSON; CapacityError where it has ended."""
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(json.dumps(said).encode() + b"\n")
                self._process.stdin.flush()
        except BrokenPipeError:
            raise CapacityError(f"the {self._name} process ended early: {self._last_words()}") from None

    def _last_words(self) -> str:
        self._process.wait()
        said = self._process.stderr.read().decode(errors="replace").split("\n") if self._process.stderr else []
        lines = [line.strip() for line in said if line.strip()]
        return lines[-1] if lines else f"exit status {self._process.returncode}"


def ended(process: ForkedProcess | subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until a process is gone, and kill it where that takes longer."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def say(facts: Mapping[str, Any]) -> None:
    """Tell the parent a line."""
    print(json.dumps(facts), flush=True)


def end_with_parent(hear: Callable[[Any], object]) -> None:
    """End this process at once when its parent is gone or wants it gone; what was flushed stays.

    Each line that the parent tells meanwhile is given to `hear`, in a thread of its own.
    """

    def watch() -> None:
        try:
            while True:
                hear(json.loads(read_line()))
        finally:
            os._exit(3)

    threading.Thread(target=watch, daemon=True).start()


def read_line() -> str:
    """The parent's next line, byte by byte, so that nothing after it is taken."""
    taken = bytearray()
    while not taken.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(3)
        taken += byte
    return taken.decode()


def run_child(main: Callable[[dict[str, Any]], None]) -> None:
    """Run a child's work on its task; a CapacityError reaches the parent as the sentence that it is."""
    try:
        main(json.loads(read_line()))
    except CapacityError as error:
        say({"error": str(error)})
