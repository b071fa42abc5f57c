"""Every planted loss, duplicate, recovery and stray completion is found, and nothing else is."""

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from capacity.analysis.measured.ledger import CLASSES, reconcile

HISTORIES = 150


@dataclass
class History:
    """What was tried, what came out, and what was planted."""

    tried: dict[str, bool]
    completed: list[str]
    planted: dict[str, list[str]]


def generated(seed: int) -> History:
    """A history with planted faults; one in ten has none, and one in ten nothing else."""
    draw = random.Random(seed)
    jobs = [f"outbox-{number}" for number in range(draw.randint(0, 300))]
    draw.shuffle(jobs)
    rate = 0.0 if seed % 10 == 0 else 1.0 if seed % 10 == 1 else 0.05
    unknown = [job for job in jobs if draw.random() < rate / 2]
    known = [job for job in jobs if job not in set(unknown)]
    lost = [job for job in known if draw.random() < rate / 2]
    recovered = [job for job in unknown if draw.random() < 0.5]
    done = [job for job in known if job not in set(lost)] + recovered
    duplicated = [job for job in done if draw.random() < rate for _ in range(draw.randint(1, 3))]
    strays = [f"stray-{number}" for number in range(draw.randint(0, 5)) if rate for _ in range(draw.randint(1, 2))]
    completed = done + duplicated + strays
    draw.shuffle(completed)
    planted = {
        "acknowledged": known,
        "ok": done,
        "lost": lost,
        "unexpected": strays,
        "duplicated": duplicated,
        "recovered": recovered,
    }
    return History({job: job not in set(unknown) for job in jobs}, completed, planted)


def totals_one_by_one(tried: dict[str, bool], completed: list[str]) -> dict[str, int]:
    """Jepsen's definitions with lists for multisets: slow, and plain."""
    attempts, enqueues = list(tried), [job for job, known in tried.items() if known]
    ok, surplus = [], attempts.copy()
    for job in completed:
        if job in surplus:
            surplus.remove(job)
            ok.append(job)
    unexpected = [job for job in completed if job not in attempts]
    return {
        "acknowledged": len(enqueues),
        "ok": len(ok),
        "lost": len([job for job in enqueues if job not in completed]),
        "unexpected": len(unexpected),
        "duplicated": len(completed) - len(ok) - len(unexpected),
        "recovered": len([job for job in ok if job not in enqueues]),
    }


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_every_planted_fault_is_found_and_nothing_else(seed: int) -> None:
    history = generated(seed)
    found = reconcile(history.tried, history.completed)
    for name in CLASSES:
        assert Counter(found.ids(name)) == Counter(history.planted[name])
        assert getattr(found, name) == len(history.planted[name])
    assert {name: getattr(found, name) for name in CLASSES} == totals_one_by_one(history.tried, history.completed)
    assert found.ok + found.duplicated + found.unexpected == len(history.completed)
    assert found.ok - found.recovered + found.lost == found.acknowledged


def test_the_histories_have_faults_of_every_kind() -> None:
    planted = [generated(seed).planted for seed in range(HISTORIES)]
    for name in CLASSES:
        assert sum(len(each[name]) for each in planted) > 100


def test_acknowledged_ids_alone_are_enough() -> None:
    found = reconcile(iter(["a", "b", "c"]), iter(["a", "a", "x"]))
    assert (found.acknowledged, found.ok, found.lost, found.unexpected) == (3, 1, 2, 1)
    assert (found.duplicated, found.recovered) == (1, 0)
    assert found.ids("lost") == ("b", "c")


@pytest.mark.parametrize("given", [["a", "b"], pd.Series(["a", "b"]), pd.Series([True, True], index=["a", "b"])])
def test_a_series_holds_ids_or_whether_they_were_acknowledged(given: Any) -> None:
    found = reconcile(given, pd.Series(["a"]))
    assert (found.ids("ok"), found.ids("lost")) == (("a",), ("b",))


def test_an_attempt_whose_outcome_is_unknown_is_never_lost() -> None:
    found = reconcile({"a": False, "b": False}, ["b"])
    assert (found.acknowledged, found.lost, found.recovered) == (0, 0, 1)


def test_numbers_are_ids_too() -> None:
    assert reconcile(range(4), [0, 1, 2, 3, 3]).ids("duplicated") == (3,)


def test_nothing_enqueued_and_nothing_completed_is_nothing() -> None:
    found = reconcile([], [])
    assert [getattr(found, name) for name in CLASSES] == [0] * len(CLASSES)
    assert reconcile([], ["x", "x"]).unexpected == 2
    assert reconcile(["x"], []).lost == 1


@pytest.mark.parametrize(
    ("enqueued", "completed", "message"),
    [
        (["a", "b", "a"], [], "the job 'a' is enqueued 2 times; give each job an id of its own"),
        (
            pd.Series([True, False], index=["a", "a"]),
            [],
            "the job 'a' is enqueued 2 times; give each job an id of its own",
        ),
        (
            {"a": True, "b": None},
            [],
            "the job 'b' has None where it says whether it was acknowledged; accepted are True and False",
        ),
        (
            [1, 2],
            ["1", "2"],
            "the ids of completed jobs are texts and those of enqueued jobs are not; give both as the queue has them",
        ),
        (
            ["1", "2"],
            [1, 2],
            "the ids of enqueued jobs are texts and those of completed jobs are not; give both as the queue has them",
        ),
    ],
)
def test_what_cannot_be_reconciled_is_one_sentence(enqueued: Any, completed: Any, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        reconcile(enqueued, completed)
    assert str(refused.value) == message


def test_an_unknown_class_names_the_accepted_ones() -> None:
    with pytest.raises(ValueError) as refused:
        reconcile([], []).ids("missing")
    assert str(refused.value) == (
        "jobs are not classed as 'missing'; accepted are acknowledged, ok, lost, unexpected, duplicated, recovered"
    )
