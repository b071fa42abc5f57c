"""A level is judged by its times, its errors and its backlog; a generator that was the limit makes it void."""

import heapq
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.limits.levels import Frames, growth, level_of, levels_frame, mean_number
from capacity.findings import Objective, Verdict
from capacity.manifest import parse_manifest

pytestmark = pytest.mark.filterwarnings("error")

WARM_UP_S, HELD_S = 0.5, 2.0
OBJECTIVES = [
    Objective("level_x.response_p95", "<", 100, "ms", "Latency p95"),
    Objective("level_x.success_rate", ">", 99, "%", "Success rate"),
    Objective("level_x.backlog_growth", "<", 2, "%", "Growth of the backlog"),
]
NS_PER_S = 1e9


def served(rate: float, service_s: float, servers: int = 1, seed: int = 1) -> tuple[np.ndarray[Any, Any], ...]:
    """When operations of M/M/c come, are begun and leave, in seconds."""
    draw = np.random.default_rng(seed)
    due = np.cumsum(draw.exponential(1 / rate, int(rate * (WARM_UP_S + HELD_S) * 1.5)))
    due = due[due < WARM_UP_S + HELD_S]
    free, begun = [0.0] * servers, []
    left = []
    for arrival, work in zip(due.tolist(), draw.exponential(service_s, len(due)).tolist(), strict=True):
        begin = max(arrival, free[0])
        heapq.heapreplace(free, begin + work)
        begun.append(begin)
        left.append(begin + work)
    return due, np.array(begun), np.array(left)


def frames(
    rate: float,
    service_s: float = 0.005,
    *,
    servers: int = 1,
    failed: float = 0.0,
    cpu_share: float = 0.2,
    seed: int = 1,
) -> Frames:
    due, begun, left = (np.round(each * NS_PER_S).astype(np.int64) for each in served(rate, service_s, servers, seed))
    bad = np.random.default_rng(seed).random(len(due)) < failed
    samples = pd.DataFrame(
        {
            "operation": pd.Categorical(["X"] * len(due)),
            "scheduled_ns": due,
            "sent_ns": begun,
            "finished_ns": left,
            "outcome": pd.Categorical(np.where(bad, "error", "ok"), categories=["ok", "error", "timeout", "dropped"]),
            "error": pd.Categorical(np.where(bad, "refused", None)),
            "step": (due >= WARM_UP_S * NS_PER_S).astype(np.int32),
            "worker": np.zeros(len(due), dtype=np.int32),
            "seq": np.arange(len(due)),
        }
    )
    at_ns = np.arange(0.1, WARM_UP_S + HELD_S, 0.1) * NS_PER_S
    gauges = pd.DataFrame({"at_ns": at_ns.astype(np.int64), "gauge": "generator.cpu_share", "value": cpu_share})
    stages = [
        {"step": 0, "start_s": 0.0, "end_s": WARM_UP_S, "to": rate, "ramp": True},
        {"step": 1, "start_s": WARM_UP_S, "end_s": WARM_UP_S + HELD_S, "to": rate, "ramp": False},
    ]
    facts = parse_manifest({"stages": stages, "connections": servers, "generators": 1})
    return Frames(samples, samples, gauges, facts)


def verdict(made: Frames) -> tuple[Verdict, str]:
    level = level_of("level_x", "r", made, HELD_S, OBJECTIVES)
    return level.verdict, level.broke


def test_a_level_well_below_capacity_holds() -> None:
    assert verdict(frames(400, 0.001)) == (Verdict.PASS, "")


def test_a_growing_backlog_breaks_a_level_whatever_its_latency() -> None:
    made = frames(1500, 0.001)
    objectives = [Objective("level_x.response_p95", "<", 10_000, "ms", "Latency p95"), OBJECTIVES[2]]
    level = level_of("level_x", "r", made, HELD_S, objectives)
    assert level.verdict is Verdict.FAIL
    assert level.broke.startswith("Growth of the backlog < 2 %: found 3")
    grown = level.finding("backlog_growth").value
    assert grown == pytest.approx(100 * 500 / 1500, abs=5)
    done = level.finding("completed").value
    assert done == pytest.approx(1000, rel=0.06)


def test_slow_answers_and_errors_break_a_level() -> None:
    assert verdict(frames(50, 0.08, servers=16))[1].startswith("Latency p95 < 100 ms: found")
    assert verdict(frames(200, 0.002, failed=0.05))[1].startswith("Success rate > 99 %: found 9")


def test_a_generator_that_was_the_limit_voids_a_level_that_did_not_hold() -> None:
    broken = verdict(frames(300, 0.005, cpu_share=0.99))
    assert broken == (Verdict.VOID, "the generator used 99% of its core for half of the time or longer")


def test_a_level_that_held_in_spite_of_its_generator_holds_and_says_so() -> None:
    level = level_of("level_x", "r", frames(400, 0.001, cpu_share=0.99), HELD_S, OBJECTIVES)
    assert level.verdict is Verdict.PASS
    assert [each.void for each in level.problems] == [True]


def test_errors_break_a_level_whatever_its_generator_did() -> None:
    """A late generator makes no answer an error."""
    verdict_of, broke = verdict(frames(200, 0.002, failed=0.05, cpu_share=0.99))
    assert verdict_of is Verdict.FAIL
    assert broke.startswith("Success rate > 99 %: found 9")


def beside_others(made: Frames, cores: float, busy: float) -> Frames:
    """The same level of a PostgreSQL of 0.6 cores, on a machine of 2 of which others took so many."""
    at_ns = np.arange(0.1, WARM_UP_S + HELD_S, 0.1) * NS_PER_S
    used = {"postgres.cpu_s": 0.6, "gauges.cpu_s": 0.02, "machine.cpu_s": cores + 0.6 + 0.02 + 0.2}
    rows = [made.gauges, pd.DataFrame({"at_ns": at_ns.astype(np.int64), "gauge": "machine.cpu_share", "value": busy})]
    rows += [
        pd.DataFrame({"at_ns": at_ns.astype(np.int64), "gauge": name, "value": at_ns / NS_PER_S * rate})
        for name, rate in used.items()
    ]
    facts = made.manifest.model_copy(update={"machine": {"cpus": 2}, "workload": {"target": "postgres"}})
    return replace(made, gauges=pd.concat(rows), manifest=facts)


def test_a_machine_that_others_had_voids_a_level_that_broke_and_none_that_held() -> None:
    broken = beside_others(frames(50, 0.08, servers=16), 1.24, 0.99)
    assert verdict(broken) == (
        Verdict.VOID,
        "others than the load and the servers under test took 62% of the machine's CPU, 99% of which was in use",
    )
    assert verdict(beside_others(frames(50, 0.08, servers=16), 0.1, 0.99))[0] is Verdict.FAIL
    level = level_of("level_x", "r", beside_others(frames(400, 0.001), 1.24, 0.99), HELD_S, OBJECTIVES)
    assert (level.verdict, [each.void for each in level.problems]) == (Verdict.PASS, [True])


def test_without_an_objective_nothing_holds() -> None:
    level = level_of("level_x", "r", frames(100), HELD_S, [])
    assert (level.verdict, level.broke) == (Verdict.NO_DATA, "there is no objective for it in data/objectives.yaml")


def test_an_objective_on_what_was_not_measured_is_no_data() -> None:
    level = level_of("level_x", "r", frames(100), HELD_S, [Objective("level_x.beauty", ">", 1, "", "Beauty")])
    assert (level.verdict, level.broke) == (Verdict.NO_DATA, "Beauty > 1: found nothing")


def test_what_a_level_says_is_what_its_samples_say() -> None:
    made = frames(800, 0.001)
    level = level_of("level_x", "r", made, HELD_S, OBJECTIVES)
    held = made.held
    response_ms = np.sort((held["finished_ns"] - held["scheduled_ns"]).to_numpy() / 1e6)
    assert level.finding("offered").value == len(held) / HELD_S
    assert level.finding("response_p95").value == response_ms[int(np.ceil(0.95 * len(held))) - 1]
    for clock in ("response", "service", "dispatch"):
        found = level.finding(f"{clock}_p95")
        assert found.low is not None and found.value is not None and found.high is not None
        assert found.low <= found.value <= found.high
    in_system, in_service = level.finding("in_system").value, level.finding("in_service").value
    assert in_service == pytest.approx(0.8, abs=0.1)
    assert in_system is not None and in_service is not None and in_system > in_service
    assert level.finding("littles_law").value == pytest.approx(0, abs=5)


def test_the_mean_number_is_the_integral_of_arrivals_less_departures() -> None:
    draw = np.random.default_rng(4)
    entered = np.sort(draw.uniform(0, 5, 300))
    left = entered + draw.exponential(0.3, 300)
    edges = np.linspace(1, 4, 7)
    fine = np.arange(1, 4, 1e-4) + 5e-5
    number = np.array([np.count_nonzero((entered <= at) & (left > at)) for at in fine])
    slow = [number[(fine >= low) & (fine < high)].mean() for low, high in itertools.pairwise(edges)]
    assert mean_number(entered * NS_PER_S, left * NS_PER_S, edges) == pytest.approx(slow, abs=0.01)


def test_growth_is_arrivals_less_departures_where_these_are_even() -> None:
    entered = np.arange(0, 4, 0.001)
    left = np.where(np.arange(len(entered)) % 4 == 0, 100.0, entered + 0.01)
    found = growth(entered * NS_PER_S, left * NS_PER_S, (1.0, 3.0))
    assert found.value == pytest.approx(250, rel=0.01)
    steady = growth(entered * NS_PER_S, (entered + 0.01) * NS_PER_S, (1.0, 3.0))
    assert steady.value == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("load", "least"), [(0.5, {"steady": 0.95}), (0.9, {"steady": 0.7}), (1.2, {"grows": 0.9})])
def test_short_levels_tell_a_steady_queue_from_one_that_grows(load: float, least: dict[str, float]) -> None:
    said = {"steady": 0, "grows": 0}
    for seed in range(40):
        due, _, left = served(load * 1000, 0.001, seed=seed)
        found = growth(due * NS_PER_S, left * NS_PER_S, (WARM_UP_S, WARM_UP_S + 1.2))
        assert found.low is not None and found.high is not None
        said["steady"] += found.high < 0.02 * load * 1000
        said["grows"] += found.low > 0.02 * load * 1000
    assert all(said[word] >= share * 40 for word, share in least.items()), said
    assert said["grows" if load < 1 else "steady"] <= 1


def test_the_table_of_levels_has_a_row_each_in_the_order_tried() -> None:
    levels = [level_of("level_x", "r", frames(rate), HELD_S, OBJECTIVES) for rate in (150, 50, 100)]
    table = levels_frame(levels)
    assert table["rate"].tolist() == [150, 50, 100]
    assert table["verdict"].tolist() == [str(level.verdict) for level in levels]
    assert table["response_p95"].tolist() == [level.finding("response_p95").value for level in levels]
    assert len(levels_frame([])) == 0
