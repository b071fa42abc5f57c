"""Notebook kernels that are forked from one process, which has loaded what all notebooks import.

To start Python anew and import pandas, SciPy and Matplotlib takes several seconds for each notebook.
"""

import json
import os
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from capacity.load.fork_server import ForkServer

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
    return ForkServer(__name__, *LOADED, environment=BACKEND)


class ForkedProvisioner(LocalProvisioner):
    """Launches kernels of this Python by forking; see `prepare_kernels`."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel with the arguments of the command after `python -m ipykernel_launcher`."""
        place = str(kwargs.get("cwd") or Path.cwd())
        task = {"arguments": cmd[3:], "environment": dict(kwargs.get("env") or os.environ), "place": place}
        process = _server().fork(__name__, {}, (1, 2))
        if process.stdin:
            process.stdin.write(json.dumps(task).encode() + b"\n")
            process.stdin.flush()
        self.process: Any = process
        self.pid, self.pgid, self.cwd = process.pid, process.pid, place
        return self.connection_info


def main(task: Mapping[str, Any]) -> None:
    """Become a kernel, which ends when the suite does."""
    os.environ.clear()
    os.environ.update(task["environment"])
    os.chdir(task["place"])
    suite = os.dup(0)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)  # what a notebook starts reads nothing that is ours
    threading.Thread(target=_end_with, args=(suite,), daemon=True).start()
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(argv=[*task["arguments"], f"--IPKernelApp.parent_handle={os.getppid()}"])


def _end_with(suite: int) -> None:
    """The suite tells nothing more: there is something to read when it has ended, however it did."""
    os.read(suite, 1)
    os._exit(1)
