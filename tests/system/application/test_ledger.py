"""What a worker has written is there, however the worker ends."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.system.application.ledger import EVENTS, LEDGER_COLUMNS, LedgerWriter, read_ledger

WRITER = """
import sys
from pathlib import Path
from capacity.system.application.ledger import LedgerWriter
ledger = LedgerWriter(Path(sys.argv[1]), "worker-1")
number = 0
while True:
    ledger.write("started", str(number), "TokenRefresh", 1)
    number += 1
    if number % 100 == 0:
        print(number, flush=True)
"""


def test_what_was_written_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    first, second = LedgerWriter(tmp_path / "ledger", "worker-1"), LedgerWriter(tmp_path / "ledger", "worker-2")
    before = time.time_ns()
    first.write("started", "outbox-7", "TokenRefresh", 1)
    second.write("started", "8", "DataCleanup", 2)
    first.write("failed", "outbox-7", "TokenRefresh", 1, "expired token")
    second.write("completed", "8", "DataCleanup", 2)
    for each in (first, second):
        each.close()
    read = read_ledger(tmp_path / "ledger")
    assert list(read["job"]) == ["outbox-7", "8", "outbox-7", "8"]
    assert list(read["event"]) == ["started", "started", "failed", "completed"]
    assert list(read["type"]) == ["TokenRefresh", "DataCleanup"] * 2
    assert list(read["attempt"]) == [1, 2, 1, 2]
    assert list(read["reason"].astype(object).fillna("none")) == ["none", "none", "expired token", "none"]
    assert [each.rpartition("-")[0] for each in read["worker"]] == ["worker-1", "worker-2"] * 2
    assert before <= read["at_ns"].iloc[0] <= read["at_ns"].iloc[-1] <= time.time_ns()
    assert read["at_ns"].is_monotonic_increasing
    assert {name: str(kind) for name, kind in read.dtypes.items()} == LEDGER_COLUMNS


@pytest.mark.parametrize(
    "text", ["a\tb", "two\nlines", "50 %", "%0A", "Zürich", "spaces and / slashes", "null", "NA", "1"]
)
def test_any_text_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    LedgerWriter(tmp_path, "worker-1").write("failed", text, text, 1, text)
    (line,) = read_ledger(tmp_path).itertuples()
    assert (line.job, line.type, line.reason) == (text, text, text)


def test_a_killed_writer_loses_nothing_that_it_has_written(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    written = [int(writer.stdout.readline()) for _ in range(50)][-1]
    writer.kill()
    writer.wait()
    read = read_ledger(tmp_path)
    assert len(read) >= written
    assert list(read["job"]) == [str(number) for number in range(len(read))]


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_last_line_is_left_out(tmp_path: Path, cut: int) -> None:
    ledger = LedgerWriter(tmp_path, "worker-1")
    for number in range(3):
        ledger.write("started", str(number), "TokenRefresh", 1)
    (file,) = tmp_path.iterdir()
    os.truncate(file, file.stat().st_size - cut)
    assert list(read_ledger(tmp_path)["job"]) == ["0", "1"]


def test_a_ledger_of_nothing_has_the_columns(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        read = read_ledger(folder)
        assert read.empty
        assert {name: str(kind) for name, kind in read.dtypes.items()} == LEDGER_COLUMNS
    LedgerWriter(tmp_path, "worker-1").close()
    assert read_ledger(tmp_path).empty


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("these are\tno\tlines of ours\n", "is not a worker's ledger: "),
        ("1\tvanished\t7\tTokenRefresh\t1\t\n", f"it has the event 'vanished'; accepted are {', '.join(EVENTS)}"),
        ("1\tstarted\t7\tTokenRefresh\tfirst\t\n", "is not a worker's ledger: "),
    ],
)
def test_another_file_is_one_sentence(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "notes.tsv").write_text(line)
    with pytest.raises(CapacityError) as refused:
        read_ledger(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'notes.tsv'} is not a worker's ledger: ")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
