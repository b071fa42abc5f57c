"""The four answers of a run as lines of text, as a terminal shows them at its end."""

import math
from collections.abc import Sequence
from datetime import date

from capacity.analysis.planning.answers import Answers, Choice, Held, Outgrown
from capacity.analysis.planning.sizing import QUARTER
from capacity.display.tables import aligned, finding_text, wrapped
from capacity.display.tables_plan import NEVER, OVER, short_name
from capacity.findings import Finding, Judged, Verdict

UNKNOWN = "not known"


def answers_text(answers: Answers) -> list[str]:
    """The four answers, each a line that says it and lines, indented, that say more; what was not measured, why not."""
    rows = answers.held_back
    back = [(str(verdict), each.title, each.promise, _found(found)) for each, found, verdict in rows]
    head = ("", "holds, /s", "recommended, /s", "projected peak, /s", "what broke")
    lines = [
        wrapped(f"{answers.verdict}. {tally_text(answers.judged, answers.expected)}"),
        *_indented(back),
        "",
        "How much load does it hold, and what breaks first?",
        *_indented([head, *map(_held, answers.parts)]),
        "",
        "When do we outgrow it?",
        f"  {wrapped(first_limit_text(answers.outgrown))}",
        "",
        "What should we run instead?",
        f"  {wrapped(cost_text(answers))}",
        *_indented([choice_texts(each) for each in answers.choices]),
    ]
    return [line for said in lines for line in (said.splitlines() or [""])]


def tally_text(judged: Sequence[Judged], expected: Sequence[Judged] = ()) -> str:
    """How many promises and, where there are any, expectations hold, are broken and are undecided."""
    said = _tally(judged, "promises")
    return f"{said}; {_tally(expected, 'expectations')}" if expected else said


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
        return OVER if high == 0 else f"{OVER} (or by {_day(outgrown.latest)})"
    day, earliest, latest = map(_day, (outgrown.day, outgrown.earliest, outgrown.latest))
    return day if low == high else f"{day} ({earliest} to {latest})"


def cost_text(answers: Answers) -> str:
    """What the sizes from the next quarter cost a month, beside what runs today."""
    now = answers.cost_today
    beside = finding_text(now) + (f", {now.note}" if now.value is not None and now.note else "")
    since = f"from {_day(answers.plan.start)}, for {QUARTER} months: " if answers.plan else ""
    return f"{since}{finding_text(answers.cost)}; today: {beside}"


def choice_texts(choice: Choice) -> tuple[str, str, str, str]:
    """A part, what to run for it with its monthly cost, what runs today, and what is to be known of it."""
    today, size = _size(choice.today, choice.today_monthly), _size(choice.size, choice.monthly)
    return choice.title, size, f"today {today}", choice.note


def _size(size: str, monthly: float | None) -> str:
    if not size:
        return UNKNOWN
    return short_name(size) + (", price not known" if monthly is None else f", {monthly:,.0f}")


def _held(part: Held) -> tuple[str, ...]:
    held, projected = (_found(each, unit=False) for each in (part.held, part.projected))
    if part.held.value is None:
        return part.name, held, "–", projected, "–"
    return part.name, held, _found(part.recommended, unit=False), projected, part.broke


def _found(found: Finding | None, *, unit: bool = True) -> str:
    return f"does not count: {found.void}" if found and found.void else finding_text(found, unit=unit)


def _tally(judged: Sequence[Judged], name: str) -> str:
    kept, broken = (sum(given is each for _, _, given in judged) for each in (Verdict.PASS, Verdict.FAIL))
    return f"{kept} of {len(judged)} {name} hold, {broken} broken, {len(judged) - kept - broken} undecided"


def _indented(rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"  {line}" for line in aligned(rows).splitlines()]


def _day(day: date | None) -> str:
    return NEVER if day is None else day.isoformat()
