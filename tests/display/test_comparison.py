"""The command compares runs of one kind, says what became of each promise, and ends with 1 where one regressed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from capacity.analysis.statistics.repetition import smallest_detectable_change
from capacity.cli import main
from capacity.display.text import finding_text, number_text
from capacity.findings import read_findings

PROJECT = Path(__file__).parents[2]
RECORDED = PROJECT / "data" / "recorded"
MACHINE = {"cpus": 2, "memory_gib": 7.8, "system": "Linux x86_64", "processor": "AMD EPYC", "python": "3.11.7"}


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)


def make_run(folder: Path, changed: dict[str, dict[str, Any]] | None = None, **facts: Any) -> Path:
    """A run of the database with the committed findings, some of them changed, and the committed manifests."""
    (folder / "findings").mkdir(parents=True)
    findings = json.loads((RECORDED / "findings" / "database.json").read_text(encoding="utf-8"))
    for finding in findings:
        finding.update((changed or {}).get(finding["name"], {}))
    (folder / "findings" / "database.json").write_text(json.dumps(findings), encoding="utf-8")
    for name in ("database", "database/row_security"):
        (folder / "recordings" / name).mkdir(parents=True)
        shutil.copy(RECORDED / name / "manifest.json", folder / "recordings" / name)
    manifest = {"profile": "standard", "embedded": True, "machine": MACHINE, **facts}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def set_in_recording(run: Path, *keys: str, value: Any) -> None:
    path = run / "recordings" / "database" / "manifest.json"
    manifest = inner = json.loads(path.read_text(encoding="utf-8"))
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(manifest), encoding="utf-8")


def compare(*words: Path | str) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, words)])


def lines(result: Result) -> list[str]:
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


SLOW = {"database.response_p99": {"value": 620.0, "low": 580.0, "high": 700.0}}
FAST = {"database.response_p99": {"value": 5.5, "low": 4.4, "high": 9.3}}


def test_a_broken_promise_is_shown_first_and_exit_code_1(tmp_path: Path) -> None:
    ran = compare(make_run(tmp_path / "before", FAST), make_run(tmp_path / "after", SLOW))
    assert ran.exit_code == 1
    assert lines(ran)[0] == (
        "regressed database Query latency p99 < 500 ms 5.5 ms (4.4 to 9.3) → 620 ms (580 to 700) PASS → FAIL "
        "changed, worse: +614 ms (+574 to +695), +11,173%"
    )
    assert "issues: 0 found before, 0 of them resolved, 1 new; 1 regressed" in lines(ran)


def test_a_resolved_issue_is_shown_and_exit_code_0(tmp_path: Path) -> None:
    ran = compare(make_run(tmp_path / "before", SLOW), make_run(tmp_path / "after", FAST))
    assert ran.exit_code == 0
    assert lines(ran)[0].startswith("resolved database Query latency p99 < 500 ms 620 ms (580 to 700) → 5.5 ms")
    assert "issues: 1 found before, 1 of them resolved, 0 new; 0 regressed" in lines(ran)


def test_a_finding_without_a_promise_is_shown_where_it_changed(tmp_path: Path) -> None:
    fewer = {"database.throughput": {"value": 1700.0, "low": 1680.0, "high": 1720.0}}
    ran = compare(make_run(tmp_path / "before"), make_run(tmp_path / "after", fewer))
    assert ran.exit_code == 0
    before = next(each for each in read_findings(RECORDED / "findings") if each.name == "database.throughput")
    assert before.value is not None
    less = 1700.0 / before.value - 1
    (line,) = [each for each in lines(ran) if "operations that succeeded, per second" in each]
    assert line.startswith(
        f"database operations that succeeded, per second {finding_text(before)} → 1,700 /s (1,680 to 1,720) changed: "
        f"−{before.value - 1700:.0f} /s ("
    )
    assert line.endswith(f"), −{-less:.0%}")


def test_a_run_is_as_it_is_and_all_of_it_can_be_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path / "before")
    short, long = compare(run, run), compare(run, run, "--all")
    assert (short.exit_code, long.exit_code) == (0, 0)
    assert not any(line.startswith("holds") for line in lines(short))
    assert "holds database No deadlocks = 0 0 → 0 PASS → PASS unchanged" in lines(long)
    found = len(json.loads((RECORDED / "findings" / "database.json").read_text(encoding="utf-8")))
    assert sum("→" in line for line in lines(long)) == found


def test_a_promise_that_held_and_was_not_measured_again_is_exit_code_3_and_shown(tmp_path: Path) -> None:
    nothing = {"database.response_p99": {"value": None, "low": None, "high": None, "note": "needs 299 and has 0"}}
    ran = compare(make_run(tmp_path / "before", FAST), make_run(tmp_path / "after", nothing))
    assert ran.exit_code == 3
    assert lines(ran)[0] == (
        "in doubt database Query latency p99 < 500 ms 5.5 ms (4.4 to 9.3) → needs 299 and has 0 PASS → NO_DATA "
        "not compared"
    )
    assert "verdicts that changed: 1 PASS → NO_DATA" in lines(ran)
    assert "1 promises that held are in doubt: not measured again, or not decided" in lines(ran)


def test_a_verdict_that_changed_is_shown_even_where_the_number_did_not(tmp_path: Path) -> None:
    wide = {"database.response_p99": {"value": 480.0, "low": 400.0, "high": 510.0}}
    narrow = {"database.response_p99": {"value": 470.0, "low": 450.0, "high": 490.0}}
    ran = compare(make_run(tmp_path / "before", wide), make_run(tmp_path / "after", narrow))
    assert ran.exit_code == 0
    assert any("Query latency p99" in line and " INCONCLUSIVE → PASS within chance: " in line for line in lines(ran))
    assert "verdicts that changed: 1 INCONCLUSIVE → PASS" in lines(ran)
    same = make_run(tmp_path / "same")
    assert "verdicts that changed: none" in lines(compare(same, same))


def test_repeated_runs_show_how_much_runs_differ(tmp_path: Path) -> None:
    def of(value: float) -> dict[str, dict[str, Any]]:
        return {"database.throughput": {"value": value, "low": value - 5, "high": value + 5}}

    values = (1800.0, 2000.0, 1900.0)
    runs = [make_run(tmp_path / f"before-{number}", of(value)) for number, value in enumerate(values)]
    after = make_run(tmp_path / "after", of(1700.0))
    alone = compare(runs[0], after, "--all")
    known = compare(runs[0], after, "--all", "--repeated", runs[1], "--repeated", runs[2])
    assert "changed: −100 /s (−107 to −93), −6%" in " ".join(lines(alone))
    assert "runs of an unchanged system differ by more; give further runs of the system before" in alone.stdout
    shown = smallest_detectable_change(values).value
    assert shown is not None
    assert (
        f"within chance: −100 /s (−708 to +508), −6%; as many runs of each would show {number_text(shown)} /s"
        in " ".join(lines(known))
    )
    assert "--repeated" not in known.stdout


@pytest.mark.parametrize(
    ("facts", "keys", "value", "problem"),
    [
        ({"profile": "smoke"}, (), None, "the profile differs: profile standard and smoke"),
        (
            {"machine": {**MACHINE, "cpus": 8, "python": "3.13.1"}},
            (),
            None,
            "the machine that makes the load differs: cpus 2 and 8",
        ),
        ({"embedded": False}, (), None, "whether the servers are the suite's own differs: embedded True and False"),
        ({}, ("connections",), 50, "the load of database differs: connections 90 and 50"),
        ({}, ("workload", "operations"), [], "the load of database differs: operations"),
        ({}, ("generators",), 2, "the load of database differs: generators 1 and 2"),
    ],
)
def test_runs_of_another_kind_are_refused_or_compared_with_a_warning(
    tmp_path: Path, facts: dict[str, Any], keys: tuple[str, ...], value: Any, problem: str
) -> None:
    before, after = make_run(tmp_path / "before"), make_run(tmp_path / "after", **facts)
    if keys:
        set_in_recording(after, *keys, value=value)
    ran = compare(before, after)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr == (
        f"capacity: before and after cannot be compared: {problem}; measure both in the same way, or give --anyway\n"
    )
    ran = compare(before, after, "--anyway")
    assert ran.exit_code == 0
    assert ran.stderr == f"warning: {problem}\n"


def test_another_server_is_what_may_have_changed_and_is_said(tmp_path: Path) -> None:
    before, after = make_run(tmp_path / "before"), make_run(tmp_path / "after")
    set_in_recording(after, "system", "shared_buffers", value="65536")
    ran = compare(before, after)
    assert ran.exit_code == 0
    assert "note: the server of database differs: shared_buffers 8192 and 65536" in lines(ran)


def test_a_shape_of_another_profile_does_not_matter(tmp_path: Path) -> None:
    before, after = make_run(tmp_path / "before"), make_run(tmp_path / "after")
    set_in_recording(after, "workload", "shapes", "full", value={})
    assert compare(before, after).exit_code == 0


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        ([], "there is no run in {run}: manifest.json is missing"),
        (
            ["manifest.json"],
            "cannot read {run}/manifest.json: Expecting value: line 1 column 1 (char 0); restore it, or measure again",
        ),
    ],
)
def test_what_is_no_run_is_one_sentence(tmp_path: Path, made: list[str], sentence: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in made:
        (run / name).touch()
    ran = compare(run, make_run(tmp_path / "after"))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr == f"capacity: {sentence.format(run=run)}\n"
