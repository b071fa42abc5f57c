"""One command measures for real, judges, and does not repeat what is finished."""

import json
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from capacity.display.text import finding_text
from capacity.errors import CapacityError
from capacity.findings import Verdict
from capacity.manifest import RunManifest
from capacity.objectives import read_objectives
from capacity.probes.database import read_database_findings
from capacity.run import Run
from capacity.suite.run import RunPlan, earlier_findings, run_suite, servers_text, write_report_of

PROJECT = Path(__file__).parents[2]
EARLIER, LATER = (f'{{"profile": "smoke", "started_at": "2026-11-{day}T09:00:00+00:00"}}' for day in (25, 26))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("suite") / "run"
    judged = run_suite(RunPlan(PROJECT, "smoke", ["database"]), run).judged
    assert {each.finding.partition(".")[0] for each, _, _ in judged} == {"database"}
    assert all(found and found.void for _, found, verdict in judged if verdict is Verdict.VOID)  # a noisy machine's
    return run


def test_a_run_holds_its_recordings_findings_and_executed_notebooks(finished: Path) -> None:
    assert json.loads((finished / "manifest.json").read_text())["finished"] == ["database"]
    findings = json.loads((finished / "findings.json").read_text())
    assert {each["recording"] for each in findings} == {"database", "database/row_security"}
    given = {each["name"] for each in findings if each["verdict"] is not None}
    assert given == {each.finding for each in read_objectives(PROJECT / "data" / "objectives.yaml", "database")}
    assert (finished / "recordings" / "database" / "manifest.json").exists()
    assert (finished / "notebooks" / "10_database.ipynb").exists()
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert page.index("Are we ready?") < page.index("How much does the database hold")
    assert page.count("data:image/png;base64,") >= 5
    assert (finished.parent / "latest").resolve() == finished


def test_a_finished_notebook_is_not_repeated(finished: Path) -> None:
    said: list[str] = []
    run_suite(RunPlan(PROJECT, "smoke", ["database"]), finished, said.append)
    assert said[:2] == ["database: finished in this run before, not repeated", "report: under way"]
    assert re.fullmatch(r"report: 0:\d\d, written", said[2])


def test_a_notebook_that_cannot_be_kept_is_a_sentence_that_says_how_to_go_on(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("notebooks"))
    (run / "notebooks").touch()
    kept = run / "notebooks" / "80_readiness_report.ipynb"
    sentence = f"cannot write {kept}: File exists; make room, or give a folder that may be written"
    with pytest.raises(CapacityError, match=f"^{re.escape(sentence)}$"):
        write_report_of(Run.at(run, PROJECT))


def test_a_run_is_resumed_with_its_own_profile_only(finished: Path) -> None:
    with pytest.raises(CapacityError, match="is a run with the profile smoke; resume it with that one"):
        run_suite(RunPlan(PROJECT, "full"), finished)


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        ("", "cannot read {file}: Expecting value: line 1 column 1 (char 0); restore it, or measure again"),
        ("[]", "{file} is no manifest, which has names and values; restore it, or measure again"),
        ('{"state": "complete"}', "{run} is no run: its manifest.json has no profile; name the folder of a run"),
    ],
)
def test_a_folder_with_another_manifest_is_no_run(finished: Path, tmp_path: Path, manifest: str, sentence: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    file = run / "manifest.json"
    file.write_text(manifest)
    said = f"^{re.escape(sentence.format(run=run, file=file))}$"
    with pytest.raises(CapacityError, match=said):
        write_report_of(Run.at(run, PROJECT))
    with pytest.raises(CapacityError, match=said):
        run_suite(RunPlan(PROJECT, "smoke"), run)


def test_a_run_that_was_broken_off_says_on_which_machine_it_was(tmp_path: Path) -> None:
    plan = RunPlan(PROJECT, "smoke", ["breaking_point"], {"parts": "mainframe"})
    with pytest.raises(CapacityError, match=r"^the notebook 60_breaking_point.ipynb failed: there is no part"):
        run_suite(plan, tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert (facts["embedded"], facts["machine"]["cpus"] > 0, facts["finished"]) == (True, True, [])


def test_a_damaged_run_is_not_the_one_before(tmp_path: Path) -> None:
    for name, manifest in (("1", EARLIER), ("2", "{"), ("3", "[]"), ("4", LATER)):
        (tmp_path / name / "findings").mkdir(parents=True)
        (tmp_path / name / "findings" / "database.json").touch()
        (tmp_path / name / "manifest.json").write_text(manifest)
    assert earlier_findings(Run.at(tmp_path / "4")) == str(tmp_path / "1" / "findings")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--profile", "huge"], "there is no profile 'huge'; accepted are smoke, standard, full"),
        (
            ["--only", "redis,mainframe"],
            "there is no notebook 'mainframe'; accepted are database, redis, queue, gateway, failover, "
            "breaking_point, capacity_plan",
        ),
        *(
            pytest.param(
                ["--only", nothing],
                "--only names no notebook; accepted are database, redis, queue, gateway, failover, breaking_point, "
                "capacity_plan, or leave it out for all",
                marks=[pytest.mark.thorough] if nothing else [],
            )
            for nothing in ("", ",", " , ")
        ),
        pytest.param(
            ["--set", "prepraed", "false"],
            "no notebook has the parameter 'prepraed'; accepted are catalog, matrix, own_catalog, parts, plan, "
            "prepared, "
            "scenarios, seed, workers, workloads",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            ["--set", "prepared", "no way"],
            "the parameter prepared is 'no way' and must be true or false, as its default true",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_an_unknown_name_is_one_sentence_and_exit_code_2(words: list[str], sentence: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from capacity.cli import main; main()", "run", "--into", str(tmp_path / "run")]
    ran = subprocess.run([*command, *words], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr.strip() == f"capacity: {sentence}"


def test_a_server_that_is_down_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    code = (
        "import os; os.environ['CAPACITY_POSTGRES_URL'] = 'postgresql://a@127.0.0.1:1/x'\n"
        "from capacity.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "run", "--only", "database", "--into", str(tmp_path / "run")]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert "PostgreSQL: does not answer" in ran.stderr
    assert "correct its address in CAPACITY_POSTGRES_URL" in ran.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("into", "code"), [("finished", (0, 1, 3)), ("missing", (2,))])
def test_verdict_says_by_its_exit_code_what_was_decided(finished: Path, into: str, code: tuple[int, ...]) -> None:
    run = finished if into == "finished" else finished / "missing"
    command = [sys.executable, "-c", "from capacity.cli import main; main()", "verdict", str(run)]
    assert subprocess.run(command, cwd=PROJECT, capture_output=True, check=False).returncode in code


@pytest.mark.thorough
def test_a_run_ends_as_its_verdicts_say_and_writes_them_for_a_pipeline(finished: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from capacity.cli import main; main()", "run", "--into", str(finished)]
    command += ["--only", "database", "--junit", str(tmp_path / "verdicts.xml")]
    for words, code in (([], Run.at(finished, PROJECT).exit_code), (["--exit-zero"], 0)):
        assert subprocess.run([*command, *words], cwd=PROJECT, capture_output=True, check=False).returncode == code
    assert '<testsuite name="database"' in (tmp_path / "verdicts.xml").read_text(encoding="utf-8")


def test_every_number_leads_to_its_line_and_every_line_to_a_recording_that_gives_it(finished: Path) -> None:
    page = (finished / "report.html").read_text(encoding="utf-8").replace("<wbr>", "")
    lines = dict(re.findall(r'<tr id="([\w.]+)"><td>(?:<a [^>]*>)?[\w.]+(?:</a>)?</td><td[^>]*>([^<]*)</td>', page))
    measured = {each.name: finding_text(each) for each in read_database_findings(finished / "recordings" / "database")}
    assert {name: unescape(text) for name, text in lines.items()} == measured
    led = set(re.findall(r'href="#([\w.]+)"', page)) - {"closing", "findings"}
    assert {name for name in led if "." in name} == set(measured)
    assert all(f'id="{name}"' in page for name in led)
    for source in set(re.findall(r'href="(recordings/[^"]+)"', page)):
        assert (finished / source).is_file()


@pytest.mark.thorough
def test_faults_are_judged_by_what_was_expected_and_shown_in_the_report(tmp_path: Path) -> None:
    run, names = tmp_path / "run", "direct_connections,database_kill"
    judged = run_suite(RunPlan(PROJECT, "smoke", ["failover"], {"scenarios": names}), run).judged
    refused = next(row for row in judged if row[0].finding == "failover.direct_connections.refused")
    assert (refused[0].limit, refused[2]) == (53, Verdict.PASS)
    entries = {each["name"]: each["verdict"] for each in json.loads((run / "findings.json").read_text())}
    assert entries["failover.direct_connections.refused"] == "PASS"
    assert entries["failover.database_kill.lost_writes"] == "PASS"
    assert entries["failover.database_kill.late"] is None
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "150 clients come, and 97 find a connection: 100 max_connections − 3 reserved − 0 in use" in page
    assert page.count("data:image/png;base64,") == 2
    worse = (run / "findings" / "failover.yaml").read_text().replace("== 53.0", "== 52.0")
    (run / "findings" / "failover.yaml").write_text(worse)
    again = Run.at(run, PROJECT).judged  # how fast a busy machine recovers is not what is tested here
    changed = [each.finding for (each, _, now), (_, _, before) in zip(again, judged, strict=True) if now is not before]
    assert changed == ["failover.direct_connections.refused"]
    assert Verdict.FAIL in {now for each, _, now in again if each.finding == changed[0]}


SERVERS = [
    ({"embedded": True}, "PostgreSQL 18.6; started by the suite, on the machine that also made the load"),
    ({"embedded": False, "hosts": {"postgres": "db.shop"}}, "PostgreSQL 18.6 on db.shop, your own"),
    (
        {"embedded": False, "hosts": {"redis": "cache.shop"}},
        "cache.shop, your own; PostgreSQL 18.6, started by the suite, on the machine that also made the load",
    ),
    ({"embedded": False}, "PostgreSQL 18.6; your own"),  # of a run that did not note hosts
]


@pytest.mark.parametrize(("facts", "said"), SERVERS)
def test_the_servers_are_named_by_make_version_and_host(facts: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "findings").mkdir()
    shutil.copy(PROJECT / "data" / "recorded" / "findings" / "database.json", tmp_path / "findings")
    (tmp_path / "recordings").symlink_to(PROJECT / "data" / "recorded")
    assert servers_text(Run.at(tmp_path, PROJECT), RunManifest.model_validate(facts)) == said
