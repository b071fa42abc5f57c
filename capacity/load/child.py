"""A process of ours that measures: told its task on stdin, started at a common moment, ended by the end of stdin.

The end of stdin reaches it however its parent ends, so that no load outlives the one who asked for it.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol

from capacity.errors import CapacityError

READY_SECONDS = 60.0


class Process(Protocol):
    """What a child needs of its process; `subprocess.Popen` has it."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None
    returncode: int | None

    def wait(self, timeout: float | None = None) -> object:
        """Wait until it has ended; raises subprocess.TimeoutExpired."""

    def kill(self) -> None:
        """End it at once."""


class Child:
    """A running `python -m module` with its task; `process` is one that runs it already."""

    def __init__(
        self, module: str, task: Mapping[str, Any], secrets: Mapping[str, str], process: Process | None = None
    ) -> None:
        self._name = module.rpartition(".")[2]
        self._process: Process = process or subprocess.Popen(
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

    def begin(self, origin_ns: int) -> None:
        """Start at that moment of the monotonic clock."""
        self.tell(origin_ns)

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

    def close(self, seconds: float = 10.0) -> None:
        """End its stdin and wait until it is gone."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

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
