"""The command audits a report, says by its exit code whether all of it follows, and needs no file for the project's."""

from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from capacity.cli import main

PROJECT = Path(__file__).parents[2]
REPORT = """
title: A small report
text: report.md
sections:
  - name: pool
    heading: '# Pool'
    statements:
      - quote: 92 of 100 in use (%s)
        values: {used: 92 connections, size: 100 connections, share: %s}
        claims:
          - {kind: derived, stated: share, by: {ratio: [used, size]}}
"""


def audit(*words: str) -> Result:
    with chdir(PROJECT):
        return CliRunner().invoke(main, ["audit", *words])


def written(folder: Path, share: str) -> str:
    (folder / "report.yaml").write_text(REPORT % (share, share), encoding="utf-8")
    (folder / "report.md").write_text(f"# Pool\n92 of 100 in use ({share})\n3 were idle\n", encoding="utf-8")
    return str(folder / "report.yaml")


def test_the_projects_reference_is_audited_by_section_and_does_not_follow() -> None:
    ran = audit()
    assert (ran.exit_code, ran.stderr) == (1, "")
    lines = [" ".join(line.split()) for line in ran.stdout.splitlines()]
    assert "2. Bull Queue & Redis Load Testing: 51 of 66 follow" in lines
    assert (
        "does not follow ✓ Redis command latency < 10ms: PASS (max 10.3ms) "
        "10.3 ms is not < 10 ms, and the report says PASS"
    ) in lines
    assert not any(line.startswith(("follows", "not transcribed")) for line in lines)
    assert lines[-1] == (
        "294 claims: 172 follow (34 of them unproven: one value without an interval), "
        "47 do not follow, 75 cannot be told"
    )


@pytest.mark.parametrize(("share", "code", "shown"), [("92 %", 0, "follows"), ("93 %", 1, "does not follow")])
def test_the_exit_code_says_whether_all_follows(tmp_path: Path, share: str, code: int, shown: str) -> None:
    ran = audit(written(tmp_path, share), "--all")
    assert ran.exit_code == code
    assert [line.split("  ")[0] for line in ran.stdout.splitlines() if "of 100" in line] == [shown]
    assert ran.stdout.splitlines()[-1] == "not transcribed: 3 were idle"


def test_what_cannot_be_told_is_not_what_follows(tmp_path: Path) -> None:
    path = Path(written(tmp_path, "92 %"))
    text = path.read_text(encoding="utf-8") + "          - {kind: samples, quantile: 0.99}\n"
    path.write_text(text, encoding="utf-8")
    assert audit(str(path)).exit_code == 1


def test_what_cannot_be_read_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    ran = audit(str(tmp_path / "none.yaml"))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr == f"capacity: cannot read the report {tmp_path / 'none.yaml'}: No such file or directory\n"
    path = Path(written(tmp_path, "92 %"))
    path.write_text(path.read_text(encoding="utf-8").replace("92 of 100 in", "92 of 100 ever in"), encoding="utf-8")
    ran = audit(str(path))
    assert ran.exit_code == 2
    assert ran.stderr.startswith("capacity: the quote '92 of 100 ever in use (92 %)' is not in the text of '# Pool'")
