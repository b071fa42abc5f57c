"""Findings come back from CSV and JSON as they were, and no text becomes a formula."""

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from capacity.exports import FORMATS, Source
from capacity.exports.findings import findings_csv, findings_with_verdicts
from capacity.findings import Finding, Objective, Verdict, finding_from_dict

TEXTS = ['=HYPERLINK("http://x")', "+1", "-1", "@sum", "'quoted", 'a "b", c', "two\nlines", "größer – ∞", ""]
FINDINGS = [
    Finding(f"a.x{place}", -1.5, "ms", -math.inf, math.inf, 12, "r", text, text, text or None)
    for place, text in enumerate(TEXTS)
]
FINDINGS.append(Finding("a.none", None, note="needs 299 and has 20"))
FINDINGS.append(Finding("a.late", 5.0, "ms", 4.0, 6.0, 9, void="late", remedy="a core", least=-1.0, most=math.inf))


def read_csv(text: str) -> Iterator[Finding]:
    """As the docstring of `findings_csv` says it is to be read."""
    for row in csv.DictReader(text.splitlines(keepends=True)):
        values = {key: row[key].removeprefix("'") for key in Finding.__dataclass_fields__}
        numbers = {key: values[key] or None for key in ("value", "low", "high", "least", "most")}
        yield finding_from_dict({**values, **numbers, "count": int(values["count"]), "void": values["void"] or None})


def test_findings_come_back_from_csv() -> None:
    assert list(read_csv(findings_csv(findings_with_verdicts(FINDINGS, [])))) == FINDINGS


def test_findings_come_back_from_json(source: Source) -> None:
    _, text, _ = FORMATS["json"](replace(source, findings=FINDINGS, judged=[]))
    rows = json.loads(text)
    names = Finding.__dataclass_fields__
    assert [finding_from_dict({key: row[key] for key in names}) for row in rows] == FINDINGS


@pytest.mark.parametrize("column", ["title", "note", "void"])
def test_no_cell_of_text_begins_as_a_formula_does(column: str) -> None:
    rows = csv.DictReader(findings_csv(findings_with_verdicts(FINDINGS, [])).splitlines(keepends=True))
    assert not [row[column] for row in rows if row[column].startswith(("=", "+", "-", "@"))]


def test_a_finding_has_its_verdict_and_what_was_promised() -> None:
    objective = Objective("a.x1", "<", 5, "ms", "X", "report section 1")
    rows = findings_with_verdicts(FINDINGS, [(objective, FINDINGS[1], Verdict.PASS)])
    assert [rows[1][key] for key in ("verdict", "promise", "source")] == ["PASS", "< 5 ms", "report section 1"]
    assert [rows[2][key] for key in ("verdict", "promise", "source")] == [None, None, None]


def test_the_files_hold_every_finding_of_the_run(exported: Path, source: Source) -> None:
    assert list(read_csv((exported / "findings.csv").read_text(encoding="utf-8"))) == list(source.findings)
    rows = json.loads((exported / "findings.json").read_text(encoding="utf-8"))
    verdicts = {row["name"]: row["verdict"] for row in rows if row["verdict"]}
    assert verdicts == {each.finding: str(verdict) for each, found, verdict in source.judged if found}
