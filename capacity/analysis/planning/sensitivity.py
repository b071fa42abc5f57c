"""What moves the date of the first limit most: one input at a time, from one end of its interval to the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from capacity.analysis.planning.exhaustion import RATE, GrowingResource, Outlook, month_value
from capacity.analysis.planning.growth import Known
from capacity.analysis.statistics.estimates import Estimate

Case = tuple[Sequence[GrowingResource], Outlook]


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
    known = [each for each in resources if each.known]
    swings = [
        Swing(name, low, high, _first_value(*at_low), _first_value(*at_high))
        for name, low, high, at_low, at_high in _variations(known, outlook)
    ]
    return sorted(swings, key=lambda swing: -swing.span)


def _variations(known: Sequence[GrowingResource], outlook: Outlook) -> Iterator[tuple[str, float, float, Case, Case]]:
    """Name, low and high end of each input, and resources and outlook with it at either."""
    rate = outlook.rate
    if _wide(rate):
        low, high = _ends(rate)
        yield RATE, low, high, (known, replace(outlook, rate=low)), (known, replace(outlook, rate=high))
    used = {term.load for each in known for term in each.terms}
    for name, load in outlook.loads.items():
        if name in used and _wide(load):
            low, high = _ends(load)
            at_low, at_high = (replace(outlook, loads={**outlook.loads, name: end}) for end in (low, high))
            yield f"projected {name}", low, high, (known, at_low), (known, at_high)
    for place, each in enumerate(known):
        for number, term in enumerate(each.terms):
            if _wide(term.amount):
                low, high = _ends(term.amount)
                ends = []
                for end in (low, high):
                    terms = [*each.terms]
                    terms[number] = replace(term, amount=Estimate(end, end, end, term.amount.count))
                    ends.append(([*known[:place], replace(each, terms=tuple(terms)), *known[place + 1 :]], outlook))
                yield term.name or f"{each.title}, measured", low, high, ends[0], ends[1]
        if each.limit is not None and _wide(each.limit):
            low, high = _ends(each.limit)
            ends = [
                ([*known[:place], replace(each, limit=Estimate(end, end, end, 0)), *known[place + 1 :]], outlook)
                for end in (low, high)
            ]
            yield f"{each.title}, limit", low, high, ends[0], ends[1]


def _first_value(resources: Sequence[GrowingResource], outlook: Outlook) -> float:
    return min(month_value(each, outlook) for each in resources)


def _ends(given: Known) -> tuple[float, float]:
    if not isinstance(given, Estimate):
        return given, given
    return given.low or 0.0, given.high or 0.0


def _wide(given: Known) -> bool:
    low, high = _ends(given)
    return low < high
