"""A forked kernel is a kernel: it has its place and environment, can be interrupted, and ends with whom it serves."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory

from capacity.clock import wait_until
from capacity.load.child import ForkedProcess
from capacity.suite.kernels import PROVISIONER, prepare_kernels

SERVE = """
import sys, time
from jupyter_client.provisioning import KernelProvisionerFactory
from jupyter_client import KernelManager
from capacity.suite.kernels import PROVISIONER, prepare_kernels
prepare_kernels()
KernelProvisionerFactory.instance().default_provisioner_name = PROVISIONER
kernel = KernelManager()
kernel.start_kernel()
kernel.blocking_client().wait_for_ready(60)
print(kernel.provisioner.pid, flush=True)
time.sleep(600)
"""
LOADED = "import sys; print(sorted({'pandas', 'scipy', 'seaborn', 'capacity.display.charts'} & set(sys.modules)))"


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[KernelManager]:
    prepare_kernels()
    monkeypatch.setattr(KernelProvisionerFactory.instance(), "default_provisioner_name", PROVISIONER)
    started = KernelManager()
    started.start_kernel(cwd=str(tmp_path), env=os.environ | {"CAPACITY_TOLD": "so"})
    yield started
    started.shutdown_kernel(now=True)


def answer(kernel: KernelManager, code: str) -> str:
    said: list[str] = []
    client = kernel.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(60)
        client.execute_interactive(code, timeout=60, output_hook=lambda each: said.append(text_of(each["content"])))
    finally:
        client.stop_channels()
    return "".join(said).strip()


def text_of(content: dict[str, Any]) -> str:
    if "image/png" in content.get("data", {}):
        return "a picture"
    return str(content.get("text", content.get("ename", "")))


def test_it_has_loaded_what_notebooks_import_and_is_where_it_was_told(kernel: KernelManager, tmp_path: Path) -> None:
    assert isinstance(kernel.provisioner.process, ForkedProcess)
    assert answer(kernel, LOADED) == "['capacity.display.charts', 'pandas', 'scipy', 'seaborn']"
    told = answer(kernel, "import os; print(os.getcwd(), os.environ['CAPACITY_TOLD'], os.getpid())")
    assert told == f"{tmp_path} so {kernel.provisioner.pid}"


def test_it_draws_into_the_notebook(kernel: KernelManager) -> None:
    assert answer(kernel, "import matplotlib; print(matplotlib.get_backend())").endswith("inline")
    assert answer(kernel, "import matplotlib.pyplot as plt; plt.plot([1, 2]);") == "a picture"
    assert answer(kernel, "figure, axes = plt.subplots(); display(figure); plt.close(figure)") == "a picture"


def test_it_can_be_interrupted_and_goes_on(kernel: KernelManager, tmp_path: Path) -> None:
    client = kernel.blocking_client()
    client.start_channels()
    client.wait_for_ready(60)
    # It does not print: an interrupt in the midst of a flush has ended in a RuntimeError, seen once.
    asked = client.execute("import time\nwhile True: open('begun', 'w').close(); time.sleep(0.01)")
    assert wait_until((tmp_path / "begun").exists, 60)
    kernel.interrupt_kernel()
    replies = iter(lambda: client.get_shell_msg(timeout=60), None)  # a slow one was asked twice whether it is ready
    reply = next(each for each in replies if each["parent_header"]["msg_id"] == asked)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    client.stop_channels()
    assert answer(kernel, "print(1 + 1)") == "2"


def test_one_that_is_shut_down_is_gone(kernel: KernelManager) -> None:
    pid = kernel.provisioner.pid
    kernel.shutdown_kernel()
    assert wait_until(lambda: not psutil.pid_exists(pid), 30)


@pytest.mark.thorough
def test_it_does_not_outlive_a_suite_that_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True) as suite:
        assert suite.stdout is not None
        served = psutil.Process(int(suite.stdout.readline()))
        suite.kill()
    with suppress(psutil.NoSuchProcess):
        served.wait(30)
    assert not served.is_running()
