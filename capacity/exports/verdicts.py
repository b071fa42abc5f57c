"""The verdicts of a run for a pipeline: as JSON, and as JUnit XML, which GitLab and Jenkins show as tests."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from capacity.display.text import finding_text
from capacity.findings import Judged, Objective, Verdict, finding_as_dict, worst
from capacity.run import Run
from capacity.writing import write_whole

# FAIL is a failure of the system. What was not measured, or does not count, is an error of the measurement. What is
# undecided is neither: it is skipped, and the exit code 3 of the command says that something is.
ELEMENTS = {
    Verdict.FAIL: "failure",
    Verdict.VOID: "error",
    Verdict.NO_DATA: "error",
    Verdict.INCONCLUSIVE: "skipped",
}
COUNTED = {"failure": "failures", "error": "errors", "skipped": "skipped"}  # the attribute of a suite that counts them
NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what no XML 1.0 may hold
FIGURES = ("value", "low", "high", "unit", "count", "recording")


def write_for_pipelines(run: Run, json_file: Path | None = None, junit_file: Path | None = None) -> None:
    """Write a run's verdicts to the files that are named, each whole or not at all.

    Raises CapacityError for a folder that is no run, and a file that cannot be written.
    """
    run.check()
    for file, made in ((json_file, verdicts_json), (junit_file, verdicts_junit)):
        if file is not None:
            write_whole(file, made(run))


def verdicts_json(run: Run) -> str:
    """The verdicts as JSON: the run with its exit code and counts, and every promise and expectation with its finding.

    An infinite bound is the text "inf".
    """
    facts = run.manifest
    given = [verdict for _, _, verdict in run.judged]
    counts = {str(verdict): given.count(verdict) for verdict in Verdict}
    told: dict[str, Any] = {"run": run.path.name, "profile": facts.profile, "started_at": facts.started_at}
    told |= {"verdict": str(worst(given)), "exit_code": run.exit_code, "counts": counts}
    kinds = {"promise": run.promised, "expectation": run.expected}
    rows = [_row(kind, row) for kind, judged in kinds.items() for row in judged]
    return json.dumps({**told, "verdicts": rows}, indent=1, ensure_ascii=False) + "\n"


def verdicts_junit(run: Run) -> str:
    """The verdicts as JUnit XML: a suite for each part of the system, a test case for each promise and expectation."""
    sections: dict[str, list[Judged]] = {}
    for row in run.judged:
        sections.setdefault(row[0].section, []).append(row)
    all_of_it = {
        name: count for name, count in _counts(run.judged).items() if name != "skipped"
    }  # as the schema has it
    suites = ElementTree.Element("testsuites", {"name": _plain(run.path.name), **all_of_it})
    moment = run.manifest.started_at.partition("+")[0]  # in UTC; the format has no zone
    for section, judged in sections.items():
        told = {"name": _plain(section), **_counts(judged), "timestamp": moment}
        suite = ElementTree.SubElement(suites, "testsuite", told)
        for row in judged:
            suite.append(_case(row))
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def reason_of(row: Judged) -> str:
    """Why a verdict is as it is, in one line; with what to do, where that is known."""
    objective, finding, verdict = row
    if verdict is Verdict.VOID and finding is not None:
        return f"does not count: {finding.void}{f'; {finding.remedy}' if finding.remedy else ''}"
    found = finding_text(finding, limit=objective.limit)
    if verdict is Verdict.NO_DATA:
        return found
    return f"found {found}, promised {objective.promise}"


def _row(kind: str, row: Judged) -> dict[str, Any]:
    objective, finding, verdict = row
    values = finding_as_dict(finding) if finding else {}
    return {
        "finding": objective.finding,
        "section": objective.section,
        "title": objective.title,
        "kind": kind,
        "verdict": str(verdict),
        "reason": reason_of(row),
        "promise": objective.promise,
        "relation": objective.relation,
        "limit": objective.limit,
        **{name: values.get(name) for name in FIGURES},
        "void": values.get("void"),
        "remedy": values.get("remedy") or None,
        "source": objective.source,
        "why": objective.why,
    }


def _counts(judged: Sequence[Judged]) -> dict[str, str]:
    elements = Counter(ELEMENTS.get(verdict, "") for _, _, verdict in judged)
    return {"tests": str(len(judged))} | {name: str(elements[element]) for element, name in COUNTED.items()}


def _case(row: Judged) -> ElementTree.Element:
    objective, _, verdict = row
    case = ElementTree.Element("testcase", name=_plain(_name(objective)), classname=_plain(objective.finding))
    said = _plain(reason_of(row))
    if element := ELEMENTS.get(verdict):
        ElementTree.SubElement(case, element, message=said, type=str(verdict)).text = said
    else:
        ElementTree.SubElement(case, "system-out").text = said
    return case


def _name(objective: Objective) -> str:
    return f"{objective.title or objective.finding} {objective.promise}"


def _plain(text: str) -> str:
    """Text without what XML cannot hold, as the bytes that a server put into its message."""
    return NO_XML.sub("\ufffd", text)
