"""Verdicts for a pipeline: JSON with all of them, and JUnit XML as GitLab and Jenkins read it."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from capacity.cli import main
from capacity.exports.verdicts import verdicts_json, verdicts_junit
from capacity.findings import Finding, Verdict, write_findings
from capacity.run import Run

PROJECT = Path(__file__).parents[2]
HELD = Finding("redis.success_rate", 100.0, "%", 99.95, 100.0, 5000, "redis")
BROKEN = Finding("redis.response_p99", 30.0, "ms", 28.0, 33.0, 5000, "redis")
UNDECIDED = Finding("redis.fragmentation", 1.5, "", 1.4, float("inf"), 50, "redis")
VOID = Finding(
    "redis.cpu_share", 30.0, "%", 29.0, 31.0, 50, "redis", void="it was \x1b[1mlate & <slow>", remedy="slower"
)
MISSING = Finding("redis.response_max", None, "ms", note="all 4,975 answers were 404")
# What the schema of Jenkins' xUnit plugin (junit-10.xsd) says of the elements that are written here: the attributes
# that must be there, those that may, and the elements within.
ALLOWED = {
    "testsuites": ([], ["name", "tests", "failures", "errors", "time"], ["testsuite"]),
    "testsuite": (["name", "tests", "failures", "errors"], ["skipped", "time", "timestamp"], ["testcase"]),
    "testcase": (["name"], ["classname", "time"], ["skipped", "error", "failure", "system-out"]),
    "failure": ([], ["message", "type"], []),
    "error": ([], ["message", "type"], []),
    "skipped": ([], ["message", "type"], []),
    "system-out": ([], [], []),
}


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)


def made(folder: Path, *findings: Finding) -> Run:
    folder.mkdir()
    facts = {"profile": "smoke", "started_at": "2026-11-25T09:50:00+00:00", "finished": ["redis"]}
    (folder / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")
    write_findings(folder / "findings" / "redis.json", findings)
    return Run.at(folder, PROJECT)


@pytest.fixture
def mixed(tmp_path: Path) -> Run:
    return made(tmp_path / "run", HELD, BROKEN, UNDECIDED, VOID, MISSING)


def verdict(run: Run, *words: str) -> Result:
    return CliRunner().invoke(main, ["verdict", str(run.path), *words])


def check_junit(element: ElementTree.Element) -> None:
    needed, further, children = ALLOWED[element.tag]
    assert set(needed) <= set(element.keys()) <= {*needed, *further}, element.tag
    for child in element:
        assert child.tag in children, (element.tag, child.tag)
        check_junit(child)


def test_json_has_every_promise_with_its_finding_its_verdict_and_why(mixed: Run) -> None:
    told = json.loads(verdicts_json(mixed))
    assert {key: told[key] for key in ("run", "profile", "verdict", "exit_code")} == {
        "run": "run",
        "profile": "smoke",
        "verdict": "FAIL",
        "exit_code": 1,
    }
    rows = {row["finding"]: row for row in told["verdicts"]}
    assert list(rows) == [each.finding for each, _, _ in mixed.promised]
    assert sum(told["counts"].values()) == len(rows)
    held, broken = rows[HELD.name], rows[BROKEN.name]
    assert (held["verdict"], held["value"], held["low"], held["kind"]) == ("PASS", 100.0, 99.95, "promise")
    assert broken["reason"] == "found 30.0 ms (28.0 to 33.0), promised < 10 ms"
    assert (rows[UNDECIDED.name]["verdict"], rows[UNDECIDED.name]["high"]) == ("INCONCLUSIVE", "inf")
    assert rows[VOID.name]["reason"] == f"does not count: {VOID.void}; slower"
    assert (rows[MISSING.name]["verdict"], rows[MISSING.name]["reason"]) == ("NO_DATA", MISSING.note)
    assert rows["redis.evictions"]["reason"] == "not measured"


def test_junit_is_as_its_readers_expect_it_and_counts_what_it_holds(mixed: Run) -> None:
    root = ElementTree.fromstring(verdicts_junit(mixed))
    check_junit(root)
    (suite,) = root
    assert suite.get("name") == "redis"
    assert suite.get("timestamp") == "2026-11-25T09:50:00"
    cases = {case.get("classname"): case for case in suite}
    assert len(cases) == len(mixed.judged) == int(suite.get("tests", 0))
    kinds = {name: next(iter(case)).tag for name, case in cases.items()}
    assert [kinds[each.name] for each in (HELD, BROKEN, UNDECIDED, VOID, MISSING)] == [
        "system-out",
        "failure",
        "skipped",
        "error",
        "error",
    ]
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.get(attribute, -1)) == [*kinds.values()].count(tag)
        assert root.get(attribute, "") in ("", suite.get(attribute))
    failure = cases[BROKEN.name][0]
    assert (failure.get("type"), failure.get("message")) == ("FAIL", "found 30.0 ms (28.0 to 33.0), promised < 10 ms")
    assert cases[BROKEN.name].get("name") == "Command latency p99 < 10 ms"
    assert cases[VOID.name][0].get("message") == "does not count: it was \ufffd[1mlate & <slow>; slower"


@pytest.mark.parametrize(
    ("findings", "code"), [([HELD, BROKEN], 1), ([HELD, UNDECIDED], 3), ([HELD, VOID], 3), ([HELD, MISSING], 3)]
)
def test_the_exit_code_says_what_was_decided(tmp_path: Path, findings: list[Finding], code: int) -> None:
    run = made(tmp_path / "run", *findings)
    assert run.exit_code == verdict(run).exit_code == code


def test_all_pass_is_exit_code_0(tmp_path: Path) -> None:
    """Of a project that promises one thing."""
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    promise = '- {finding: redis.success_rate, limit: "> 99 %", title: Success}\n'
    (project / "data" / "objectives.yaml").write_text(promise, encoding="utf-8")
    run = made(tmp_path / "run", HELD)
    assert Run.at(run.path, project).exit_code == 0
    assert {given for _, _, given in Run.at(run.path, project).judged} == {Verdict.PASS}


def test_the_command_writes_both_files_and_refuses_one_that_it_cannot_write(mixed: Run, tmp_path: Path) -> None:
    ran = verdict(mixed, "--json", str(tmp_path / "v.json"), "--junit", str(tmp_path / "v.xml"))
    assert ran.exit_code == 1
    assert json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))["exit_code"] == 1
    check_junit(ElementTree.parse(tmp_path / "v.xml").getroot())
    (tmp_path / "taken").mkdir()
    ran = verdict(mixed, "--json", str(tmp_path / "taken"))
    assert (ran.exit_code, ran.stderr.startswith("capacity: ")) == (2, True)


def test_the_committed_recordings_have_a_suite_for_each_part(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "data" / "recorded" / "findings", tmp_path / "run" / "findings")
    (tmp_path / "run" / "manifest.json").write_text('{"profile": "standard", "finished": []}', encoding="utf-8")
    run = Run.at(tmp_path / "run", PROJECT)
    root = ElementTree.fromstring(verdicts_junit(run))
    check_junit(root)
    assert [suite.get("name") for suite in root] == list(dict.fromkeys(each.section for each, _, _ in run.judged))
    told = json.loads(verdicts_json(run))
    assert {row["kind"] for row in told["verdicts"]} == {"promise", "expectation"}
