"""A breaker on the depth of the queue keeps waits short under overload; without it they grow as long as it lasts."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from capacity.analysis.faults.overload import HALVES, WITH, WITHOUT, Half, overload_findings
from capacity.display.charts_overload import overload_compared
from capacity.display.tables_trials import expectations_text
from capacity.errors import CapacityError
from capacity.findings import Verdict, judge
from capacity.recording import open_recording
from capacity.scenarios.overload import WRITE, Overload, breaker_courses, run_overload
from capacity.scenarios.trial import Trial, read_trial, run_scenario
from capacity.system.addresses import System

mpl.use("Agg")
ELSEWHERE = "redis://127.0.0.1:1/0"
OURS = System(embedded=True)
RECORDED = Path(__file__).parents[2] / "data" / "recorded" / "breaking_point"


@dataclass(frozen=True)
class Run:
    trial: Trial
    folder: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("overload")
    yield Run(run_scenario(Overload(), OURS, folder), folder)


def values(trial: Trial, half: str) -> dict[str, float]:
    return {
        each.name.rpartition(".")[2]: each.value
        for each in trial.findings
        if each.name.split(".")[1] == half and each.value is not None
    }


def test_the_settings_say_what_will_come() -> None:
    """λ = 240/s and μ ≤ 120/s: 138 deep at most with the breaker, and at least 324 without."""
    scenario = Overload()
    assert (scenario.writes_per_s, scenario.most_served_per_s, scenario.growth_per_s) == (240, 120, 120)
    assert scenario.deepest == 50 + 72 + 16
    assert replace(scenario, rate_per_s=100).growth_per_s == 0


@pytest.mark.thorough
def test_it_passes_on_the_reference_gateway(run: Run) -> None:
    assert run.trial.verdict is Verdict.PASS, expectations_text([run.trial])
    assert {each.finding: (each.relation, each.limit) for each in run.trial.expected} == {
        "breaking_point.with_breaker.depth_peak": ("<=", 138),
        "breaking_point.with_breaker.shed": (">=", 222),
        "breaking_point.with_breaker.failed": ("==", 0),
        "breaking_point.with_breaker.reads_refused": ("==", 0),
        "breaking_point.with_breaker.admitted_within": (">=", 95),
        "breaking_point.with_breaker.waited_behind": ("<=", 138),
        "breaking_point.with_breaker.closed_after": ("<=", 2.95),
        "breaking_point.without_breaker.depth_end": (">=", 324),
        "breaking_point.without_breaker.wait_longest": (">=", 1350),
        "breaking_point.without_breaker.shed": ("==", 0),
        "breaking_point.without_breaker.failed": ("==", 0),
    }
    assert run.trial.proof.said.endswith("deep, and the breaker's limit is 50")
    assert read_trial(run.folder) == run.trial


@pytest.mark.thorough
def test_every_refusal_says_that_one_may_come_again(run: Run) -> None:
    samples = open_recording(run.folder / WITH).samples
    assert set(samples["error"].dropna()) == {"503, retry after"}
    assert set(samples.loc[samples["outcome"] == "error", "operation"]) == {WRITE}


@pytest.mark.thorough
def test_the_breaker_trades_refusals_for_waits(run: Run) -> None:
    seen, without = values(run.trial, WITH), values(run.trial, WITHOUT)
    assert seen["wait_longest"] < without["wait_longest"] / 1.3
    assert seen["depth_peak"] < without["depth_peak"] / 2
    assert seen["shed"] > without["shed"] == 0


@pytest.mark.thorough
def test_a_gateway_whose_breaker_does_nothing_fails(run: Run) -> None:
    """What was measured without the breaker, judged by what is expected of it."""
    other = open_recording(run.folder / WITHOUT)
    frames = other.samples, other.gauges, other.jobs
    found = {each.name: each for each in overload_findings(Half(WITH, *frames, other.facts, 3.0, WRITE, 500.0))}
    verdicts = {each.finding.rpartition(".")[2]: judge(found[each.finding], each) for each in run.trial.expected[:7]}
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.FAIL} == {
        "depth_peak",
        "shed",
        "waited_behind",
    }


@pytest.mark.thorough
def test_the_picture_has_depth_and_writes_of_both(run: Run) -> None:
    courses = {"with": breaker_courses(run.folder)[WITH], "without": breaker_courses(run.folder)[WITHOUT]}
    figure = overload_compared(courses, limit=50, overload_s=3.0)
    depth, other_depth, rates, _ = figure.axes
    assert [ax.get_title() or ax.get_title(loc="left") for ax in (depth, other_depth)] == ["with", "without"]
    assert (depth.get_ylabel(), rates.get_ylabel()) == ("jobs waiting", "writes per second")
    assert "the breaker's limit, 50" in [text.get_text() for text in depth.texts]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["admitted", "shed (503)"]
    assert depth.get_ylim() == other_depth.get_ylim()
    plt.close(figure)


@pytest.mark.thorough
def test_a_load_below_the_limit_proves_nothing(tmp_path: Path) -> None:
    trial = run_scenario(Overload(rate_per_s=60, seconds=1.0, recovery_s=0.5), OURS, tmp_path)
    assert trial.verdict is Verdict.VOID
    assert values(trial, WITH)["shed"] == 0
    assert values(trial, WITHOUT) == {}
    assert all((each.void or "").startswith("the fault was not applied: the queue was ") for each in trial.findings)


def test_it_is_refused_where_the_servers_are_somebodys_own(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"^the scenario overload takes its servers away"):
        run_scenario(Overload(), System(postgres_url="postgresql://a@127.0.0.1/x"), tmp_path)


@pytest.mark.parametrize(
    ("own", "parts"),
    [
        ("redis://127.0.0.1:1/0", ""),
        ("", ["redis"]),
        ("", "database,queue"),
        ("redis://127.0.0.1:1/0", "gateway,queue"),
    ],
)
def test_it_is_left_out_where_it_would_say_nothing_of_what_is_searched(
    own: str, parts: str | list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPACITY_REDIS_URL", own)
    assert run_overload(True, tmp_path, parts) == []
    assert not list(tmp_path.iterdir())


def test_what_was_kept_is_read_with_its_settings() -> None:
    (kept,) = run_overload(False, RECORDED)
    assert (kept.limit, kept.seconds) == (kept.trial.settings["limit"], kept.trial.settings["seconds"])
    assert kept.trial.findings and set(kept.courses) == set(HALVES.values())
