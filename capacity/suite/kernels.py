"""Notebook kernels that are forked from one process, which has loaded what all notebooks import.

To start Python anew and import pandas, SciPy and Matplotlib takes several seconds for each notebook.
"""

import multiprocessing
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

PROVISIONER = "capacity"  # as pyproject.toml names it to jupyter_client
CHOSEN_BY = "JUPYTER_DEFAULT_PROVISIONER_NAME"
BACKEND = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # as a kernel sets it, which is too late here
# Not the backend itself: it ties itself to the shell that is there when it is loaded.
LOADED = (
    "ipykernel.kernelapp",
    "capacity.display.charts",
    "capacity.display.tables_levels",
    "capacity.probes.database",
    "capacity.probes.gateway",
    "capacity.scenarios.trials",
)


def prepare_kernels() -> dict[str, str]:
    """Begin to load what notebooks import, beside the caller, unless that was done.

    Returns the environment in which kernels are forked, in this process and in those that it starts.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(LOADED))
    with environment(BACKEND):
        forkserver.ensure_running()
    return {CHOSEN_BY: PROVISIONER}


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Meanwhile these values are in the environment of this process, and of those that it starts."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class KernelProcess:
    """A kernel's process, with the part of `subprocess.Popen` that a provisioner needs."""

    stdin = stdout = stderr = None

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.pid = process.pid or 0

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it has ended; raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("kernel", timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, signum: int) -> None:
        """Send it a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class ForkedProvisioner(LocalProvisioner):
    """Launches kernels of this Python by forking; see `prepare_kernels`."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel with the arguments of the command after `python -m ipykernel_launcher`."""
        prepare_kernels()
        context = multiprocessing.get_context("forkserver")
        place = str(kwargs.get("cwd") or Path.cwd())
        process = context.Process(
            target=_kernel, args=(cmd[3:], dict(kwargs.get("env") or os.environ), place), daemon=True
        )
        process.start()
        self.process: Any = KernelProcess(process)
        self.pid, self.pgid, self.cwd = process.pid, process.pid, place
        return self.connection_info


def _kernel(arguments: Sequence[str], told: Mapping[str, str], place: str) -> None:
    """Become a kernel, which ends when the suite does."""
    os.setsid()  # the terminal's interrupt is for the suite alone
    os.environ.clear()
    os.environ.update(told)
    os.chdir(place)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(argv=[*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"])


def _end_with(suite: Any) -> None:
    """The process that forks kernels cannot tell: each kernel keeps open what says to it that the suite is there."""
    suite.join()
    os._exit(1)
