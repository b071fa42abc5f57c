"""What was recorded is read on any system; only measuring needs Linux."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
# What only Linux has is taken away before anything of this project is imported. The libraries come first: they choose
# their own parts by sys.platform, and those of a Mac are not installed here.
ELSEWHERE = """
import ctypes, os, select, signal, sys
import asyncio, IPython.display, matplotlib.pyplot, multiprocessing, psutil, psycopg, tempfile, urllib.request
LINUX = ("epoll", "EPOLL", "eventfd", "EFD_", "timerfd", "TFD_", "sched_", "SCHED_", "pidfd", "memfd", "posix_fa",
         "splice", "copy_file_range", "pipe2", "setns", "unshare", "sigtimedwait", "sigwaitinfo", "SIGRT", "accept4")
for module in (select, os, signal):
    for name in [name for name in vars(module) if name.startswith(LINUX)]:
        delattr(module, name)

def only_on_linux(*_, **__):
    raise OSError("libc of Linux was asked for")

ctypes.CDLL = only_on_linux
sys.platform = "darwin"
matplotlib.use("agg")
"""
IMPORT_ALL = """
import importlib, pkgutil, capacity
for each in pkgutil.walk_packages(capacity.__path__, "capacity."):
    importlib.import_module(each.name)
"""
READ = """
import json
names = {"display": lambda *shown: None}
for path in sys.argv[1:]:
    for cell in json.load(open(path, encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
"""
ASK = """
import json
from click.testing import CliRunner
from capacity.cli import main
said = [CliRunner().invoke(main, words.split()) for words in sys.argv[1:]]
print(json.dumps([(each.exit_code, each.output) for each in said]))
"""
NOTEBOOKS = sorted(map(str, (PROJECT / "notebooks").glob("*.ipynb")))
NEEDS = "measuring needs Linux, whose epoll, timerfd and /proc it uses, and this is "
READABLE = "in a notebook, or capacity report, verdict, compare, export or audit"


def elsewhere(code: str, *words: str) -> str:
    """What such a system's Python prints; its last words where it fails."""
    command = [sys.executable, "-c", ELSEWHERE + code, *words]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240)
    return ran.stdout if ran.returncode == 0 else ran.stderr.strip().splitlines()[-1]


@pytest.mark.thorough
def test_every_module_is_imported_elsewhere() -> None:
    assert elsewhere(IMPORT_ALL + "print('all was imported')").endswith("all was imported\n")


@pytest.mark.thorough
def test_every_notebook_reads_its_recording_elsewhere() -> None:
    assert elsewhere(READ + "print('all was read')", *NOTEBOOKS).endswith("all was read\n")


@pytest.mark.thorough
def test_a_command_that_measures_is_refused_elsewhere_and_one_that_reads_is_not(tmp_path: Path) -> None:
    ran, examined, audited = json.loads(elsewhere(ASK, f"run --into {tmp_path / 'run'}", "doctor", "audit"))
    assert ran[0] == examined[0] == 2
    assert ran[1].startswith(f"capacity: {NEEDS}")
    assert ran[1].endswith(f"{READABLE}\n")
    assert ran[1].count("\n") == 1
    assert not (tmp_path / "run").exists()
    assert re.search(r"MISSING  system +measuring needs Linux", examined[1])
    assert audited[0] == 1
    assert "does not follow" in audited[1]


@pytest.mark.thorough
def test_a_notebook_that_is_to_measure_elsewhere_says_so() -> None:
    live = "from capacity.probes.redis import run_redis_probe\nrun_redis_probe(True, 'smoke', '', '')"
    assert elsewhere(live).startswith(f"capacity.errors.CapacityError: {NEEDS}")
