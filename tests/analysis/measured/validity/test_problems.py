"""A problem voids what it can have moved: a late generator makes times longer, and no transaction fail."""

import math
from pathlib import Path

import pytest

from capacity.analysis.measured.validity.problems import Effect, Figure, Problem, figure_of, spoilt
from capacity.analysis.statistics.estimates import proportion, times
from capacity.findings import Finding, Objective, Verdict, judge
from capacity.objectives import read_objectives

PROJECT = Path(__file__).parents[4]
NOT_SAID = {"database.row_security_cost", "queue.depth_slope"}  # differences, which move either way
PASS, FAIL, VOID = Verdict.PASS, Verdict.FAIL, Verdict.VOID


def problem(effect: Effect, *, void: bool = True) -> Problem:
    return Problem(f"it was {effect}", "it matters", "lower the rate", void, effect)


def judged(name: str, value: float, limit: str, effect: Effect) -> Verdict:
    relation, number = limit.split()
    found = spoilt(Finding(name, value, "", value, value, 500), [problem(effect)])
    return judge(found, Objective(name, relation, float(number)))


@pytest.mark.parametrize(
    ("name", "value", "limit", "late_less_others"),
    [
        ("a.response_p99", 19, "< 500", (PASS, PASS, PASS)),
        ("a.response_p99", 600, "< 500", (VOID, VOID, VOID)),
        ("a.get_x.response_p99", 19, "< 500", (PASS, PASS, PASS)),
        ("a.throughput", 600, "> 500", (PASS, PASS, PASS)),
        ("a.throughput", 400, "> 500", (VOID, VOID, VOID)),
        ("a.success_rate", 40, "> 99", (FAIL, FAIL, VOID)),
        ("a.success_rate", 100, "> 99", (PASS, VOID, PASS)),
        ("a.status_5xx_rate", 3, "< 0.5", (FAIL, FAIL, VOID)),
        ("a.deadlocks", 5, "== 0", (FAIL, FAIL, VOID)),
        ("a.deadlocks", 0, "== 0", (PASS, VOID, PASS)),
        ("a.connections_refused", 30, "== 0", (FAIL, FAIL, FAIL)),
        ("a.connections_refused", 0, "== 0", (PASS, PASS, PASS)),
        ("a.pool_exhaustions", 3, "== 0", (VOID, VOID, VOID)),
        ("a.pool_exhaustions", 0, "== 0", (PASS, VOID, PASS)),
        ("a.cpu_share", 95, "< 80", (FAIL, FAIL, VOID)),
        ("a.cpu_share", 30, "< 80", (PASS, VOID, VOID)),
        ("a.evictions", 7, "== 0", (FAIL, FAIL, FAIL)),
        ("a.row_security_cost", 1, "< 2", (VOID, VOID, VOID)),
    ],
)
def test_only_a_verdict_that_could_be_another_one_is_void(
    name: str, value: float, limit: str, late_less_others: tuple[Verdict, ...]
) -> None:
    effects = (Effect.LATE, Effect.LESS, Effect.OTHERS)
    assert tuple(judged(name, value, limit, each) for each in effects) == late_less_others
    assert judged(name, value, limit, Effect.ANYTHING) is VOID


def test_what_timed_out_or_was_dropped_may_be_the_generators_doing_and_what_failed_is_not() -> None:
    """Of 10,000: 6,000 errors and 5 time-outs fail whoever made these; 200 time-outs alone are undecided."""
    over_99 = Objective("a.success_rate", ">", 99, "%")

    def share(ok: int, errors: int) -> Finding:
        counted, without = (times(proportion(each, 10_000), 100) for each in (ok, 10_000 - errors))
        found = Finding("a.success_rate", counted.value, "%", counted.low, counted.high, 10_000)
        return spoilt(found, [problem(Effect.LATE)], without)

    assert judge(share(3995, 6000), over_99) is FAIL
    assert judge(share(9800, 0), over_99) is VOID
    assert share(9800, 0).most == 100.0
    assert share(4000, 6000).void is None  # nothing was given up


def test_what_cannot_have_been_moved_is_not_void_at_all_and_the_rest_says_why_and_what_to_do() -> None:
    problems = [problem(Effect.LATE), problem(Effect.OTHERS, void=False)]
    refused = Finding("a.connections_refused", 3.0, "", 3.0, 3.0, 90)
    assert spoilt(refused, problems) == refused
    found = spoilt(Finding("a.response_p99", 19.0, "ms", 18.0, 21.0, 900), problems)
    assert (found.void, found.remedy, found.least, found.most) == ("it was late", "lower the rate", 0.0, 21.0)
    both = spoilt(Finding("a.throughput", 9.0, "/s", 8.0, 10.0, 9), [problem(Effect.LATE), problem(Effect.OTHERS)])
    assert (both.void, both.remedy) == ("it was late; it was others", "lower the rate")
    assert (both.least, both.most) == (8.0, math.inf)


def test_every_promise_on_a_measurement_says_what_can_move_it() -> None:
    sections = ("database", "redis", "queue", "gateway")
    promised = {each.finding for each in read_objectives(PROJECT / "data" / "objectives.yaml", *sections)}
    assert {name for name in promised if figure_of(name) is Figure.OTHER} == NOT_SAID
