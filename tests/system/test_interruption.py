"""What asks a process to end is one exception, once for a wish, wherever Python swallows it, and never too early."""

import signal
import subprocess
import sys

import pytest

BEGIN = """
import os, signal, sys, time
from capacity.system.interruption import Interrupted, deferred, end_when_asked
asked = lambda number=signal.SIGTERM: os.kill(os.getpid(), number)
"""
EACH = """
end_when_asked()
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    try:
        asked(number)
        print("not raised")
    except Interrupted as wish:
        print(wish.number, wish.exit_code, wish)
        time.sleep(1.1)
"""
TWICE = """
end_when_asked()
try:
    asked()
except Interrupted:
    asked(signal.SIGINT)
    print("went on")
"""
SWALLOWED = """
class Ends:
    def __del__(self):
        asked()
end_when_asked()
try:
    Ends()
    time.sleep(60)
except Interrupted as wish:
    print(wish.number)
"""
DEFERRED = """
end_when_asked()
try:
    with deferred():
        asked()
        asked(signal.SIGINT)
        print("whole")
    print("not raised")
except Interrupted as wish:
    print(wish.number)
"""
IGNORED = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
end_when_asked()
asked(signal.SIGHUP)
print("went on")
"""
OWN = """
signal.signal(signal.SIGTERM, lambda number, frame: print("own"))
with deferred():
    asked()
    print("whole")
"""


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        (EACH, ["2 130 interrupted", "15 143 interrupted", "1 129 interrupted"]),
        pytest.param(TWICE, ["went on"], id="a second signal at once is the same wish"),
        pytest.param(SWALLOWED, ["15"], id="the end of an object swallows it"),
        pytest.param(DEFERRED, ["whole", "15"], id="what must be whole is"),
        pytest.param(IGNORED, ["went on"], id="nohup"),
        pytest.param(OWN, ["whole", "own"], id="another one's handler"),
    ],
)
def test_a_signal_is(code: str, printed: list[str]) -> None:
    ran = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False, timeout=60)
    assert (ran.stdout.splitlines(), ran.stderr, ran.returncode) == (printed, "", 0)


def test_without_a_handler_it_ends_the_process_when_what_must_be_whole_is() -> None:
    code = BEGIN + "with deferred():\n    asked()\n    print('whole', flush=True)\nprint('went on')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("whole\n", "", -signal.SIGTERM)
