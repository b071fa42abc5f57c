"""One command measures for real, judges, and does not repeat what is finished."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.findings import Verdict
from capacity.suite import Plan, run_suite

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("suite") / "run"
    judged = run_suite(Plan(PROJECT, "smoke", ["database"]), run)
    assert {each.finding.partition(".")[0] for each, _, _ in judged} == {"database"}
    assert Verdict.VOID not in {verdict for _, _, verdict in judged}
    return run


def test_a_run_holds_its_recordings_findings_and_executed_notebooks(finished: Path) -> None:
    assert json.loads((finished / "manifest.json").read_text())["finished"] == ["database"]
    findings = json.loads((finished / "findings.json").read_text())
    assert {each["recording"] for each in findings} == {"database", "database/row_security"}
    assert {each["verdict"] for each in findings} >= {"PASS", None}
    assert (finished / "recordings" / "database" / "manifest.json").exists()
    assert (finished / "notebooks" / "10_database.ipynb").exists()
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert page.index("Are we ready?") < page.index("How much does the database hold")
    assert page.count("data:image/png;base64,") >= 5
    assert (finished.parent / "latest").resolve() == finished


def test_a_finished_notebook_is_not_repeated(finished: Path) -> None:
    said: list[str] = []
    run_suite(Plan(PROJECT, "smoke", ["database"]), finished, said.append)
    assert said == ["database: finished in this run before, not repeated"]


def test_a_run_is_resumed_with_its_own_profile_only(finished: Path) -> None:
    with pytest.raises(CapacityError, match="is a run with the profile smoke; resume it with that one"):
        run_suite(Plan(PROJECT, "full"), finished)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--profile", "huge"], "there is no profile 'huge'; accepted are smoke, standard, full"),
        (
            ["--only", "redis,mainframe"],
            "there is no notebook 'mainframe'; accepted are database, redis, queue, gateway, capacity_plan",
        ),
        (
            ["--set", "prepraed", "false"],
            "no notebook has the parameter 'prepraed'; accepted are catalog, own_catalog, plan, prepared, seed, "
            "workers, workloads",
        ),
        (["--set", "prepared", "no way"], "the parameter prepared is 'no way', a str, and must be a bool as True"),
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
    assert "PostgreSQL does not answer" in ran.stderr


@pytest.mark.parametrize(("into", "code"), [("finished", (0, 1, 3)), ("missing", (2,))])
def test_verdict_says_by_its_exit_code_what_was_decided(finished: Path, into: str, code: tuple[int, ...]) -> None:
    run = finished if into == "finished" else finished / "missing"
    command = [sys.executable, "-c", "from capacity.cli import main; main()", "verdict", str(run)]
    assert subprocess.run(command, cwd=PROJECT, capture_output=True, check=False).returncode in code
