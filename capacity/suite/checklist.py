"""The checklist of readiness: points that are met, or not, by findings; none is ticked by hand."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Discriminator, Field, RootModel, Tag, model_validator

from capacity.display.text import finding_text
from capacity.findings import Finding, Judged, Objective, Verdict, judge, worst
from capacity.objectives import NAME, ObjectiveEntry
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


def checked(points: Iterable[Point], found: Iterable[Finding], judged: Sequence[Judged]) -> "pd.DataFrame":
    """A row for each point: `section`, `title`, `verdict`, `why` and `source`.

    The verdict is the worst of its needs'; a need without a finding, and a point outside the suite, is NO_DATA.
    """
    import pandas as pd  # takes longer to load than a checklist to read

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
