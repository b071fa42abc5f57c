"""Progress is a line a part that fits its terminal, two plain lines where there is none, and leaves nothing behind."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from rich.cells import cell_len

from capacity.clock import wait_until
from capacity.probes import progress
from capacity.probes.progress import ProgressLines, clock_text, left_text, milliseconds_text, part_line
from capacity.probes.under_way import Follower, UnderWay
from capacity.recording import create_recording

LONGEST = UnderWay("network_redis_black_hole sustain", 1799, 1800, 123_456, 999, 1, "WRONGPASS", 1_000_000, 1_000_000)
FAILS = UnderWay("sustain", 30, 60, 400.0, 12.3, 0.6, "ReadOnlySqlTransaction", 22_637, 13_599)
SHOWS = """
import sys, time
from pathlib import Path
from capacity.probes.progress import ProgressLines
shown = ProgressLines({"redis": 60.0, "breaking_point": 150.0}, print)
try:
    with shown.part("redis", Path(sys.argv[1]), lambda: ("?", "9 of 10 promises hold, 1 undecided")):
        print("begun", flush=True)
        while not Path(sys.argv[1], "end").exists():
            time.sleep(0.05)
except KeyboardInterrupt:
    print("after", flush=True)
"""


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    stage = {"name": "sustain", "step": 0, "to": 400.0, "start_s": 0.0, "end_s": 1000.0}
    facts = {"operations": ["GET"], "planned_seconds": 1000.0, "stages": [stage]}
    return create_recording(tmp_path / "redis", {**facts, "origin_unix_ns": time.time_ns() - 250 * 10**9})


class Terminal:
    """A process in a pseudo-terminal of so many columns, and what it has written there."""

    def __init__(self, columns: int, *command: str) -> None:
        self._end, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")
        }
        self.process = subprocess.Popen(
            command,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=environment | {"TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(inner)
        self.text = ""

    def read_until(self, words: str, seconds: float = 60) -> str:
        end = time.monotonic() + seconds
        while words not in self.text:
            assert time.monotonic() < end, f"{words!r} is not in {self.text!r}"
            self.text += self._more()
        return self.text

    def read_all(self) -> str:
        while more := self._more():
            self.text += more
        self.process.wait()
        return self.text

    def _more(self) -> str:
        try:
            return os.read(self._end, 4096).decode(errors="replace")
        except OSError:  # nobody has the other end open any more
            return ""


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_what_is_measured_and_keeps_a_line_of_what_ended(recording: Path, columns: int) -> None:
    shown = Terminal(columns, sys.executable, "-c", SHOWS, str(recording))
    shown.read_until("0 of 2 parts")
    (recording / "end").touch()
    text = shown.read_all()
    lines = [line for line in re.split(r"[\r\n]+", plain(text)) if line.strip()]
    assert any(re.match(r"▸ redis +sustain .* 25% .* ≥12:\d\d left$", line.rstrip()) for line in lines)
    assert re.fullmatch(r"\? redis +0:\d\d  9 of 10 promises hold, 1 undecided", lines[-1].rstrip())
    assert max(map(cell_len, lines)) <= columns
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is shown again


@pytest.mark.parametrize("when", ["\x1b[?25l", "0 of 2 parts", "begun"])  # the cursor is hidden as it begins
def test_an_interrupt_leaves_the_terminal_clean(recording: Path, when: str) -> None:
    shown = Terminal(80, sys.executable, "-c", SHOWS, str(recording))
    shown.read_until(when)
    shown.process.send_signal(signal.SIGINT)
    text = shown.read_all()
    assert "– redis" in plain(text)
    assert "interrupted" in plain(text)
    assert text.count("\x1b[?25l") == 1
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert plain(text).rstrip().endswith("after")


def test_without_a_terminal_a_part_is_a_line_at_its_begin_and_one_at_its_end(recording: Path) -> None:
    (recording / "end").touch()
    command = [sys.executable, "-c", SHOWS, str(recording)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    said = ["redis: under way, about 1:00", "begun", "redis: 0:00, 9 of 10 promises hold, 1 undecided"]
    assert (ran.stdout.splitlines(), ran.stderr) == (said, "")


def test_without_a_terminal_a_load_is_told_now_and_then_in_plain_lines(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PLAIN_S", 0.05)
    said: list[str] = []
    shown = ProgressLines({"redis": 60.0, "queue": 30.0}, said.append)
    with shown.part("redis", recording):
        assert wait_until(lambda: len(said) >= 3, 60)
    first, *between, last = said
    assert (first, last) == ("redis: under way, about 1:00", "redis: 0:00, measured")
    assert all(re.fullmatch(r"redis: sustain, 25%, .*≥12:\d\d left, ≥1\d:\d\d left in all", line) for line in between)


def test_what_fails_is_a_line_of_its_own_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Follower, "look", lambda _: FAILS)
    shown = ProgressLines({"database": None}, print)
    lines = [line.plain for line in shown.lines(80)]
    assert re.search(r"sustain +50% +400/s +p95 12 ms +60% err +≥0:30 left$", lines[0])
    assert lines[1] == "  13,599 of 22,637 failed so far, now for: ReadOnlySqlTransaction"
    assert max(map(len, lines)) <= 80
    assert shown.plain_line().endswith(
        "sustain, 50%, 400/s, p95 12 ms, 60% err, 13,599 of 22,637 failed so far, now for: ReadOnlySqlTransaction, "
        "≥0:30 left"
    )


def test_a_part_that_fails_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    shown = ProgressLines({"redis": None}, said.append)
    with pytest.raises(ZeroDivisionError), shown.part("redis", tmp_path):
        raise ZeroDivisionError
    assert said == ["redis: under way", "redis: 0:00, failed"]


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("seen", [UnderWay("preparing"), LONGEST, UnderWay("sustain", 0.0, 30.0)])
def test_a_line_fits_whatever_is_measured(width: int, seen: UnderWay) -> None:
    line = part_line("breaking_point", seen, "≥1:00:00 left", width)
    assert cell_len(line.plain) <= width + 3  # an hour's rest is three columns longer; the line is cut there
    assert ("━" in line.plain) == (width >= 100 and seen.done_s > 0)


def test_figures_take_the_place_that_they_have() -> None:
    given = (None, 0.04, 9.94, 12.3, 999.4, 1500, float("inf"))
    assert [milliseconds_text(each) for each in given] == [
        "", "p95 0.0 ms", "p95 9.9 ms", "p95 12 ms", "p95 999 ms", "p95 1.5 s", "p95 ∞"
    ]  # fmt: skip
    assert [clock_text(each) for each in (0, 65.4, 3599.6, 3661)] == ["0:00", "1:05", "1:00:00", "1:01:01"]
    assert [left_text(80, known=True), left_text(80, known=False), left_text(0, known=False)] == [
        "1:20 left", "≥1:20 left", ""
    ]  # fmt: skip
