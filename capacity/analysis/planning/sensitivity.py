"""What moves the date of the first limit most: one input at a time, from one end of its interval to the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from capacity.analysis.planning.exhaustion import RATE, GrowingResource, Outlook, first_value
from capacity.analysis.statistics.estimates import Estimate, exactly


@dataclass(frozen=True, slots=True)
class Swing:
    """The months until the first limit with one input at either end of its interval, and the others at their value."""

    name: str
    low: float
    high: float
    months_at_low: float
    months_at_high: float

    @property
    def span(self) -> float:
        """By how many months it moves the date; inf where one end puts it off for ever."""
        if self.months_at_low == self.months_at_high:
            return 0.0
        return abs(self.months_at_high - self.months_at_low)


def sensitivity(resources: Sequence[GrowingResource], outlook: Outlook) -> list[Swing]:
    """How the month of the first limit moves with each input that has an interval, the largest swing first."""
    inputs = _inputs([each for each in resources if each.known], outlook)
    swings = [Swing(name, given.low or 0.0, given.high or 0.0, *months) for name, given, months in inputs]
    return sorted((each for each in swings if each.low < each.high), key=lambda swing: -swing.span)


def _inputs(known: list[GrowingResource], outlook: Outlook) -> Iterator[tuple[str, Estimate, list[float]]]:
    """Name and estimate of each input, and the months until the first limit with it at its low and its high end."""
    rates = [replace(outlook, rate=end) for end in _ends(outlook.rate)]
    yield RATE, outlook.rate, [first_value(known, each) for each in rates]
    for name in outlook.loads:
        if any(term.load == name for each in known for term in each.terms):
            load = outlook.loads[name]
            loads = [replace(outlook, loads={**outlook.loads, name: end}) for end in _ends(load)]
            yield f"projected {name}", load, [first_value(known, each) for each in loads]
    for place, each in enumerate(known):
        before, after = known[:place], known[place + 1 :]
        changes = []
        for number, term in enumerate(each.terms):
            first, last = each.terms[:number], each.terms[number + 1 :]
            uses = [replace(each, terms=(*first, replace(term, amount=end), *last)) for end in _ends(term.amount)]
            changes.append((term.name or f"{each.title}, measured", term.amount, uses))
        if each.limit is not None:
            limits = [replace(each, limit=end) for end in _ends(each.limit)]
            changes.append((f"{each.title}, limit", each.limit, limits))
        for name, given, changed in changes:
            yield name, given, [first_value([*before, one, *after], outlook) for one in changed]


def _ends(given: Estimate) -> list[Estimate]:
    return [exactly(end or 0.0, given.count) for end in (given.low, given.high)]
