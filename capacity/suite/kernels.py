"""Notebook kernels that are forked from one process, which has loaded what all notebooks import.

To start Python anew and import pandas, SciPy and Matplotlib takes several seconds for each notebook.
"""

import atexit
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from capacity.load.child import ForkedProcess
from capacity.load.fork_server import ForkServer

LOG = "CAPACITY_KERNEL_LOG"  # names the file that takes what kernels print themselves, which is not a notebook's output
PROVISIONER = "capacity"  # as pyproject.toml names it to jupyter_client
CHOSEN_BY = "JUPYTER_DEFAULT_PROVISIONER_NAME"
BACKEND = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # as a kernel sets it, which is too late here
# Not the backend itself: it ties itself to the shell that is there when it is loaded.
LOADED = (
    "ipykernel.kernelapp",
    "capacity.display.charts",
    "capacity.display.tables_levels",
    "capacity.probes.breaking_point",
    "capacity.scenarios.trials",
)
LOOKS_S = 0.1
RUNNING: set[ForkedProcess] = set()  # the kernels of this process
ENDING: list[int] = []  # the signals that were sent to them
STARTING = threading.Lock()  # of two servers begun at once one would end, and with it the kernels that it forked


def prepare_kernels() -> dict[str, str]:
    """Begin to load what notebooks import, beside the caller, unless that was done.

    Returns the environment in which kernels are forked, in this process and in those that it starts.
    """
    _server()
    return {CHOSEN_BY: PROVISIONER}


def _server() -> ForkServer:
    with STARTING:
        return _started_server()


@cache
def _started_server() -> ForkServer:
    server = ForkServer(__name__, *LOADED, environment=BACKEND)
    atexit.register(server.close, 0)  # it may still import, and would see only then that nobody needs it
    return server


def end_kernels(number: int) -> None:
    """Send a signal to each kernel, and to those that begin: SIGTERM ends one when what it measured is kept.

    The process that they are forked from must go on until then: they end with it.
    """
    ENDING.append(number)
    if not RUNNING:
        _server().close(0)  # it may still import, and one who waits for a kernel would wait for that
    for each in list(RUNNING):
        with suppress(OSError):  # it has ended meanwhile
            each.send_signal(number)


class ForkedProvisioner(LocalProvisioner):
    """Launches kernels of this Python by forking; see `prepare_kernels`."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel with the arguments of the command after `python -m ipykernel_launcher`."""
        place = str(kwargs.get("cwd") or Path.cwd())
        environment = dict(kwargs.get("env") or os.environ)
        task = {"arguments": cmd[3:], "environment": environment, "place": place}
        with ExitStack() as stack:
            log = environment.get(LOG)
            outputs = [stack.enter_context(Path(log).open("ab")).fileno()] * 2 if log else (1, 2)
            process = _server().fork(__name__, {}, outputs)
        RUNNING.add(process)
        for number in ENDING:
            process.send_signal(number)
        if process.stdin:
            try:
                process.stdin.write(json.dumps(task).encode() + b"\n")
                process.stdin.flush()
            except BrokenPipeError:  # it was ended at once, which is seen by those who wait for it
                with suppress(OSError):
                    process.stdin.close()
        self.process: Any = process
        self.pid, self.pgid, self.cwd = process.pid, process.pid, place
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """Send the kernel a signal, but no interrupt where it is shut down: then it is idle, and would log an error."""
        if signum != signal.SIGINT or not getattr(self.parent, "shutting_down", False):
            await super().send_signal(signum)

    async def cleanup(self, restart: bool = False) -> None:
        """Forget the kernels that have ended."""
        RUNNING.difference_update([each for each in RUNNING if each.poll() is not None])
        await super().cleanup(restart)


def main(task: Mapping[str, Any]) -> None:
    """Become a kernel, which ends when the suite does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a kernel that does not run a cell yet nobody wants more
    signal.signal(signal.SIGTERM, _leave)
    os.environ.clear()
    os.environ.update(task["environment"])
    os.chdir(task["place"])
    suite = os.dup(0)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)  # what a notebook starts reads nothing that is ours
    threading.Thread(target=_end_with, args=(suite,), daemon=True).start()
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(argv=[*task["arguments"], f"--IPKernelApp.parent_handle={os.getppid()}"])


def _leave(number: int, frame: FrameType | None) -> None:
    """End the kernel: where a cell measures, by an interrupt, so that what was measured is kept, and once that is."""
    signal.signal(number, signal.SIG_IGN)
    if not _measures(frame):
        os._exit(1)
    threading.Thread(target=_end_when_left, args=(threading.main_thread().ident,), daemon=True).start()
    raise KeyboardInterrupt


def _end_when_left(ident: int) -> None:
    while _measures(sys._current_frames().get(ident)):
        time.sleep(LOOKS_S)
    os._exit(1)


def _measures(frame: FrameType | None) -> bool:
    """Whether a cell is in code of this package: then it may have started servers, or keep a recording."""
    while frame is not None and frame.f_code is not main.__code__:
        if frame.f_globals.get("__name__", "").startswith("capacity."):
            return True
        frame = frame.f_back
    return False


def _end_with(suite: int) -> None:
    """The suite tells nothing more: there is something to read when it has ended, however it did."""
    os.read(suite, 1)
    os._exit(1)
