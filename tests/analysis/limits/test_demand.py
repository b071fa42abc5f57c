"""What a part uses is carried to other loads, and a mean follows from percentiles."""

import math
from pathlib import Path

import numpy as np
import pytest

from capacity.analysis.limits.demand import Demand, mean_from_percentiles
from capacity.analysis.statistics.estimates import Estimate
from capacity.probes.queue import read_job_samples
from capacity.recording import open_recording

RECORDED = Path(__file__).parents[3] / "data" / "recorded"


def test_a_demand_grows_in_all_its_ends() -> None:
    grown = Demand({"cpu": Estimate(1.0, 0.5, 2.0, 9)}, 0.3, threads=1).grown(3.0)
    assert grown.uses["cpu"] == Estimate(3.0, 1.5, 6.0, 9)
    assert (grown.headroom, grown.threads) == (0.3, 1)


def test_the_mean_of_a_log_normal_follows_from_its_percentiles() -> None:
    sigma = 0.8
    p95, p99 = (40 * math.exp(z * sigma) for z in (1.6448536269514722, 2.3263478740408408))
    assert mean_from_percentiles(40.0, p95, p99) == pytest.approx(40 * math.exp(sigma**2 / 2), rel=1e-12)
    assert mean_from_percentiles(7.0, 7.0, 7.0) == 7.0


@pytest.mark.parametrize("percentiles", [(0.0, 1.0, 2.0), (3.0, 2.0, 4.0), (1.0, 2.0, math.inf)])
def test_percentiles_that_do_not_ascend_are_refused(percentiles: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"^percentiles must ascend from above 0 and are "):
        mean_from_percentiles(*percentiles)


def test_the_mean_run_of_the_recorded_jobs_is_met_by_their_percentiles() -> None:
    """Within 2 %: 57.9 ms either way."""
    recording = open_recording(RECORDED / "queue")
    jobs = read_job_samples(recording)
    once = jobs[jobs["step"].isin(recording.manifest["sustained_steps"]) & (jobs["attempts"] <= 1)]
    once = once[once["outcome"] == "ok"]
    run_ms = (once["finished_ns"] - once["sent_ns"]).to_numpy() / 1e6
    p50, p95, p99 = np.percentile(run_ms, [50, 95, 99]).tolist()
    assert mean_from_percentiles(p50, p95, p99) == pytest.approx(run_ms.mean(), rel=0.02)


def test_what_is_no_demand_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the headroom must be a share from 0 to below 1 and is 1$"):
        Demand({}, 1.0)
