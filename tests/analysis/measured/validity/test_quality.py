"""A measurement that the generator spoilt is void, and every operation is accounted for."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.measured.validity.problems import Effect, Problem, void_reason
from capacity.analysis.measured.validity.quality import Accounting, accounting, generator_problems, littles_law
from capacity.manifest import parse_manifest

MS = 1_000_000
SECOND = 1_000_000_000


def make_samples(
    scheduled_ms: Any, response_ms: Any = 1.0, delay_ms: Any = 0.0, outcome: Any = "ok", **columns: Any
) -> pd.DataFrame:
    """Operations due at `scheduled_ms`, sent `delay_ms` later and answered `response_ms` after they were due."""
    scheduled = np.round(np.asarray(scheduled_ms, dtype=float) * MS).astype(np.int64)
    values = {
        "operation": "read",
        "scheduled_ns": scheduled,
        "sent_ns": scheduled + np.round(np.asarray(delay_ms) * MS).astype(np.int64),
        "finished_ns": scheduled + np.round(np.asarray(response_ms) * MS).astype(np.int64),
        "outcome": outcome,
        "error": None,
        "step": 0,
        "worker": 0,
        "seq": np.arange(len(scheduled)),
    }
    return pd.DataFrame({**values, **columns})


def make_gauges(interval_ms: float = 200, **readings: Any) -> pd.DataFrame:
    """Readings of `generator.<name>`, one every `interval_ms` from 0."""
    frames = [
        pd.DataFrame(
            {
                "at_ns": (np.arange(len(values)) * interval_ms * MS).astype(np.int64),
                "gauge": f"generator.{name}",
                "value": np.asarray(values, dtype=float),
            }
        )
        for name, values in readings.items()
    ]
    return pd.concat(frames, ignore_index=True)


STEADY = make_samples(np.arange(10_000), response_ms=2.0, delay_ms=0.05)
HEALTHY = {"cpu_share": [0.3] * 50, "starved_share": [0.01] * 50, "lateness_p99_ms": [0.2] * 50}


def problems(samples: pd.DataFrame = STEADY, steps: list[int] | None = None, **readings: Any) -> list[Problem]:
    return generator_problems(samples, make_gauges(**{**HEALTHY, **readings}), steps)


def test_a_healthy_measurement_has_no_problems() -> None:
    assert problems() == []


@pytest.mark.parametrize(("share", "void"), [(0.94, False), (0.96, True)])
def test_a_generator_without_cpu_to_spare_is_void(share: float, void: bool) -> None:
    assert [each.void for each in problems(cpu_share=[share] * 50)] == [True] * void


def test_a_generator_that_was_busy_for_less_than_half_of_the_time_counts() -> None:
    assert problems(cpu_share=[1.0] * 24 + [0.2] * 26) == []
    assert void_reason(problems(cpu_share=[1.0] * 26 + [0.2] * 24))


def test_one_saturated_worker_among_idle_ones_is_found() -> None:
    samples = STEADY.assign(worker=np.arange(10_000) % 4, seq=np.arange(10_000) // 4)
    assert void_reason(problems(samples, cpu_share=[0.3] * 150 + [0.99] * 50))
    assert problems(samples, cpu_share=[0.3] * 180 + [0.99] * 20) == []


def test_the_reason_says_what_was_seen() -> None:
    found = problems(cpu_share=[0.99] * 50)
    assert void_reason(found) == "the generator used 99% of its core for half of the time or longer"


def test_warnings_do_not_make_a_measurement_void() -> None:
    found = problems(starved_share=[0.3] * 50)
    assert [each.seen for each in found] == [
        "the generator was ready to run and had no core for 30% of the time",
    ]
    assert void_reason(found) is None


def test_a_late_generator_is_void() -> None:
    samples = make_samples(np.arange(10_000), response_ms=12.0, delay_ms=8.0)
    assert [each.seen for each in problems(samples, lateness_p99_ms=[8.0] * 50)] == [
        "the generator itself sent its operations up to 8.0 ms late (p99), beside a response p99 of 12.0 ms"
    ]


@pytest.mark.parametrize(("late_ms", "response_ms"), [(4.9, 12.0), (8.0, 33.0)])
def test_lateness_counts_when_it_is_long_and_a_large_part_of_the_response(late_ms: float, response_ms: float) -> None:
    samples = make_samples(np.arange(10_000), response_ms=response_ms, delay_ms=late_ms)
    assert problems(samples, lateness_p99_ms=[late_ms] * 50) == []


def test_one_pause_that_held_up_few_operations_does_not_make_a_short_measurement_void() -> None:
    delay = np.where(np.arange(10_000) < 20, 20.0 - np.arange(10_000), 0.05)
    samples = make_samples(np.arange(10_000), response_ms=delay + 2.0, delay_ms=delay)
    assert problems(samples, lateness_p99_ms=[20.0] + [0.2] * 49) == []


@pytest.mark.parametrize(
    ("delay_ms", "effect"),
    [(8.0, Effect.LATE), (np.linspace(0, 500, 10_000), Effect.LESS)],
    ids=["all reached the server in their step", "one in twenty came after it"],
)
def test_a_generator_that_sends_late_and_one_that_sends_fewer_are_told_apart(delay_ms: Any, effect: Effect) -> None:
    samples = make_samples(np.arange(10_000), response_ms=delay_ms + 2.0, delay_ms=delay_ms)
    (found,) = [each for each in problems(samples, lateness_p99_ms=[500.0] * 50) if each.void]
    assert found.effect is effect


def test_users_who_are_sent_late_send_fewer() -> None:
    manifest = parse_manifest({"kind": "users"})
    gauges = make_gauges(**{**HEALTHY, "cpu_share": [0.99] * 50})
    (found,) = generator_problems(STEADY, gauges, None, manifest)
    assert (found.void, found.effect) == (True, Effect.LESS)


def test_waiting_for_a_connection_is_not_the_generators_lateness() -> None:
    samples = make_samples(np.arange(10_000), response_ms=50.0, delay_ms=40.0)
    assert problems(samples, lateness_p99_ms=[0.2] * 50) == []


def test_the_health_of_a_step_is_read_during_that_step() -> None:
    samples = STEADY.assign(step=np.repeat([0, 1], 5_000))
    shares = [0.3] * 25 + [0.99] * 25
    assert problems(samples, steps=[0], cpu_share=shares) == []
    assert void_reason(problems(samples, steps=[1], cpu_share=shares))


def test_operations_still_waiting_when_their_step_ended_are_reported() -> None:
    due = np.arange(10_000)
    delay = np.where((due >= 4_000) & (due < 5_000), 0.5 * (due - 4_000), 0.05)
    samples = make_samples(due, response_ms=delay + 2, delay_ms=delay, step=np.repeat([3, 4], 5_000))
    # Due at 4,000 + x and sent at 4,000 + 1.5 x, while the step's last operation was due at 4,999: x from 667 to 999.
    assert [each.seen for each in problems(samples)] == [
        "333 operations were waiting for a free connection when step 3 ended, the oldest for 332 ms"
    ]


def test_a_wait_that_does_not_grow_is_no_backlog() -> None:
    assert problems(make_samples(np.arange(10_000), response_ms=90.0, delay_ms=80.0)) == []


def test_missing_operations_are_reported() -> None:
    assert [each.seen for each in problems(STEADY.drop(index=[17, 18]))] == [
        "2 operations are missing from the recording or in it twice"
    ]


def test_a_recording_without_readings_of_the_generator_says_so() -> None:
    found = generator_problems(STEADY, make_gauges(connections=[3.0] * 10))
    assert [each.seen for each in found] == ["no reading of the generator's own load was recorded"]
    assert void_reason(found) is None


def test_everything_planned_is_accounted_for() -> None:
    outcomes = ["ok"] * 5 + ["error"] * 2 + ["timeout", "dropped", "dropped"]
    assert accounting(make_samples(np.arange(10), outcome=outcomes), planned=10) == Accounting(10, 5, 2, 1, 2, 0)


@pytest.mark.parametrize(
    ("numbers", "planned", "residue"),
    [
        ([0, 1, 2, 3], None, 0),
        ([0, 1, 3], None, 1),
        ([1, 2, 3], None, 1),
        ([0, 1, 1, 2], None, 1),
        ([0, 1, 1, 3], None, 2),
        ([0, 1, 2], 5, 2),
        ([0, 1, 2], 2, 1),
        ([0, 1, 3], 3, 1),
    ],
    ids=["whole", "gap", "start lost", "twice", "gap and twice", "end lost", "beyond the plan", "gap and beyond"],
)
def test_the_residue_counts_gaps_and_duplicates(numbers: list[int], planned: int | None, residue: int) -> None:
    assert accounting(make_samples(np.arange(len(numbers)), seq=numbers), planned).residue == residue


def test_each_worker_counts_for_itself() -> None:
    samples = make_samples(np.arange(6), worker=[0, 0, 0, 1, 1, 1], seq=[0, 1, 2, 0, 1, 2])
    assert accounting(samples) == Accounting(6, 6, 0, 0, 0, 0)
    assert accounting(samples.drop(index=4)).residue == 1


def test_the_number_in_the_system_is_a_time_average() -> None:
    """Three operations of 4, 4 and 1 ms due at 0, 2 and 8 ms: for 8 ms there are 1, 2, 1 of them, 2 ms each, then 0."""
    law = littles_law(make_samples([0, 2, 8], response_ms=[4, 4, 1]))
    assert law.mean_in_system == pytest.approx((1 * 2 + 2 * 2 + 1 * 2) / 8)
    assert law.throughput_per_s == pytest.approx(2 / 0.008)
    assert law.mean_response_s == pytest.approx(0.004)
    assert law.residual == pytest.approx(0.0, abs=1e-12)


def test_littles_law_closes_in_a_steady_state_and_agrees_with_theory() -> None:
    """M/M/1 at a load of 0.5: the mean number in the system is 1."""
    draw = np.random.default_rng(5)
    arrived, served = np.cumsum(draw.exponential(2.0, 100_000)), draw.exponential(1.0, 100_000)
    done, left = 0.0, np.empty(100_000)
    for number, (at, service) in enumerate(zip(arrived, served, strict=True)):
        done = left[number] = max(done, at) + service
    law = littles_law(make_samples(arrived, response_ms=left - arrived))
    assert law.mean_in_system == pytest.approx(1.0, rel=0.05)
    assert law.residual == pytest.approx(0.0, abs=1e-3)


def test_littles_law_does_not_close_where_operations_pile_up() -> None:
    due = np.arange(1_000)
    law = littles_law(make_samples(due, response_ms=due + 1.0))
    # They leave at twice the interval: half of all are still there at the end, and waited three quarters of the total.
    assert law.residual == pytest.approx(0.5, abs=0.01)


def test_littles_law_of_a_step_counts_what_was_left_over_from_the_one_before() -> None:
    samples = make_samples([0, 1, 10, 20], response_ms=[30, 1, 1, 1], step=[0, 0, 1, 1])
    assert littles_law(samples, step=1).mean_in_system == pytest.approx((10 + 1) / 10)


def test_littles_law_without_departures_explains_nothing() -> None:
    law = littles_law(make_samples([0, 1], response_ms=[9, 9]))
    assert (law.throughput_per_s, law.residual) == (0.0, 1.0)
    assert math.isnan(law.mean_response_s)


def test_littles_law_needs_a_window() -> None:
    with pytest.raises(ValueError) as refused:
        littles_law(make_samples([5.0, 5.0]))
    assert str(refused.value) == (
        "Little's law needs operations due at two or more times and got 2 operations at 1; "
        "choose a step that has them, or measure longer"
    )
