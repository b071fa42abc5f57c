"""Starts the processes of measurements by forking one that has imported what they need.

To start a process anew takes as long as a short level of load, and its imports disturb what is measured beside it.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping
from typing import IO, Any

from capacity.errors import CapacityError
from capacity.load.child import Child, run_child

START_SECONDS = 60.0
REQUEST_BYTES = 65_536


class Forked:
    """A process that the nursery forked, with the part of `subprocess.Popen` that a child's parent needs."""

    def __init__(self, pid: int, stdin: int, stdout: int, stderr: int) -> None:
        self.pid = pid
        self.stdin: IO[bytes] | None = os.fdopen(stdin, "wb")
        self.stdout: IO[bytes] | None = os.fdopen(stdout, "rb")
        self.stderr: IO[bytes] | None = os.fdopen(stderr, "rb")
        self.returncode: int | None = None
        try:
            self._handle = os.pidfd_open(pid)
        except ProcessLookupError:  # it has ended already
            self._handle = -1

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it has ended; raises subprocess.TimeoutExpired."""
        if self._handle < 0:
            return
        if not select.select([self._handle], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        os.close(self._handle)
        self._handle = -1

    def kill(self) -> None:
        """End it at once."""
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)


class Nursery:
    """A process that has imported `modules`, whose `main` its forks run; close it when all of them have ended."""

    def __init__(self, *modules: str) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(START_SECONDS)
        words = [sys.executable, "-m", __name__, str(theirs.fileno()), *modules]
        with theirs:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
            )

    def start(self, module: str, task: Mapping[str, Any], secrets: Mapping[str, str]) -> Child:
        """A new process that runs `main` of `module` with the task, and finds the secrets in its environment."""
        (stdin, my_stdin), (my_stdout, stdout), (my_stderr, stderr) = os.pipe(), os.pipe(), os.pipe()
        request = json.dumps({"module": module, "secrets": dict(secrets)}).encode()
        try:
            socket.send_fds(self._socket, [request], [stdin, stdout, stderr])
            answer = self._socket.recv(64)
        except OSError:
            answer = b""
        finally:
            for descriptor in (stdin, stdout, stderr):
                os.close(descriptor)
        if not answer:
            for descriptor in (my_stdin, my_stdout, my_stderr):
                os.close(descriptor)
            raise CapacityError("the process that starts those of a measurement has ended; measure again")
        return Child(module, task, secrets, Forked(int(answer), my_stdin, my_stdout, my_stderr))

    def close(self) -> None:
        """End it."""
        self._socket.close()
        try:
            self._process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main(words: list[str]) -> None:
    """Import the modules, then fork for each request until the other end is closed."""
    mains = {module: importlib.import_module(module).main for module in words[1:]}
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what has ended leaves nothing behind
    gc.collect()
    gc.freeze()
    requests = socket.socket(fileno=int(words[0]))
    while True:
        said, descriptors, _, _ = socket.recv_fds(requests, REQUEST_BYTES, 3)
        if not said:
            return
        request = json.loads(said)
        pid = os.fork()
        if not pid:
            requests.close()
            _become(mains[request["module"]], request["secrets"], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        requests.sendall(b"%d" % pid)


def _become(work: Any, secrets: Mapping[str, str], descriptors: list[int]) -> None:
    """Run the work with these as stdin, stdout and stderr, and end."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for place, descriptor in enumerate(descriptors):
            os.dup2(descriptor, place)
            os.close(descriptor)
        os.environ.update(secrets)
        run_child(work)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
