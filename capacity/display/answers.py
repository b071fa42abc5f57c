"""The four answers of a run as lines of text, as a terminal shows them at its end."""

import math
from collections.abc import Sequence
from dataclasses import replace

from capacity.analysis.limits.search import PRODUCTION_SHARE
from capacity.analysis.planning.answers import HELD_BACK, NO_PLAN, Answers, Held
from capacity.analysis.planning.fits import TITLES, Fit
from capacity.analysis.planning.plan import CapacityPlan, PartPlan, cost_in, cost_now
from capacity.analysis.planning.plan_file import QUARTER
from capacity.display.tables_plan import OVER, date_text, day_name, short_name, step_text
from capacity.display.text import LINE_WIDTH, aligned, finding_text, tally_text, void_lines, wrapped
from capacity.findings import Finding, Objective, Verdict, judge_all, worst

UNKNOWN = "not known"
NO_PART = "no part was measured whose breaking point is searched"
WIDE = 110  # columns from which what broke stands beside the numbers
MANY_DAYS = 60  # from which on months are said
LEAST_SHARE = 0.005  # of the simulations: less would be said as 0%
LOADS = ("holds (to what broke it)", "recommended", "projected peak")
BROKE = "full when it broke"
MOST = 2  # promises that are named beside the figures of a notebook's answer: it is read at a glance


def answers_text(answers: Answers, width: int = LINE_WIDTH) -> list[str]:
    """The four answers in lines of at most `width` columns; what was not measured says why.

    Each is a line that says it, and lines, indented, that say more.
    """
    choices = map(choice_texts, answers.plan.counted if answers.plan else ())
    lines = [
        wrapped(f"{answers.verdict}. {tally_text(answers.judged, answers.expected)}", width, "  "),
        *([wrapped(f"  {outgrown_soon_text(answers)}", width)] if answers.soon else []),
        "",
        "How much load does it hold, and what breaks first?",
        *_parts(answers, width),
        "",
        "When do we outgrow it?",
        wrapped(f"  {first_limit_text(answers)}", width),
        "",
        "What should we run instead?",
        wrapped(f"  {cost_text(answers)}", width),
        *(_indented([("", "instead, a month", "today, a month", ""), *choices], width) if answers.plan else []),
    ]
    return [line for said in lines for line in (said.splitlines() or [""])]


def loads(answers: Answers) -> tuple[str, ...]:
    """The names of the columns of loads: what is projected, only a plan says."""
    return LOADS if answers.plan else LOADS[:2]


def held_text(answers: Answers) -> str:
    """Of what the loads are that a part holds, and of what the limits; empty where none was searched."""
    if not any(part.held.value is not None for part in answers.parts):
        return ""
    limits = " Limits are those of what runs today, by the plan." if answers.plan else ""
    return f"Held by the servers measured; {PRODUCTION_SHARE:.0%} of it is recommended.{limits}"


def _parts(answers: Answers, width: int) -> list[str]:
    """A line a part that was searched, in a narrow place with one for what broke; then why numbers are not given."""
    rows: list[tuple[str, ...]] = [("per second", *loads(answers))]
    broke, why = [BROKE], dict[str, list[str]]()
    for part in answers.parts:
        if reason := _why_not(part.held):
            why.setdefault(reason, []).append(part.name)
            continue
        figures = {"load recommended": part.recommended}
        if answers.plan:
            figures["projected peak"] = part.projected
        for name, reason in ((name, _why_not(each)) for name, each in figures.items()):
            if reason:
                why.setdefault(f"no {name} ({reason})", []).append(part.name)
        texts = ("–" if _why_not(each) else finding_text(each, unit=False) for each in (part.held, *figures.values()))
        rows.append((part.name, *texts))
        broke.append(part.broke)
    if width >= WIDE:
        table = _indented([(*row, each) for row, each in zip(rows, broke, strict=True)], width)
    else:
        head, *lines = _indented(rows, 0)
        table = [head, *(f"{line}\n      broke: {each}" for line, each in zip(lines, broke[1:], strict=True))]
    counted = "; ".join(
        f"{each.name} {each.counts}" for each in answers.parts if each.counts and not _why_not(each.held)
    )
    said = [f"  Counted are: {counted}."] if counted else []
    said += [f"  {held_text(answers)}"] if len(rows) > 1 else []
    said += [f"  {', '.join(names)}: {reason}" for reason, names in why.items()]
    said += [] if answers.parts else [f"  {NO_PART}"]
    return [*(table if len(rows) > 1 else []), *(wrapped(line, width) for line in said)]


def _why_not(found: Finding) -> str:
    """Why a finding gives no number that counts; empty where it does."""
    return f"does not count: {found.void}" if found.void else (found.note or "not given") if found.value is None else ""


def part_answer_text(findings: Sequence[Finding], objectives: Sequence[Objective], *figures: str) -> str:
    """What one notebook answers: its verdict, its `figures` with what is promised of them, and what holds it back.

    A figure is the name of a finding without its section; where none is named, it is every promise.
    """
    judged = judge_all(findings, objectives)
    promises = {objective.finding: (objective, verdict) for objective, _, verdict in judged}
    by_name = {each.name.partition(".")[2]: each for each in findings}
    rows = [_figure(by_name[name], promises.get(by_name[name].name)) for name in figures if name in by_name]
    rows = rows or [
        (each.title, _found(found, verdict, each.limit), str(verdict), each.promise) for each, found, verdict in judged
    ]
    said = {row[0] for row in rows}
    unsaid = [row for verdict in HELD_BACK for row in judged if row[2] is verdict and row[0].title not in said]
    also = [
        f"{verdict}: {each.title} {each.promise}, found {_found(found, verdict, each.limit)}"
        for each, found, verdict in unsaid[:MOST]
    ]
    more = [f"and {len(unsaid) - MOST} more, see the verdicts below"] if len(unsaid) > MOST else []
    overall = worst(verdict for _, _, verdict in judged)
    lines = [f"{overall}: {tally_text(judged)}", aligned(rows), *map(wrapped, also), *more]
    return "\n".join([*lines, *map(wrapped, void_lines(judged))])


def _found(found: Finding | None, verdict: Verdict | None, limit: float | None = None) -> str:
    """What was found; that it does not count, where it is void and nothing else was concluded from it."""
    void = found is not None and found.void is not None and verdict in (None, Verdict.VOID)
    return f"{finding_text(found, limit=limit)}{', which does not count' if void else ''}"


def _figure(finding: Finding, promise: tuple[Objective, Verdict] | None) -> tuple[str, str, str, str]:
    if promise is None:
        return finding.title, _found(finding, None), "", ""
    objective, verdict = promise
    return objective.title, _found(finding, verdict, objective.limit), str(verdict), objective.promise


def first_limit_text(answers: Answers) -> str:
    """The date of the first limit with its interval, and which it is; why it is not known; that it does not count."""
    first, plan = answers.first_limit, answers.plan
    if plan is None or first.value is None:
        return f"{UNKNOWN}: {answers.why_no_plan or first.note or 'not measured'}"
    if first.void:
        return f"does not count, since it comes from a measurement that is void: {first.void}"
    return f"{date_text(plan, plan.first)}{after_text(plan)}: {_which(plan)}"


def outgrown_soon_text(answers: Answers) -> str:
    """That what runs today is outgrown within the next quarter, and what is; for answers where it is so."""
    plan = answers.plan
    if plan is None or not any(plan.binds.values()):
        return ""
    when = after_text(plan).removeprefix(", ") or "already"
    return f"What runs today is outgrown {when}: {limited_text(plan, next(iter(plan.binds)))}"


def after_text(plan: CapacityPlan) -> str:
    """How long after the measurement the first limit comes, after a comma; empty where it is past or never comes."""
    day = plan.day(plan.first.value)
    days = (day - plan.run.day).days if day else 0
    if not days:
        return ""
    span = f"{days} day{'s' if days > 1 else ''}" if days < MANY_DAYS else f"{plan.first.value:.0f} months"
    return f", {span} after the measurement"


def limited_text(plan: CapacityPlan, resource: str) -> str:
    """A resource's title, with the size that runs now where that is its limit, as `Database CPU of t3.medium`."""
    return plan.title_of(resource) + _of_size(plan, resource)


def _of_size(plan: CapacityPlan, resource: str) -> str:
    size = plan.size_behind(resource)
    return f" of {short_name(size)}" if size else ""


def _which(plan: CapacityPlan) -> str:
    """The two resources that are most often the first limit, with how often."""
    ranked = [(limited_text(plan, name), share) for name, share in plan.binds.items() if share >= LEAST_SHARE][:2]
    said = [f"{title} ({share:.0%})" for title, share in ranked]
    return ", or ".join([f"{ranked[0][0]} (in {ranked[0][1]:.0%} of the simulations)", *said[1:]]) if said else ""


def outgrown_texts(answers: Answers) -> tuple[str, str, str]:
    """The first limit in three: its day, between which days, and which it is by what growth; how soon is said once."""
    first, plan = answers.first_limit, answers.plan
    if plan is None or first.value is None or first.void:
        return UNKNOWN, "", first_limit_text(answers).removeprefix(f"{UNKNOWN}: ")
    day, _, rest = date_text(plan, plan.first).partition(" (")
    growth = plan.file.growth
    at = f"at {growth.value:.0%} growth a month ({growth.low:.0%} to {growth.high:.0%})"
    between = f"({rest}" if rest else ""
    return day, between if answers.soon else between + after_text(plan), f"{_which(plan)}, {at}"


def limit_texts(part: Held, plan: CapacityPlan | None) -> tuple[str, str, str]:
    """The first limit of a part, its day in words, and the name of its finding; empty where none is known."""
    first = next((each for each in part.limits if not each.at_least), None)
    if first is None or plan is None:
        return "", UNKNOWN, ""
    over, day = first.months.value == 0, plan.day(first.months.value)
    name = f"plan.{first.resource}.months_to_limit"
    said = short_title(plan, first.resource, part.name) + _of_size(plan, first.resource)
    return said, OVER if over else day_name(day), name


def short_title(plan: CapacityPlan, resource: str, part: str) -> str:
    """A resource's title without the part's name before it, as `CPU` for `Database CPU`."""
    title = plan.title_of(resource)
    return title.removeprefix(part.capitalize()).removeprefix("'s").strip() or title


def cost_text(answers: Answers) -> str:
    """What the sizes from the next quarter cost a month, beside what runs today."""
    if answers.plan is None:
        return f"{UNKNOWN}: {NO_PLAN}"
    since = f"from {day_name(answers.plan.run.day)}, for {QUARTER} months: "
    said = (f"{since}{money_text(answers.cost)}", f"today: {money_text(answers.cost_today)}", cost_note(answers))
    return "; ".join(filter(None, said))


def money_text(cost: Finding, *, unit: bool = True) -> str:
    """A cost a month in whole units of money, as the sizes beside it; `at least` where not all of it is known."""
    if cost.value is not None and cost.high == math.inf:
        return f"at least {cost.value:,.0f}{f' {cost.unit}' if unit else ''}"
    return finding_text(cost if cost.value is None else replace(cost, value=float(round(cost.value))), unit=unit)


def cost_note(answers: Answers) -> str:
    """What is missing in the two costs, what the parts cost of which both are known, and what is not planned."""
    plan, both = answers.plan, answers.like_for_like
    new, now = (cost_in(plan, 0).without, cost_now(plan).without) if plan else ("", "")
    same = f"the parts of which both are known cost {both[0]:,.0f} instead of {both[1]:,.0f}" if both else ""
    absent = f"not measured, and so not planned: {', '.join(plan.not_measured)}" if plan and plan.not_measured else ""
    return "; ".join(filter(None, (new and f"that is {new}", now and f"today is {now}", same, absent)))


def choice_texts(part: PartPlan) -> tuple[str, str, str, str]:
    """A part, what to run for it with its monthly cost, what runs today, and what is to be known of it."""
    problems = part.steps[0].problems[:1] if part.steps[0].fit is None else ()
    unjudged = f"at least this size: {', '.join(TITLES[name] for name in part.missing)} not judged"
    reasons = [unjudged if part.at_least else part.note, *(f"{each.seen}; {each.remedy}" for each in problems)]
    return part.entry.title, step_text(part, 0), _size(part.current), "; ".join(filter(None, reasons))


def _size(fit: Fit | None) -> str:
    cost = None if fit is None else fit.size.monthly
    return f"{short_name(fit.size.title)}, {'price not known' if cost is None else f'{cost:,.0f}'}" if fit else UNKNOWN


def _indented(rows: Sequence[tuple[str, ...]], width: int) -> list[str]:
    return [f"  {line}" for line in aligned(rows, max(0, width - 2)).splitlines()]
