"""The four answers of a run: whether it is ready, how much it holds, when it is outgrown, and what to run instead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor, fsum

from capacity.analysis.limits.search import Conclusion
from capacity.analysis.limits.search_result import SECTION, SearchResult
from capacity.analysis.planning.exhaustion import Event
from capacity.analysis.planning.findings import plan_findings
from capacity.analysis.planning.plan import CapacityPlan
from capacity.analysis.planning.plan_file import QUARTER
from capacity.findings import Finding, Judged, Verdict

NOT_SEARCHED = "not measured: this run has no search of it"
NOT_PROJECTED = "in another unit"
NOT_PLANNED = "no plan names it"
NO_PLAN = "there is no plan"
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
class Answers:
    """All four, with the verdicts that the first comes from and the plan that the last two do.

    `first_limit` is in months of growth. `plan` is None where none can be made; `why_no_plan` then says why.
    """

    judged: Sequence[Judged]
    expected: Sequence[Judged]
    parts: Sequence[Held]
    first_limit: Finding
    cost: Finding
    cost_today: Finding
    plan: CapacityPlan | None
    why_no_plan: str

    @property
    def plans(self) -> list[CapacityPlan]:
        """The plan, or none."""
        return [self.plan] if self.plan else []

    @property
    def verdict(self) -> str:
        """Ready, Not ready or Undecided."""
        return readiness(self.judged, self.expected)

    @property
    def soon(self) -> bool:
        """Whether what runs today is outgrown before the sizes of the next quarter are."""
        months = self.first_limit
        return months.value is not None and months.void is None and months.value < QUARTER

    @property
    def like_for_like(self) -> tuple[float, float] | None:
        """The monthly costs instead and today of the parts of which both are known; None where all are, or none."""
        parts = self.plan.counted if self.plan else []
        sizes = [(part.steps[0].fit, part.current) for part in parts]
        both = [(new.size, now.size) for new, now in sizes if new and now and new.size.monthly and now.size.monthly]
        currencies = {each.currency for pair in both for each in pair}
        if len(both) in (0, len(parts)) or len(currencies) > 1:
            return None
        return fsum(new.monthly or 0.0 for new, _ in both), fsum(now.monthly or 0.0 for _, now in both)

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
    planned, why = (plan, "") if isinstance(plan, CapacityPlan) else (None, plan)
    by_name = {each.name: each for each in [*found, *(plan_findings(planned) if planned else [])]}
    parts = [_held(name, each, planned, by_name) for name, each in searched.items()]
    unknown = why and NO_PLAN
    unknown_now = unknown or "no size of what runs now is known; name it in data/plan.yaml as `current`"
    return Answers(
        judged,
        expected,
        [replace(each, counts=(counts or {}).get(each.name, "")) for each in parts],
        _given(by_name, "plan.first_limit", why),
        _given(by_name, "plan.cost_first_quarter", unknown),
        _given(by_name, "plan.cost_now", unknown_now),
        planned,
        why,
    )


def _given(by_name: Mapping[str, Finding], name: str, why_not: str) -> Finding:
    """A finding by its name, or one without a value that says why."""
    return by_name.get(name) or Finding(name, None, note=why_not)


def _held(name: str, searched: SearchResult | str, plan: CapacityPlan | None, by_name: Mapping[str, Finding]) -> Held:
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
        _given(by_name, held, NOT_SEARCHED),
        _whole(_given(by_name, recommended, NOT_SEARCHED)),
        _given(by_name, projected, NO_PLAN if plan is None else NOT_PROJECTED if mine else NOT_PLANNED),
        *((searched, "") if isinstance(searched, str) else _broke(searched)),
        tuple(limits),
    )


def _whole(found: Finding) -> Finding:
    """A load recommended in whole operations, rounded down: it is not known more exactly than what was held."""
    return replace(found, value=floor(found.value)) if found.value is not None and found.value >= 1 else found


def _broke(found: SearchResult) -> tuple[str, str]:
    answer = found.answer
    if answer.conclusion is not Conclusion.FOUND or not answer.complete:
        return found.note or str(answer.conclusion), answer.broke
    first = found.ranked.iloc[:1]
    return str(first["resource"].iloc[0]) if first["saturated"].any() else NOT_FULL, answer.broke
