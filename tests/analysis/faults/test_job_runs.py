"""Runs are told apart by worker and turn, and what was under way is followed to its next begin or end."""

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.faults.job_runs import Retaken, begun_again, open_runs, retaken, runs_of

LINES = [
    (10, "started", "a", "one"),
    (11, "started", "b", "one"),
    (12, "started", "c", "two"),
    (20, "completed", "b", "one"),
    (21, "started", "d", "one"),
    # Here worker one is gone, with the jobs a and d.
    (30, "failed", "c", "two"),
    (50, "started", "a", "two"),
    (55, "started", "d", "two"),
    (60, "completed", "a", "two"),
    (61, "completed", "d", "two"),
    (62, "started", "a", "two"),
]
GONE_AT = 25


def ledger(lines: list[tuple[int, str, str, str]]) -> pd.DataFrame:
    frame = pd.DataFrame(lines, columns=["at_ns", "event", "job", "worker"])
    return frame.astype({"event": "category", "worker": "category"})


def test_each_begin_is_a_run_and_has_its_own_end() -> None:
    runs = runs_of(ledger(LINES))
    assert runs.astype(object).where(runs.notna(), None).to_numpy().tolist() == [
        ["one", "a", 10, None, None],
        ["one", "b", 11, 20, "completed"],
        ["two", "c", 12, 30, "failed"],
        ["one", "d", 21, None, None],
        ["two", "a", 50, 60, "completed"],
        ["two", "d", 55, 61, "completed"],
        ["two", "a", 62, None, None],
    ]
    assert begun_again(runs) == 2
    assert open_runs(runs)["job"].tolist() == ["a", "d", "a"]
    assert open_runs(runs, GONE_AT)["job"].tolist() == ["a", "c", "d"]


def test_what_was_under_way_is_taken_up_again_at_its_next_begin() -> None:
    runs = runs_of(ledger(LINES))
    assert retaken(runs, GONE_AT, {"one"}) == Retaken(under_way=2, first_ns=25, all_ns=30)


def test_a_job_that_its_own_worker_still_ends_is_done() -> None:
    runs = runs_of(ledger([*LINES[:6], (28, "completed", "a", "one"), (29, "completed", "d", "one")]))
    assert retaken(runs, GONE_AT, {"one"}) == Retaken(under_way=2, first_ns=3, all_ns=4)


def test_a_job_that_nobody_takes_up_leaves_the_whole_open() -> None:
    runs = runs_of(ledger(LINES[:7]))
    assert retaken(runs, GONE_AT, {"one"}) == Retaken(under_way=2, first_ns=25, all_ns=None)


def test_without_a_job_under_way_there_is_nothing_to_take_up() -> None:
    runs = runs_of(ledger(LINES))
    assert retaken(runs, 5, {"one"}) == Retaken(0, None, None)
    assert retaken(runs, GONE_AT, set()) == Retaken(0, None, None)
    assert begun_again(runs_of(ledger([]))) == 0


def plain_retaken(lines: list[tuple[int, str, str, str]], at: int, gone: set[str]) -> Retaken:
    """Line by line: who holds what at that moment, and the first later line that names it."""
    hands: set[tuple[str, str]] = set()
    for moment, event, job, worker in lines:
        if moment <= at and worker in gone:
            (hands.add if event == "started" else hands.discard)((worker, job))
    held = {job for _, job in hands}
    later = [next((m - at for m, _, name, _ in lines if m > at and name == job), None) for job in held]
    known = [each for each in later if each is not None]
    return Retaken(len(held), min(known, default=None), max(known) if held and len(known) == len(held) else None)


@pytest.mark.parametrize("seed", range(30))
def test_it_is_what_a_plain_reading_of_the_ledger_says(seed: int) -> None:
    draw = np.random.default_rng(seed)
    lines, running = [], dict[str, set[str]]()
    for moment in range(int(draw.integers(10, 200))):
        worker = f"worker-{draw.integers(3)}"
        mine = running.setdefault(worker, set())
        if mine and draw.random() < 0.45:
            job = sorted(mine)[int(draw.integers(len(mine)))]
            mine.remove(job)
            lines.append((moment, str(draw.choice(["completed", "failed"])), job, worker))
        elif (job := f"job-{draw.integers(20)}") not in mine:
            mine.add(job)
            lines.append((moment, "started", job, worker))
    at, gone = int(draw.integers(0, 150)), {"worker-0", "worker-2"}
    assert retaken(runs_of(ledger(lines)), at, gone) == plain_retaken(lines, at, gone)
