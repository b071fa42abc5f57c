"""The command writes the files, says what is left out, and what is wrong in one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
CODE = "from capacity.cli import main; main()"


def capacity(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE, *words]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_all_files_are_written_and_what_is_left_out_is_said(run: Path, tmp_path: Path) -> None:
    ran = capacity("export", str(run), "--to", str(tmp_path / "out"))
    assert (ran.returncode, ran.stderr) == (0, "")
    names = {"alerts.yml", "grafana.json", "cloudformation.json", "findings.csv", "findings.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    lines = [" ".join(line.split()) for line in ran.stdout.splitlines()]
    assert (
        f"{tmp_path / 'out' / 'alerts.yml'} 25 alerts in 46 rules, and 9 that say of which exporter nothing comes"
        in lines
    )
    left_out = lines[lines.index("not exported: no metric") + 1 :]
    assert (
        "queue No job lost = 0 jobs Prometheus and CloudWatch "
        "BullMQ's counters cannot see a loss; it takes a ledger outside Redis"
    ) in left_out
    assert (
        "queue Job throughput > 500 /s Prometheus drawn without an alert: a quiet hour has few jobs without a fault"
    ) in left_out


def test_only_the_formats_that_were_asked_for_are_written(run: Path, tmp_path: Path) -> None:
    ran = capacity("export", str(run), "--to", str(tmp_path / "out"), "--format", "csv,json")
    assert ran.returncode == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"findings.csv", "findings.json"}
    assert "not exported" not in ran.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["{tmp}", "--to", "{tmp}/out"], "there is no run in {tmp}: manifest.json is missing"),
        (
            ["{run}", "--to", "{tmp}/out", "--format", "excel"],
            "there is no format 'excel'; accepted are prometheus, grafana, cloudformation, csv, json",
        ),
        (
            ["{run}", "--to", "{tmp}/file"],
            "cannot write {tmp}/file/alerts.yml: File exists; make room, or give a folder that may be written",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence_and_exit_code_2(
    run: Path, tmp_path: Path, words: list[str], sentence: str
) -> None:
    (tmp_path / "file").touch()
    ran = capacity("export", *(word.format(tmp=tmp_path, run=run) for word in words))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"capacity: {sentence.format(tmp=tmp_path)}\n"
    assert not (tmp_path / "out").exists()
