"""The checklist of readiness: points that are met, or not, by findings; none is ticked by hand."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Discriminator, Field, RootModel, Tag, model_validator

from capacity.display.text import finding_text
from capacity.findings import Finding, Judged, Objective, Verdict, judge, worst
from capacity.objectives import NAME, ObjectiveEntry, asked_for
from capacity.places import CHECKLIST, defaults_folder, in_project
from capacity.run import Run
from capacity.validation.model import Strict
from capacity.yaml_file import read_model

if TYPE_CHECKING:
    import pandas as pd


def _kind_of(need: Any) -> str:
    return "a promise" if isinstance(need, str) else "a limit"


Text = Annotated[str, Field(min_length=1)]
Promise = Annotated[str, Field(pattern=NAME, examples=["redis.*"]), Tag("a promise")]
Need = Annotated[Promise | Annotated[ObjectiveEntry, Tag("a limit")], Discriminator(_kind_of)]


class Point(Strict):
    """A point of the checklist, which is met by findings: it has either `needs` or `outside`.

    A need is a promise by the name of its finding, in which `*` stands for anything, or a finding with a limit of its
    own. A point that is `outside` of what this suite measures is never met.
    """

    section: Text = Field(description="Under which heading it stands.")
    title: Text = Field(description="What is to be so, in words.")
    source: str = Field("", description="Who says so.")
    needs: list[Need] = Field([], description="What has to hold.", examples=[["redis.*"]])
    outside: str = Field("", description="Why no measurement can tell, and what the suite gives instead.")

    @model_validator(mode="after")
    def _rests_on_something(self) -> Self:
        if bool(self.needs) == bool(self.outside):
            raise ValueError("a point has either `needs` or `outside`")
        return self

    @property
    def promises(self) -> list[str]:
        """The names and patterns of the promises that it needs."""
        return [each for each in self.needs if isinstance(each, str)]

    @property
    def limits(self) -> list[Objective]:
        """The limits of its own."""
        return [each.objective for each in self.needs if isinstance(each, ObjectiveEntry)]


class ChecklistFile(RootModel[list[Point]]):
    """When the stack is ready: points that are met by findings, and not by hand."""


def read_checklist(path: Path) -> list[Point]:
    """The points of a YAML file; CapacityError names the entry and what is accepted."""
    return read_model(path, ChecklistFile, "the checklist").root


def points_of(run: Run) -> list[Point]:
    """The points of the run's project.

    Of the package's own list the sizes of a load, what is outside the suite, and what nobody promised are asked of the
    package's loads only.
    """
    path = in_project(CHECKLIST, run.project)
    points = read_checklist(path)
    if run.is_reference or path != defaults_folder() / CHECKLIST:
        return points
    promised = [objective.finding for objective, _, _ in run.judged]
    kept = [[need for need in each.promises if any(fnmatch(name, need) for name in promised)] for each in points]
    return [
        point.model_copy(update={"needs": needs, "source": ""})
        for point, needs in zip(points, kept, strict=True)
        if needs and not point.limits
    ]


def checked(points: Iterable[Point], found: Sequence[Finding], judged: Sequence[Judged]) -> "pd.DataFrame":
    """A row for each point that is asked for: `section`, `title`, `verdict`, `why` and `source`.

    The verdict is the worst of its needs'; a need without a finding, and a point outside the suite, is NO_DATA. Needs
    of what was not measured are left out, and so are points that have no others: see `not_asked_text`.
    """
    import pandas as pd  # takes longer to load than a checklist to read

    by_name = {each.name: each for each in found}
    rows = []
    for point in points:
        asked = _asked(point, found, judged)
        if asked is not None:
            verdict, why = _checked(asked, by_name, judged)
            rows.append((point.section, point.title, verdict, why, point.source))
    return pd.DataFrame(rows, columns=["section", "title", "verdict", "why", "source"])


def not_asked_text(points: Iterable[Point], checklist: "pd.DataFrame") -> str:
    """The points that are not in a checklist, since nothing that they rest on was measured; empty where all are."""
    absent = [each.title for each in points if each.title not in set(checklist["title"])]
    return f"not asked for, since it was not measured: {'; '.join(absent)}" if absent else ""


def _asked(point: Point, found: Sequence[Finding], judged: Sequence[Judged]) -> Point | None:
    """The point with the needs that were measured; None where there is none of them."""
    if point.outside:
        return point
    names = [each.name for each in found] + [objective.finding for objective, _, _ in judged]
    limits = {each.finding for each in asked_for(point.limits, found)}
    needs = [
        each
        for each in point.needs
        if (any(fnmatch(name, each) for name in names) if isinstance(each, str) else each.finding in limits)
    ]
    return point.model_copy(update={"needs": needs}) if needs else None


def _checked(point: Point, by_name: dict[str, Finding], judged: Sequence[Judged]) -> tuple[Verdict, str]:
    if point.outside:
        return Verdict.NO_DATA, point.outside
    needs = [(each, by_name.get(each.finding), judge(by_name.get(each.finding), each)) for each in point.limits]
    for pattern in point.promises:
        matching = [each for each in judged if fnmatch(each[0].finding, pattern)]
        if not matching:
            return Verdict.NO_DATA, f"{pattern} has no promise"
        needs += matching
    verdict = worst(given for _, _, given in needs)
    deciding = [(objective, finding) for objective, finding, given in needs if given is verdict]
    said = "; ".join(f"{each.title or each.finding}: {finding_text(finding)}" for each, finding in deciding[:2])
    further = f"; and {len(deciding) - 2} more" if len(deciding) > 2 else ""
    return verdict, f"{said}{further}"
