"""A trial counts only where its fault was applied and all came to rest, and its fault is undone whatever happens."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from capacity.clock import wait_until
from capacity.errors import CapacityError
from capacity.findings import Finding, Objective, Verdict
from capacity.scenarios.trial import Observed, Proof, Ready, counted, read_trial, run_scenario
from capacity.system.addresses import System

EXPECTED = (Objective("failover.pretended.lost", "==", 3, why="5 jobs − 2 kept"),)


@dataclass
class Pretended:
    """A scenario that only says what it is told to say, and notes in which order it is asked."""

    lost: float | None = 3
    applied: bool = True
    unsettled: str = ""
    breaks: bool = False
    twice: bool = False
    destructive: bool = False
    name: str = "pretended"
    steps: list[str] = field(default_factory=list)

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        self.steps.append("expected")
        try:
            yield Ready(EXPECTED, self._observe)
        finally:
            self.steps.append("undone")

    def _observe(self, folder: Path) -> Observed:
        self.steps.append("applied")
        if self.breaks:
            raise CapacityError("it broke")
        findings: tuple[Finding, ...] = (counted(self.name, "lost", self.lost, count=5),) * (1 + self.twice)
        return Observed(Proof(self.applied, "the process 12 is gone"), findings, self.unsettled)


@pytest.mark.parametrize(("lost", "verdict"), [(3, Verdict.PASS), (4, Verdict.FAIL), (None, Verdict.NO_DATA)])
def test_what_was_seen_is_judged_by_what_was_expected(tmp_path: Path, lost: float | None, verdict: Verdict) -> None:
    trial = run_scenario(Pretended(lost), System(), tmp_path)
    assert trial.verdict is verdict
    assert [each for _, _, each in trial.verdicts] == [verdict]
    assert read_trial(tmp_path) == trial


@pytest.mark.parametrize("lost", [3, 4, None])
def test_a_fault_that_was_not_applied_is_void_whatever_was_seen(tmp_path: Path, lost: float | None) -> None:
    trial = run_scenario(Pretended(lost, applied=False), System(), tmp_path)
    assert trial.verdict is Verdict.VOID
    assert {verdict for _, _, verdict in trial.verdicts} == {Verdict.VOID}
    assert trial.findings[0].void == "the fault was not applied: the process 12 is gone"


def test_what_never_came_to_rest_is_void(tmp_path: Path) -> None:
    trial = run_scenario(Pretended(unsettled="7 jobs still wait"), System(), tmp_path)
    assert trial.verdict is Verdict.VOID
    assert trial.findings[0].void == "it never settled: 7 jobs still wait"
    assert (trial.findings[0].least, trial.findings[0].most) == (None, None)  # it could have been anything


def test_it_is_expected_first_then_applied_then_undone(tmp_path: Path) -> None:
    scenario = Pretended()
    run_scenario(scenario, System(), tmp_path)
    assert scenario.steps == ["expected", "applied", "undone"]


def test_it_is_undone_where_it_breaks_and_nothing_is_kept(tmp_path: Path) -> None:
    scenario = Pretended(breaks=True)
    with pytest.raises(CapacityError, match=r"^it broke$"):
        run_scenario(scenario, System(), tmp_path)
    assert scenario.steps == ["expected", "applied", "undone"]
    with pytest.raises(CapacityError, match=r"^cannot read the trial in "):
        read_trial(tmp_path)


def test_servers_of_somebody_else_are_not_taken_away(tmp_path: Path) -> None:
    scenario = Pretended(destructive=True)
    said = (
        "the scenario pretended takes its servers away, which is done only to those that the suite started itself; "
        "run it without addresses of your own, or run what these can bear: pool exhaustion, and delay through the proxy"
    )
    with pytest.raises(CapacityError, match=f"^{re.escape(said)}$"):
        run_scenario(scenario, System(postgres_url="postgresql://a@127.0.0.1/x"), tmp_path)
    assert scenario.steps == []
    assert run_scenario(scenario, System(embedded=True), tmp_path).verdict is Verdict.PASS


def test_two_findings_of_one_name_are_refused(tmp_path: Path) -> None:
    scenario = Pretended(twice=True)
    said = "the scenario pretended has two findings of the name failover.pretended.lost; give each its own"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        run_scenario(scenario, System(), tmp_path)


def test_waiting_ends_when_it_holds_or_when_the_time_is_over() -> None:
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), 5.0)
    assert not wait_until(lambda: False, 0.05)
