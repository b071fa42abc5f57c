"""However a notebook fails, and whenever a run is asked to end, that is one line that says how to go on."""

import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import nbformat
import psutil
import pytest

from capacity.clock import wait_until
from capacity.errors import CapacityError
from capacity.recording import open_recording
from capacity.suite.notebook_execution import DIED, execute_notebook

PROJECT = Path(__file__).parents[2]
CAPACITY = [sys.executable, "-c", "from capacity.cli import main; main()"]
SEED = 20261130
MOMENTS = 25 if os.environ.get("CAPACITY_TESTS") == "full" else 8
FullDisk = Callable[[int], AbstractContextManager[None]]
LIFE_S = 40.0  # of a run of one notebook on a busy machine, with its start and its report
WITHIN_S = 30.0


class Asked:
    """A run in a process group of its own, below a folder by which all that it starts is known."""

    def __init__(self, place: Path, *words: str) -> None:
        self.run, self.home = place / "run", place / "home"
        self.home.mkdir(exist_ok=True)
        self.home.chmod(0o755)  # as root PostgreSQL runs as another user
        self.process = subprocess.Popen(
            [*CAPACITY, "run", *words, "--into", str(self.run)],
            cwd=PROJECT,
            env={**os.environ, "TMPDIR": str(self.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ended(self, number: signal.Signals) -> tuple[int, list[str]]:
        """Its exit code and the lines that it said, after a signal to the group as a terminal sends it."""
        os.killpg(self.process.pid, number)
        out, err = self.process.communicate(timeout=180)
        return self.process.returncode, [*out.splitlines(), *err.splitlines()]

    def left(self) -> list[psutil.Process]:
        """The processes of it that still run."""
        return [each for each in psutil.process_iter() if self._is_its_own(each)]

    def _is_its_own(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            named = (process.environ().get("TMPDIR", ""), *process.cmdline())
            return process.status() != psutil.STATUS_ZOMBIE and any(str(self.home) in each for each in named)
        return False

    def leaves_nothing(self) -> bool:
        return wait_until(lambda: not self.left(), WITHIN_S) and not list(self.home.glob("capacity-*"))

    def load_began(self) -> bool:
        with suppress(OSError, ValueError):
            facts = json.loads((self.run / "recordings" / "redis" / "manifest.json").read_text())
            return facts.get("origin_unix_ns", time.time_ns()) < time.time_ns() - 2e9
        return False


@pytest.fixture
def place() -> Iterator[Path]:
    """As root PostgreSQL runs as another user, who cannot pass through pytest's own private folders."""
    with tempfile.TemporaryDirectory(prefix="asked-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def said_how_to_go_on(asked: Asked, lines: list[str]) -> None:
    *before, last = lines
    assert not [line for line in lines if re.search(r"Traceback|ERROR|Error|Warning|Exception", line)], lines
    assert all(re.match(r"(redis|report): ", line) for line in before), lines
    command = shlex.join(["capacity", "run", "--only", "redis", "--into", str(asked.run)])
    kept = f"(no notebook|redis) is finished, and what was measured is kept in {re.escape(str(asked.run))}; go on with"
    begun = "nothing was measured yet; begin again with"
    assert re.fullmatch(rf"capacity: interrupted; ({kept}|{begun}): {re.escape(command)}", last), lines


def test_ctrl_c_during_a_load_keeps_what_was_measured_and_leaves_nothing(place: Path) -> None:
    asked = Asked(place, "--only", "redis")
    assert wait_until(asked.load_began, 120)
    code, lines = asked.ended(signal.SIGINT)
    assert code == 130
    said_how_to_go_on(asked, lines)
    assert lines[-2].endswith(", interrupted")
    assert asked.leaves_nothing(), asked.left()
    recording = open_recording(asked.run / "recordings" / "redis")
    assert recording.manifest["state"] == "interrupted"
    assert recording.facts.parts  # it was brought to its end, not killed
    assert len(recording.samples) > 0
    assert not list((asked.run / "notebooks").glob("*.log"))


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.thorough)])
def test_a_run_that_is_terminated_while_its_servers_start_leaves_none(place: Path, number: signal.Signals) -> None:
    asked = Asked(place, "--only", "redis")
    assert wait_until(lambda: any(asked.home.glob("capacity-*/postgres")), 120)
    code, lines = asked.ended(number)
    assert code == 128 + number
    said_how_to_go_on(asked, lines)
    assert asked.leaves_nothing(), asked.left()


@pytest.mark.thorough
@pytest.mark.timeout(3600)
def test_a_run_that_is_asked_to_end_at_any_moment_leaves_nothing_and_its_folder_goes_on(place: Path) -> None:
    draw, counts = random.Random(SEED), []
    for number in range(MOMENTS):
        here = place / str(number)
        here.mkdir(mode=0o755)
        asked, moment = Asked(here, "--only", "redis"), draw.uniform(0, LIFE_S)
        time.sleep(moment)
        code, lines = asked.ended(draw.choice([signal.SIGINT, signal.SIGTERM]))
        print(f"after {moment:.1f} s: {code} {lines[-1:]}")
        assert asked.leaves_nothing(), (moment, asked.left())
        counts.append(code)
        if code in (130, 143):
            said_how_to_go_on(asked, lines)
        else:  # it was too early for a word, or it had ended
            assert code in (-signal.SIGINT, -signal.SIGTERM, 0, 1, 3), lines
    assert {130, 143} & set(counts)
    words = [*CAPACITY, "run", "--only", "redis", "--into", str(asked.run)]
    assert subprocess.run(words, cwd=PROJECT, capture_output=True, check=False).returncode in (0, 1, 3)
    assert (asked.run / "report.html").exists()


@pytest.mark.thorough
def test_a_kernel_that_is_killed_while_it_measures_is_one_sentence_and_its_servers_are_ended(place: Path) -> None:
    asked = Asked(place, "--only", "queue")
    kernels: list[psutil.Process] = []

    def works() -> bool:
        for worker in asked.left():
            with suppress(psutil.Error):
                if "capacity.system.application.worker" in worker.cmdline() and worker.ppid() != asked.process.pid:
                    kernels[:] = [psutil.Process(worker.ppid())]
        return bool(kernels)

    assert wait_until(works, 120)
    kernels[0].kill()
    _, err = asked.process.communicate(timeout=180)
    assert asked.process.returncode == 2, err
    failed = f"capacity: the notebook 30_queue.ipynb failed: {DIED}; see {asked.run / 'notebooks' / '30_queue.ipynb'}; "
    assert err.splitlines()[-1].startswith(failed)
    assert err.endswith(f"go on with: capacity run --only queue --into {asked.run}\n")
    assert "Traceback" not in err
    assert asked.leaves_nothing(), asked.left()


def failing(folder: Path, source: str) -> str:
    """What is said of a notebook with this cell."""
    path = folder / "10_own.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), path)
    with pytest.raises(CapacityError) as failure:
        execute_notebook(path, folder / "executed" / path.name, {}, folder)
    return str(failure.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ValueError('one\\n\\n  two')", "failed: ValueError: one two"),
        pytest.param("1 +", "failed: SyntaxError: invalid syntax", marks=pytest.mark.thorough),
        (
            "from capacity.errors import CapacityError\nraise CapacityError('the queue is full')",
            "failed: the queue is full",
        ),
        ("import os\nos.kill(os.getpid(), 9)", f"failed: {DIED}"),
        pytest.param("raise SystemExit(3)", "failed: SystemExit: 3", marks=pytest.mark.thorough),
        pytest.param("raise KeyboardInterrupt", "failed: KeyboardInterrupt", marks=pytest.mark.thorough),
        pytest.param(
            "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))\nbytes(1 << 34)",
            "failed: MemoryError",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_whatever_fails_in_a_notebook_is_one_sentence(tmp_path: Path, source: str, said: str) -> None:
    sentence = failing(tmp_path, source)
    executed = tmp_path / "executed" / "10_own.ipynb"
    assert re.sub(r" \(\w+\.py, line \d+\)", "", sentence) == f"the notebook 10_own.ipynb {said}; see {executed}"
    assert {log.name: log.read_text() for log in executed.parent.glob("*.log")} == {}


def test_what_is_no_notebook_and_where_none_can_be_kept_is_one_sentence(tmp_path: Path, full_disk: FullDisk) -> None:
    path = tmp_path / "10_own.ipynb"
    path.write_text("{")
    with pytest.raises(CapacityError, match=r"^the notebook 10_own\.ipynb could not be executed: NotJSONError: "):
        execute_notebook(path, tmp_path / "executed.ipynb", {}, tmp_path)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("#" * 10_000)]), path)
    executed = tmp_path / "executed.ipynb"
    said = f"the notebook 10_own.ipynb could not be executed into {executed}: File too large; put that right"
    with full_disk(5_000), pytest.raises(CapacityError, match=f"^{re.escape(said)}$"):
        execute_notebook(path, executed, {}, tmp_path)
    with pytest.raises(
        CapacityError, match=r"^cannot write /proc/none/10_own\.ipynb: .+; make room, or give a folder "
    ):
        execute_notebook(path, Path("/proc/none/10_own.ipynb"), {}, tmp_path)


def test_what_a_kernel_prints_itself_is_kept_beside_its_notebook(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "10_own.ipynb"
    cell = nbformat.v4.new_code_cell("import os\nos.write(2, b'a library warns')")
    made = nbformat.v4.new_notebook(cells=[cell], metadata={"language_info": {"name": "python"}})
    nbformat.write(made, path)
    execute_notebook(path, tmp_path / "executed" / path.name, {"unknown": 1}, tmp_path)
    assert (tmp_path / "executed" / "10_own.log").read_text() == "a library warns"
    assert capfd.readouterr() == ("", "")
