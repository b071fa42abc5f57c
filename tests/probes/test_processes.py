"""The CPU time of processes, with that of their children where it is asked for."""

import os
import subprocess
import sys
import time

import psutil

from capacity.probes.readers.processes import processes_reader

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}]); print('done', flush=True); input()"


def test_the_time_of_children_counts_where_it_is_asked_for_even_when_they_have_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        read, facts = processes_reader(f"alone={parent.pid} tree={parent.pid}+")
        assert parent.stdout.readline() == b"done\n"
        spent = read()
        parent.communicate(b"\n")
    assert facts == {"processes": {"alone": 1, "tree": 1}}
    assert spent["tree.cpu_s"] - spent["alone.cpu_s"] >= 0.25
    assert read() == spent


def test_the_time_of_a_living_child_counts_as_it_grows() -> None:
    read, _ = processes_reader(f"tree={os.getpid()}+")
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        deadline = time.monotonic() + 30
        before = read()["tree.cpu_s"]
        while psutil.Process(child.pid).cpu_times().user < 0.3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert read()["tree.cpu_s"] - before >= 0.25
        child.kill()
