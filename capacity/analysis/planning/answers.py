"""The four answers of a run: whether it is ready, how much it holds, when it is outgrown, and what to run instead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import floor, fsum

from capacity.analysis.limits.search import NOTES, Conclusion
from capacity.analysis.limits.search_result import SECTION, SearchResult
from capacity.analysis.planning.exhaustion import Event
from capacity.analysis.planning.findings import plan_findings
from capacity.analysis.planning.plan import CapacityPlan, PartPlan
from capacity.analysis.planning.plan_file import QUARTER
from capacity.findings import Finding, Judged, Verdict

NOT_SEARCHED = "not measured: this run has no search of it"
NONE_HOLDS = "no size of known price is known to hold it"
NOT_PROJECTED = "in another unit"
NOT_FULL = "nothing that was watched"
HELD_BACK = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.VOID, Verdict.NO_DATA)  # the worst to know first


@dataclass(frozen=True, slots=True)
class Held:
    """How much load one part holds: `held` goes from what held to what broke.

    `broke` is the resource that was used up there, or why none is named, and `seen_as` the promise that it broke first.
    `projected` is the load at the projected peak, in the same unit. A finding without a value says in its note why it
    is not given. `limits` are those of the plan's resources of this part, the one that is reached first before others;
    the last are those that are only known from below. `counts` is what the loads count, as transactions.
    """

    name: str
    held: Finding
    recommended: Finding
    projected: Finding
    broke: str
    seen_as: str
    limits: tuple[Event, ...]
    counts: str = ""


@dataclass(frozen=True, slots=True)
class Outgrown:
    """The first limit: after how many months of growth, between which dates, and how often it is which resource.

    A date is None where it never comes or is not known; `shares` are 0–1 by the resource's name, the largest first.
    """

    months: Finding
    day: date | None
    earliest: date | None
    latest: date | None
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Choice:
    """What to run for one part, and what runs today; a size is empty and its monthly cost None where not known.

    `note` says why there is no size, or what of its use was not measured and so not judged.
    """

    title: str
    today: str
    today_monthly: float | None
    size: str
    monthly: float | None
    note: str


@dataclass(frozen=True, slots=True)
class Answers:
    """All four, with the verdicts that the first comes from and the plan that the last two do.

    `plan` is None where none can be made; `why_no_plan` then says why.
    """

    judged: Sequence[Judged]
    expected: Sequence[Judged]
    parts: Sequence[Held]
    outgrown: Outgrown
    choices: Sequence[Choice]
    cost: Finding
    cost_today: Finding
    plan: CapacityPlan | None
    why_no_plan: str

    @property
    def verdict(self) -> str:
        """Ready, Not ready or Undecided."""
        return readiness(self.judged, self.expected)

    @property
    def soon(self) -> bool:
        """Whether what runs today is outgrown before the sizes of the next quarter are."""
        months = self.outgrown.months
        return months.value is not None and months.void is None and months.value < QUARTER

    @property
    def like_for_like(self) -> tuple[float, float] | None:
        """The monthly costs instead and today of the parts of which both are known; None where all are, or none."""
        both = [(each.monthly, each.today_monthly) for each in self.choices if each.monthly and each.today_monthly]
        return (
            (fsum(new for new, _ in both), fsum(now for _, now in both)) if 0 < len(both) < len(self.choices) else None
        )

    @property
    def held_back(self) -> list[Judged]:
        """What is broken or undecided, the worst first; promises before what was expected of faults."""
        rows = [*self.judged, *self.expected]
        return [row for verdict in HELD_BACK for row in rows if row[2] is verdict]


def readiness(judged: Sequence[Judged], expected: Sequence[Judged] = ()) -> str:
    """Ready where every promise and expectation holds, Not ready where one is broken, Undecided between.

    `expected` is what was derived before faults were applied: a promise of nobody, but a wrong one is not ready either.
    """
    verdicts = {verdict for _, _, verdict in (*judged, *expected)}
    if Verdict.FAIL in verdicts:
        return "Not ready"
    return "Ready" if judged and verdicts == {Verdict.PASS} else "Undecided"


def answers_of(
    judged: Sequence[Judged],
    expected: Sequence[Judged],
    found: Sequence[Finding],
    searched: Mapping[str, SearchResult | str],
    plan: CapacityPlan | str,
    *,
    counts: Mapping[str, str] | None = None,
) -> Answers:
    """The answers from what was judged and `found`, the search of each part by its name, and the plan.

    `counts` is what the loads of a part count. A text in the place of a search or of the plan says why it is not there.
    """
    by_name = {each.name: each for each in found}
    planned = plan if isinstance(plan, CapacityPlan) else None
    why = plan if isinstance(plan, str) else ""
    if planned is not None:
        by_name |= {each.name: each for each in plan_findings(planned)}

    def given(name: str, why_not: str) -> Finding:
        return by_name.get(name) or Finding(name, None, note=why_not)

    return Answers(
        judged,
        expected,
        [
            replace(_held(name, each, planned, by_name, why), counts=(counts or {}).get(name, ""))
            for name, each in searched.items()
        ],
        _outgrown(given("plan.first_limit", why), planned),
        [_choice(each) for each in planned.counted] if planned else [],
        given("plan.cost_first_quarter", why),
        given("plan.cost_now", why or "no size of what runs now is known; name it in data/plan.yaml as `current`"),
        planned,
        why,
    )


def _held(
    name: str, searched: SearchResult | str, plan: CapacityPlan | None, by_name: Mapping[str, Finding], why_no_plan: str
) -> Held:
    held, recommended = (f"{SECTION}.{name}.{figure}" for figure in ("highest_sustainable", "recommended"))
    entries = plan.file.resources if plan else []
    mine = {each.name for each in entries if each.of == name}
    limits = sorted(
        (each for each in (plan.events if plan else ()) if each.limit and each.resource in mine),
        key=lambda each: (each.at_least, each.months.value),
    )
    projected = next((f"plan.{each.name}.use" for each in entries if each.limit.finding == held), "")
    return Held(
        name,
        by_name.get(held) or Finding(held, None, note=NOT_SEARCHED),
        _whole(by_name.get(recommended) or Finding(recommended, None, note=NOT_SEARCHED)),
        by_name.get(projected) or Finding(projected, None, note=why_no_plan or NOT_PROJECTED),
        *((searched, "") if isinstance(searched, str) else _broke(searched)),
        tuple(limits),
    )


def _whole(found: Finding) -> Finding:
    """A load recommended in whole operations, rounded down: it is not known more exactly than what was held."""
    return replace(found, value=floor(found.value)) if found.value is not None and found.value >= 1 else found


def _broke(found: SearchResult) -> tuple[str, str]:
    answer = found.answer
    if answer.conclusion is not Conclusion.FOUND:
        return NOTES.get(answer.conclusion, str(answer.conclusion)), answer.broke
    first = found.ranked.iloc[:1]
    return str(first["resource"].iloc[0]) if first["saturated"].any() else NOT_FULL, answer.broke


def _outgrown(months: Finding, plan: CapacityPlan | None) -> Outgrown:
    if plan is None:
        return Outgrown(months, None, None, None, {})
    first = plan.first
    most_first = dict(
        sorted(((name, share) for name, share in plan.binds.items() if share > 0), key=lambda pair: -pair[1])
    )
    return Outgrown(months, plan.day(first.value), plan.day(first.low), plan.day(first.high), most_first)


def _choice(part: PartPlan) -> Choice:
    now, step = part.current, part.steps[0]
    return Choice(
        part.part.title,
        now.size.size if now else "",
        now.size.monthly if now else None,
        step.fit.size.size if step.fit else "",
        step.monthly,
        part.note or ("" if step.fit else NONE_HOLDS),
    )
