"""The four answers of a run as lines of text, as a terminal shows them at its end."""

import math
from collections.abc import Sequence

from capacity.analysis.planning.answers import HELD_BACK, Answers, Choice, Held, Outgrown
from capacity.analysis.planning.plan import CapacityPlan
from capacity.analysis.planning.sizing import QUARTER
from capacity.display.tables import LINE_WIDTH, aligned, finding_text, tally_text, wrapped
from capacity.display.tables_plan import NEVER, OVER, day_name, short_name
from capacity.findings import Finding, Objective, Verdict, judge_all, worst

UNKNOWN = "not known"
WIDE = 100  # columns from which what broke stands beside the numbers
MOST = 2  # promises that are named beside the figures of a notebook's answer: it is read at a glance


def answers_text(answers: Answers, width: int = LINE_WIDTH) -> list[str]:
    """The four answers in lines of at most `width` columns; what was not measured says why.

    Each is a line that says it, and lines, indented, that say more.
    """
    choices = [("", "instead, a month", "today, a month", ""), *map(choice_texts, answers.choices)]
    lines = [
        wrapped(f"{answers.verdict}. {tally_text(answers.judged, answers.expected)}", width, "  "),
        "",
        "How much load does it hold, and what breaks first?",
        *_parts(answers.parts, width),
        "",
        "When do we outgrow it?",
        wrapped(f"  {first_limit_text(answers.outgrown)}", width),
        "",
        "What should we run instead?",
        wrapped(f"  {cost_text(answers)}", width),
        *_indented(choices if answers.choices else [], width),
    ]
    return [line for said in lines for line in (said.splitlines() or [""])]


def _parts(parts: Sequence[Held], width: int) -> list[str]:
    """A line a part that was searched, in a narrow place with one for what broke; then why numbers are not given."""
    rows: list[tuple[str, ...]] = [("per second", "holds", "recommended", "projected peak")]
    broke, why = ["what broke"], dict[str, list[str]]()
    for part in parts:
        if reason := _why_not(part.held):
            why.setdefault(reason, []).append(part.name)
            continue
        figures = {"load recommended": part.recommended, "projected peak": part.projected}
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
    said = [f"  {', '.join(names)}: {reason}" for reason, names in why.items()]
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
    rows = rows or [(each.title, _found(found), str(verdict), each.promise) for each, found, verdict in judged]
    said = {row[0] for row in rows}
    unsaid = [row for verdict in HELD_BACK for row in judged if row[2] is verdict and row[0].title not in said]
    also = [f"{verdict}: {each.title} {each.promise}, found {_found(found)}" for each, found, verdict in unsaid[:MOST]]
    more = [f"and {len(unsaid) - MOST} more, see the verdicts below"] if len(unsaid) > MOST else []
    overall = worst(verdict for _, _, verdict in judged)
    return "\n".join([f"{overall}: {tally_text(judged)}", aligned(rows), *map(wrapped, also), *more])


def _found(found: Finding | None) -> str:
    return f"does not count: {found.void}" if found and found.void else finding_text(found)


def _figure(finding: Finding, promise: tuple[Objective, Verdict] | None) -> tuple[str, str, str, str]:
    if promise is None:
        return finding.title, _found(finding), "", ""
    objective, verdict = promise
    return objective.title, _found(finding), str(verdict), objective.promise


def first_limit_text(outgrown: Outgrown) -> str:
    """The date of the first limit with its interval, and which it is; why it is not known; that it does not count."""
    months = outgrown.months
    if months.value is None:
        return f"{UNKNOWN}: {months.note or 'not measured'}"
    which = next((f"{title}, first in {share:.0%} of the draws" for title, share in outgrown.shares.items()), "")
    if months.void:
        return f"does not count, since it comes from a measurement that is void: {months.void}"
    return ": ".join(filter(None, (day_text(outgrown), which)))


def day_text(outgrown: Outgrown) -> str:
    """The date of the first limit with its interval, in words where it is past or never comes."""
    value, low, high = outgrown.months.value or 0.0, outgrown.months.low or 0.0, outgrown.months.high or 0.0
    if math.isinf(value):
        return NEVER
    if value == 0:
        return OVER if high == 0 else f"{OVER} (or by {day_name(outgrown.latest)})"
    day, earliest, latest = map(day_name, (outgrown.day, outgrown.earliest, outgrown.latest))
    return day if low == high else f"{day} ({earliest} to {latest})"


def outgrown_texts(answers: Answers) -> tuple[str, str, str]:
    """The first limit in three: its day, between which days it lies, and which it is by what growth."""
    first, plan = answers.outgrown, answers.plan
    if plan is None or first.months.value is None or first.months.void:
        return UNKNOWN, "", first_limit_text(first)
    day, _, rest = day_text(first).partition(" (")
    which = ", or ".join(f"{title} ({share:.0%} of the draws)" for title, share in list(first.shares.items())[:2])
    growth = plan.file.growth
    at = f"at {growth.value:.0%} growth a month ({growth.low:.0%} to {growth.high:.0%})"
    return day, f"({rest}" if rest else "", f"{which}, {at}"


def limit_texts(part: Held, plan: CapacityPlan | None) -> tuple[str, str, str]:
    """The first limit of a part, its day in words, and the name of its finding; empty where none is known."""
    first = next((each for each in part.limits if not each.at_least), None)
    if first is None or plan is None:
        return "", UNKNOWN, ""
    over, day = first.months.value == 0, plan.day(first.months.value)
    name = f"plan.{first.resource}.months_to_limit"
    return short_title(plan, first.resource, part.name), OVER if over else day_name(day), name


def short_title(plan: CapacityPlan, resource: str, part: str) -> str:
    """A resource's title without the part's name before it, as `CPU` for `Database CPU`."""
    title = plan.title_of(resource)
    return title.removeprefix(part.capitalize()).removeprefix("'s").strip() or title


def cost_text(answers: Answers) -> str:
    """What the sizes from the next quarter cost a month, beside what runs today."""
    now = answers.cost_today
    beside = finding_text(now) + (f", {now.note}" if now.value is not None and now.note else "")
    since = f"from {day_name(answers.plan.start)}, for {QUARTER} months: " if answers.plan else ""
    return f"{since}{finding_text(answers.cost)}; today: {beside}"


def choice_texts(choice: Choice) -> tuple[str, str, str, str]:
    """A part, what to run for it with its monthly cost, what runs today, and what is to be known of it."""
    today, size = _size(choice.today, choice.today_monthly), _size(choice.size, choice.monthly)
    return choice.title, size, today, choice.note


def _size(size: str, monthly: float | None) -> str:
    if not size:
        return UNKNOWN
    return short_name(size) + (", price not known" if monthly is None else f", {monthly:,.0f}")


def _indented(rows: Sequence[tuple[str, ...]], width: int) -> list[str]:
    return [f"  {line}" for line in aligned(rows, max(0, width - 2)).splitlines()]
