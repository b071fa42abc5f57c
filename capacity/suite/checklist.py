"""The checklist of readiness: points that are met, or not, by findings; none is ticked by hand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd

from capacity.display.text import finding_text
from capacity.errors import CapacityError
from capacity.findings import Finding, Judged, Objective, Verdict, judge, worst
from capacity.objectives import parse_objective
from capacity.yaml_file import read_yaml


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the checklist: the promises it rests on by name or pattern, and limits of its own.

    `outside` says why no measurement of this suite can tell, and what it gives instead; such a point is never met.
    """

    section: str
    title: str
    source: str
    promises: tuple[str, ...] = ()
    limits: tuple[Objective, ...] = ()
    outside: str = ""


def read_checklist(path: Path) -> list[Point]:
    """The points of a YAML list of `section`, `title`, `source`, and `needs` or `outside`.

    A need is the name of a promise's finding, in which * stands for anything, or a `finding` with its own `limit`.
    Raises CapacityError naming the entry and what is accepted.
    """
    entries = read_yaml(path, "the checklist")
    if not isinstance(entries, list):
        raise CapacityError(f"{path} must be a list of points, each with `title`, and `needs` or `outside`")
    return [_point(entry, path) for entry in entries]


def checked(points: Iterable[Point], found: Iterable[Finding], judged: Sequence[Judged]) -> pd.DataFrame:
    """A row for each point: `section`, `title`, `verdict`, `why` and `source`.

    The verdict is the worst of its needs'; a need without a finding, and a point outside the suite, is NO_DATA.
    """
    by_name = {each.name: each for each in found}
    rows = []
    for point in points:
        verdict, why = _checked(point, by_name, judged)
        rows.append((point.section, point.title, verdict, why, point.source))
    return pd.DataFrame(rows, columns=["section", "title", "verdict", "why", "source"])


def _checked(point: Point, by_name: dict[str, Finding], judged: Sequence[Judged]) -> tuple[Verdict, str]:
    if point.outside:
        return Verdict.NO_DATA, point.outside
    needs = [(each, by_name.get(each.finding), judge(by_name.get(each.finding), each)) for each in point.limits]
    for pattern in point.promises:
        matching = [each for each in judged if fnmatch(each[0].finding, pattern)]
        if not matching:
            said = "has no promise" if any(fnmatch(name, pattern) for name in by_name) else "was not measured"
            return Verdict.NO_DATA, f"{pattern} {said}"
        needs += matching
    verdict = worst(given for _, _, given in needs)
    deciding = [(objective, finding) for objective, finding, given in needs if given is verdict]
    said = "; ".join(f"{each.title or each.finding}: {finding_text(finding)}" for each, finding in deciding[:2])
    further = f"; and {len(deciding) - 2} more" if len(deciding) > 2 else ""
    return verdict, f"{said}{further}"


def _point(entry: Any, path: Path) -> Point:
    known = {"section", "title", "source", "needs", "outside"}
    fits = isinstance(entry, dict) and {"section", "title"} <= set(entry) <= known
    if not fits or bool(entry.get("needs")) == bool(entry.get("outside")):
        raise CapacityError(
            f"{path}: the point {entry!r} must have `section`, `title` and either `needs` or `outside`, "
            "and may have `source`"
        )
    needs = entry.get("needs", [])
    return Point(
        entry["section"],
        entry["title"],
        entry.get("source", ""),
        tuple(each for each in needs if isinstance(each, str)),
        tuple(parse_objective(each, path) for each in needs if not isinstance(each, str)),
        entry.get("outside", ""),
    )
