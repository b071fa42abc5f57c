"""Starts processes by forking one that has imported what they need: those of measurements, and notebook kernels.

To start a process anew takes as long as a short level of load, and its imports disturb what is measured beside it; a
kernel that imports pandas, SciPy and Matplotlib takes several seconds. The standard library's fork server would not do:
its processes import the caller's own script once more.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from capacity.errors import CapacityError
from capacity.load.child import Child, ForkedProcess, ended, run_child

START_SECONDS = 60.0
REQUEST_BYTES = 65_536


class ForkServer:
    """A process that has imported `modules`, whose `main` its forks run; close it when all of them have ended."""

    def __init__(self, *modules: str, environment: Mapping[str, str] | None = None) -> None:
        self._socket, theirs = socket.socketpair()
        self._asking = threading.Lock()  # notebooks are run by several threads, and each is to get its own answer
        self._socket.settimeout(START_SECONDS)
        words = [sys.executable, "-m", __name__, str(theirs.fileno()), *modules]
        with theirs:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def start(self, module: str, task: Mapping[str, Any], secrets: Mapping[str, str]) -> Child:
        """A new process that runs `main` of `module` with the task, and finds the secrets in its environment."""
        return Child(module, task, secrets, self.fork(module, secrets))

    def fork(self, module: str, secrets: Mapping[str, str], outputs: Sequence[int] = ()) -> ForkedProcess:
        """A new process that awaits its task on stdin; `outputs` are where it writes to, in place of pipes to us."""
        (stdin, writes), *pipes = [os.pipe() for _ in range(1 if outputs else 3)]
        mine, theirs = [writes, *(each[0] for each in pipes)], [stdin, *(each[1] for each in pipes)]
        request = json.dumps({"module": module, "secrets": dict(secrets)}).encode()
        try:
            with self._asking:
                socket.send_fds(self._socket, [request], [*theirs, *outputs])
                answer = self._socket.recv(64)
        except OSError:
            answer = b""
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        if not answer:
            for descriptor in mine:
                os.close(descriptor)
            raise CapacityError("the process that starts others has ended; run this again")
        return ForkedProcess(int(answer), *mine)

    def close(self, seconds: float = START_SECONDS) -> None:
        """End it, by force where it has not ended after so many seconds, as while it imports."""
        self._socket.close()
        ended(self._process, seconds)


def main(words: list[str]) -> None:
    """Import the modules, then fork for each request until the other end is closed."""
    mains = {module: getattr(importlib.import_module(module), "main", None) for module in words[1:]}
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
    os._exit(0)  # libraries that count their objects would tell of those that are frozen
