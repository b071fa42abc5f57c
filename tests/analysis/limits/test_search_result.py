"""The committed searches say again, from their recordings, what they said when they were measured."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from capacity.analysis.limits.search import Conclusion
from capacity.analysis.limits.search_result import SearchResult, breaking_point_findings
from capacity.display.tables_levels import answers_text, rounds_text
from capacity.findings import Verdict, judge_all
from capacity.objectives import read_objectives
from capacity.probes.breaking_point import FILE, read_search_result, read_search_results
from capacity.probes.searches import read_searches
from capacity.workload import read_workload

PROJECT = Path(__file__).parents[3]
RECORDED = PROJECT / "data" / "recorded" / "breaking_point"
WORKLOADS = PROJECT / "data" / "workloads"
SLOTS_HOLD = 24 / 0.02829  # worker slots over the mean time of a job of queue_levels.yaml


@pytest.fixture(scope="module")
def searched() -> dict[str, SearchResult]:
    return read_search_results(RECORDED)


def test_all_parts_are_found_from_what_is_kept(searched: dict[str, SearchResult]) -> None:
    assert list(searched) == ["database", "redis", "queue", "gateway"]
    for name, found in searched.items():
        kept = json.loads((RECORDED / name / FILE).read_text(encoding="utf-8"))
        assert [(each["verdict"], each["broke"]) for each in kept["levels"]] == [
            (str(level.verdict), level.broke) for level in found.levels
        ]
        answer = found.answer
        assert answer.complete and answer.conclusion is Conclusion.FOUND
        assert (kept["answer"]["low"], kept["answer"]["high"]) == (answer.low, answer.high)


def test_the_queue_breaks_where_its_slots_are_all_at_work(searched: dict[str, SearchResult]) -> None:
    found = searched["queue"]
    assert found.answer.high is not None
    assert 0.8 * SLOTS_HOLD < found.answer.low < SLOTS_HOLD
    assert found.answer.high < 1.2 * SLOTS_HOLD
    assert found.ranked["resource"].iloc[0] == "worker slots"
    assert found.broke.startswith("worker slots: 100 %")
    for knee in found.knees:
        assert knee.rate.value == pytest.approx(SLOTS_HOLD, rel=0.12)


def test_the_recordings_are_of_the_projects_workloads_and_small() -> None:
    searches = read_searches(WORKLOADS / "breaking_point.yaml")
    for name, part in searches.items():
        workload = read_workload(WORKLOADS / f"{part.workload}.yaml")
        for manifest in (RECORDED / name).glob("*/manifest.json"):
            facts = json.loads(manifest.read_text(encoding="utf-8"))
            assert facts["state"] == "complete"
            assert facts["workload"]["operations"] == workload.model_dump()["operations"]
    size = sum(file.stat().st_size for file in RECORDED.rglob("*") if file.is_file())
    operations = sum(
        len(level.frames.sent) for name in searches for level in read_search_result(RECORDED / name).levels
    )
    assert size < 4_000_000
    assert size < 12.5 * operations  # however many levels a search took


def test_findings_hold_the_answer_and_meet_their_objectives(searched: dict[str, SearchResult]) -> None:
    found = {each.name: each for name in searched for each in breaking_point_findings(searched[name], "r")}
    for name, part in searched.items():
        held = found[f"breaking_point.{name}.highest_sustainable"]
        assert (held.value, held.low, held.high) == (part.answer.low, part.answer.low, part.answer.high)
        assert found[f"breaking_point.{name}.recommended"].value == 0.75 * part.answer.low
        most = max(level.finding("completed").value or 0.0 for level in part.levels)
        assert found[f"breaking_point.{name}.peak_throughput"].value == most
        ratio = found[f"breaking_point.{name}.waiting_lines_ratio"]
        assert ratio.low is not None and ratio.high is not None and ratio.low < ratio.high
        assert not [each for each in found.values() if each.value is not None and math.isnan(each.value)]
    objectives = read_objectives(PROJECT / "data" / "objectives.yaml", "breaking_point")
    judged = judge_all(found.values(), objectives)
    assert len(judged) == 8
    assert all(finding is not None for _, finding, _ in judged)


def test_later_rounds_widen_the_answer_by_how_much_they_differ(searched: dict[str, SearchResult]) -> None:
    found = searched["queue"]
    low, high = found.answer.low, found.answer.high or math.inf
    held = next(each for each in found.levels if each.rate == low and each.verdict is Verdict.PASS)
    broke = next(each for each in found.levels if each.rate == high and each.verdict is Verdict.FAIL)
    alike = replace(found, rounds=((held, broke), (held, broke)))
    assert (alike.sustainable.low, alike.sustainable.high) == (pytest.approx(low), pytest.approx(high))
    slower = replace(held, rate=0.8 * low), replace(broke, rate=0.8 * held.rate * 1.1)
    apart = replace(found, rounds=((held, broke), slower))
    assert apart.sustainable.low is not None and 0 < apart.sustainable.low < 0.9 * low
    assert len(apart.table) == len(found.levels) + 4
    named = {each.name.rpartition(".")[2]: each for each in breaking_point_findings(apart, "r")}
    assert named["highest_sustainable"].count == 3
    assert named["recommended"].value == 0.75 * apart.sustainable.low
    assert "the lower end of the interval over 3 rounds" in named["recommended"].note
    apart_by = math.log(high / low) / 2 - math.log(0.8 * 0.88) / 2  # of two middles from the third
    assert named["between_rounds"].value == pytest.approx(100 * apart_by / math.sqrt(3))
    assert found.between_rounds.value is None


def test_a_search_that_was_broken_off_says_so_wherever_its_answer_stands(searched: dict[str, SearchResult]) -> None:
    found = searched["queue"]
    begun = replace(found, levels=found.levels[:1])
    assert not begun.answer.complete
    assert answers_text([begun]).split("  ")[1:3] == ["broken off", f"held {found.levels[0].rate:g}/s so far"]
    assert begun.recommended == (None, "the search was broken off before it knew the answer, so none is recommended")
    named = {each.name.rpartition(".")[2]: each for each in breaking_point_findings(begun, "r")}
    assert named["highest_sustainable"].note == named["recommended"].note.partition(", so")[0]
    nearly = replace(found, levels=found.levels[:-1])
    assert (nearly.answer.complete, nearly.answer.recommended) == (False, found.answer.recommended)
    assert nearly.recommended[1].startswith("the search was broken off before it knew the answer; 75 % of 750")
    assert answers_text([found]).split()[1] == "found"


def test_what_broke_is_read_off_the_measurements_that_count(searched: dict[str, SearchResult]) -> None:
    """A void one at the same load, whatever was in use then, does not change it."""
    found = searched["queue"]
    held = next(each for each in found.levels if each.verdict is Verdict.PASS)
    void = replace(held, rate=found.knee, verdict=Verdict.VOID, broke="the generator was late")
    beside = replace(found, levels=(*found.levels, void))
    assert (beside.broke, beside.answer.broke) == (found.broke, found.answer.broke)
    beyond = replace(void, rate=2 * found.knee)
    named = {each.name: each for each in breaking_point_findings(replace(found, levels=(*found.levels, beyond)), "r")}
    assert named["breaking_point.queue.errors_beyond"].title == "queue, errors at 1,000/s"


def test_a_round_with_an_open_end_is_shown_and_one_that_held_nothing_recommends_nothing(
    searched: dict[str, SearchResult],
) -> None:
    found = searched["queue"]
    held = next(each for each in found.levels if each.verdict is Verdict.PASS)
    broke = next(each for each in found.levels if each.verdict is Verdict.FAIL)
    above = replace(found, rounds=((held,),))
    assert (above.sustainable.high, above.between_rounds.value) == (math.inf, None)
    assert "its limit is above" in answers_text([above])
    assert rounds_text(above).endswith(f"above {held.rate:,.6g}/s\n  deviation between rounds: not given")
    below = replace(found, rounds=((broke,),))
    assert below.recommended == (None, "in a later round no level held, so none is recommended")
    assert {each.name: each.value for each in breaking_point_findings(below, "r")}[
        "breaking_point.queue.recommended"
    ] is None


def test_a_level_is_bound_by_what_the_report_promises() -> None:
    promised = {each.finding: each for each in read_objectives(PROJECT / "data" / "objectives.yaml")}
    assert promised["level_database.response_p99"].promise == promised["database.response_p99"].promise
    jobs = promised["level_queue.response_p95"]
    assert jobs.limit == promised["queue.response_p95"].limit / 10
