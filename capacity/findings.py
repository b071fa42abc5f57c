"""Findings, the objectives promised for them, and the verdict of one on the other."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from operator import eq, ge, gt, le, lt
from pathlib import Path
from typing import Any

from capacity.errors import CapacityError
from capacity.writing import write_json

RELATIONS: dict[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq}
SIGNS = {"<=": "≤", ">=": "≥", "==": "="}
NUMBERS = ("value", "low", "high", "least", "most")


class Verdict(StrEnum):
    """What the data say of an objective.

    Attributes
    ----------
    PASS, FAIL
        The whole interval of the finding is within the limit; or wholly outside.
    INCONCLUSIVE, NO_DATA, VOID
        The interval holds the limit; nothing was measured, or given; what spoilt the measurement could have decided it.

    Examples
    --------
    >>> from capacity import Verdict
    >>> Verdict.PASS == "PASS"
    True
    """

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NO_DATA = "NO_DATA"
    VOID = "VOID"


WORST_FIRST = (Verdict.FAIL, Verdict.VOID, Verdict.NO_DATA, Verdict.INCONCLUSIVE, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Finding:
    """One named number with its unit, interval, sample count and recording.

    Parameters
    ----------
    name, unit : str
        As in the objective on it: `database.response_p99` in `ms`.
    value : float or None
        None means that it was not given, and `note` says why.
    low, high : float or None
        Its bounds: both are the value where every event was counted; an infinite `high` is no upper bound.
    count : int
        How many observations it comes from.
    recording, title, note : str
        Where it comes from, what it is in words, and what there is to know about it.
    void, remedy : str or None, str
        What spoilt the measurement, as a late generator, and what to do about it.
    least, most : float or None
        Between what it could have been without that; both None where it could have been anything.

    Examples
    --------
    >>> from capacity import Finding
    >>> Finding("database.response_p99", 31.0, "ms", low=29.0, high=34.0, count=80_000).section
    'database'
    """

    name: str
    value: float | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    count: int = 0
    recording: str = ""
    title: str = ""
    note: str = ""
    void: str | None = None
    remedy: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def section(self) -> str:
        """The part of the system that it speaks of: the name up to its first dot."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Objective:
    """A promised limit on the finding of the same name.

    Parameters
    ----------
    finding, unit : str
        The finding's name, or a pattern of names, and its unit.
    relation : str
        One of <, <=, >, >=, ==; CapacityError for another.
    limit : float
    title, source, why : str
        Of what it is, who says so, and how the limit follows where it was derived.

    Examples
    --------
    >>> from capacity import Objective
    >>> Objective("database.response_p99", "<", 500, "ms").promise
    '< 500 ms'
    """

    finding: str
    relation: str
    limit: float
    unit: str = ""
    title: str = ""
    source: str = ""
    why: str = ""

    def __post_init__(self) -> None:
        if self.relation not in RELATIONS:
            raise CapacityError(
                f"the objective on {self.finding} has the relation {self.relation!r}; "
                f"accepted are {', '.join(RELATIONS)}"
            )

    @property
    def section(self) -> str:
        """The part of the system that it speaks of, as its finding's."""
        return self.finding.partition(".")[0]

    @property
    def grounds(self) -> str:
        """Why the limit is what it is, and who says so."""
        return f"{self.why} ({self.source})" if self.why and self.source else self.why or self.source

    @property
    def promise(self) -> str:
        """The limit in words, as `< 500 ms`."""
        return f"{SIGNS.get(self.relation, self.relation)} {self.limit:,g}{' ' + self.unit if self.unit else ''}"


Judged = tuple[Objective, Finding | None, Verdict]


def judge(finding: Finding | None, objective: Objective) -> Verdict:
    """The verdict on the whole interval of `finding`: within the limit, wholly outside, or neither.

    Nothing passes without data: a missing finding or value is NO_DATA, and a value that nothing bounds is INCONCLUSIVE.
    A finding that something spoilt is VOID, unless what it could have been without that has the same verdict.

    Parameters
    ----------
    finding : Finding or None
    objective : Objective

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        Where finding and objective speak of different names or units.

    Examples
    --------
    A value below the limit does not pass while its interval holds the limit:

    >>> from capacity import Finding, Objective, judge
    >>> limit = Objective("redis.response_p99", "<", 10, "ms")
    >>> [str(judge(Finding("redis.response_p99", 9.0, "ms", 8.5, high), limit)) for high in (9.5, 10.3)]
    ['PASS', 'INCONCLUSIVE']
    """
    if finding is None:
        return Verdict.NO_DATA
    if finding.name != objective.finding or finding.unit != objective.unit:
        raise ValueError(
            f"the objective is on {objective.finding} in {objective.unit or 'no unit'!r} and the finding is "
            f"{finding.name} in {finding.unit or 'no unit'!r}; both must be the same"
        )
    spoilt, least, most = finding.void is not None, finding.least, finding.most
    if spoilt and (least is None or most is None):
        return Verdict.VOID
    if finding.value is None or math.isnan(finding.value):
        return Verdict.NO_DATA
    if finding.low is None or finding.high is None:
        return Verdict.VOID if spoilt else Verdict.INCONCLUSIVE
    found = _within(finding.low, finding.high, objective)
    if not spoilt or least is None or most is None:
        return found
    possible = _within(min(finding.low, least), max(finding.high, most), objective)
    return found if found is possible and found is not Verdict.INCONCLUSIVE else Verdict.VOID


def _within(low: float, high: float, objective: Objective) -> Verdict:
    """PASS where all from low to high is within the limit, INCONCLUSIVE where the limit lies between, else FAIL."""
    holds, limit = RELATIONS[objective.relation], objective.limit
    if holds(low, limit) and holds(high, limit):
        return Verdict.PASS
    return Verdict.INCONCLUSIVE if low <= limit <= high and low < high else Verdict.FAIL


def judge_all(findings: Iterable[Finding], objectives: Iterable[Objective]) -> list[Judged]:
    """Every objective with its finding (None where there is none) and verdict, in the objectives' order."""
    by_name = {finding.name: finding for finding in findings}
    return [(each, by_name.get(each.finding), judge(by_name.get(each.finding), each)) for each in objectives]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of some verdicts; NO_DATA where there is none."""
    return min(verdicts, key=WORST_FIRST.index, default=Verdict.NO_DATA)


def finding_as_dict(finding: Finding) -> dict[str, Any]:
    """The finding as JSON values; an infinite bound is the text "inf"."""
    values = asdict(finding).items()
    return {key: str(each) if isinstance(each, float) and not math.isfinite(each) else each for key, each in values}


def finding_from_dict(values: Mapping[str, Any]) -> Finding:
    """The inverse of `finding_as_dict`; further keys are passed over."""
    known = {key: value for key, value in values.items() if key in Finding.__dataclass_fields__}
    numbers = {key: None if values.get(key) is None else float(values[key]) for key in NUMBERS}
    return Finding(**{**known, **numbers})


def write_findings(path: Path, findings: Iterable[Finding]) -> None:
    """Write findings as a JSON list, whole or not at all."""
    write_json(path, [finding_as_dict(each) for each in findings])


def read_findings(path: Path) -> list[Finding]:
    """The findings of a file of `write_findings`, or of all in a folder; CapacityError where none can be read."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files or not path.exists():
        raise CapacityError(f"there are no findings in {path}; measure first")
    return [finding for file in files for finding in _read_file(file)]


def _read_file(file: Path) -> list[Finding]:
    try:
        return [finding_from_dict(each) for each in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CapacityError(f"cannot read the findings in {file}: {error}; restore them, or measure again") from None
