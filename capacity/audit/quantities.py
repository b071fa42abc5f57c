"""Quantities as a document states them: a number within its rounding, a bound, a range or a date, in a unit.

Arithmetic is interval arithmetic (Moore, Interval Analysis, 1966), so what is derived from rounded numbers knows how
far their rounding could have moved it.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import reduce

from capacity.units import DATE, Unit, combined, read_unit

NUMBER = r"\d[\d_]*(?:\.\d+)?"
STATED = re.compile(rf"^(<=|>=|<|>|~)?\s*({NUMBER})(?:\.\.({NUMBER}))?\s*([A-Za-z%]*(?:/[A-Za-z]+)*)$")
STRICT = 1e-8  # the share by which < and > stay off their bound: more than binary fractions are apart, less than digits
SIGNS = (("<=", "≤"), (">=", "≥"), ("..", " to "), ("_", ","))
ACCEPTED = "a number with a unit as '45 ms', '< 10 ms', '~500 jobs/s', '80..85 %', or a date"


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a statement allows: from `low` to `high` in base units, and `value`, which bounds and ranges do not have.

    `text` is how it was written; what was computed has none.
    """

    low: float
    high: float
    value: float | None
    unit: Unit
    text: str = ""

    def __add__(self, other: "Quantity") -> "Quantity":
        check_alike([self, other])
        value = None if self.value is None or other.value is None else self.value + other.value
        return Quantity(self.low + other.low, self.high + other.high, value, self.unit)

    def __sub__(self, other: "Quantity") -> "Quantity":
        check_alike([self, other])
        value = None if self.value is None or other.value is None else self.value - other.value
        unit = read_unit("h") if self.unit == other.unit == DATE else self.unit
        return Quantity(self.low - other.high, self.high - other.low, value, unit)

    def __mul__(self, other: "Quantity") -> "Quantity":
        value = None if self.value is None or other.value is None else self.value * other.value
        ends = [_times(one, two) for one in (self.low, self.high) for two in (other.low, other.high)]
        return Quantity(min(ends), max(ends), value, combined(self.unit, other.unit, 1))

    def __truediv__(self, other: "Quantity") -> "Quantity":
        value = self.value / other.value if self.value is not None and other.value else None
        unit = combined(self.unit, other.unit, -1)
        if other.low > 0:
            ends = [_over(one, two) for one in (self.low, self.high) for two in (other.low, other.high)]
            return Quantity(min(ends), max(ends), value, unit)
        bounded = other.low == 0 < other.high and self.low >= 0
        return Quantity(_over(self.low, other.high) if bounded else -math.inf, math.inf, value, unit)


def read_quantity(given: object, *, exact: bool = False) -> Quantity:
    """The quantity that a text, whole number, date or time states; ValueError says what is accepted.

    A whole number of things is a count and exact, everything else is rounded to its last written digit; `~` is rounded
    to its last digit that is not 0. Ends of a range and bounds are exact; `<` bounds what cannot be negative. A date is
    any time of its day, in UTC. With `exact` a number is not rounded, unless by `~`.
    """
    if isinstance(given, date):
        return _moment(given)
    readable = isinstance(given, str | int) and not isinstance(given, bool)
    matched = STATED.match(str(given)) if readable else None
    if matched is None:
        raise ValueError(f"{given!r} is not a quantity; accepted is {ACCEPTED}")
    relation, first, last, word = matched.groups()
    unit, text = read_unit(word), reduce(lambda said, sign: said.replace(*sign), SIGNS, str(given).strip())
    number = float(first) * unit.factor
    if last is not None:
        if relation or float(last) <= float(first):
            raise ValueError(f"{given!r} is not a range; write the smaller end first and no sign, as '80..85 %'")
        return Quantity(number, float(last) * unit.factor, None, unit, text)
    if relation in ("<", "<="):
        return Quantity(0.0, number * (1 - STRICT if relation == "<" else 1), None, unit, text)
    if relation in (">", ">="):
        return Quantity(number * (1 + STRICT if relation == ">" else 1), math.inf, None, unit, text)
    known = (exact or (unit.counts and "." not in first)) and not relation
    half = 0.0 if known else unit.factor * _half_digit(first, rough=bool(relation))
    return Quantity(number - half, number + half, number, unit, text)


def extreme(choose: Callable[[Iterable[float]], float], quantities: Sequence[Quantity]) -> Quantity:
    """The largest or the smallest of them, as max or min choose, whichever it is."""
    check_alike(quantities)
    values = [each.value for each in quantities if each.value is not None]
    value = choose(values) if len(values) == len(quantities) else None
    low, high = choose([each.low for each in quantities]), choose([each.high for each in quantities])
    return Quantity(low, high, value, quantities[0].unit)


def mean(quantities: Sequence[Quantity], weights: Sequence[Quantity]) -> Quantity:
    """Their mean with `weights`, which need not add up to one; its ends are the extremes over all rounded weights."""
    check_alike(quantities)
    check_alike(weights)
    if len(quantities) != len(weights):
        raise ValueError(f"a mean of {len(quantities)} values needs as many weights and got {len(weights)}")
    if endless := [each for each in weights if math.isinf(each.high)]:
        raise ValueError(f"a mean needs weights with an upper end and got {quantity_text(endless[0])}")
    high = _extreme_mean([q.high for q in quantities], weights)
    low = -_extreme_mean([-q.low for q in quantities], weights)
    known = [(q.value, w.value) for q, w in zip(quantities, weights, strict=True) if q.value is not None and w.value]
    total = math.fsum(w for _, w in known)
    weighed = [w for w in weights if w.value != 0]
    value = math.fsum(q * w for q, w in known) / total if known and len(known) == len(weighed) else None
    return Quantity(low, high, value, quantities[0].unit)


def check_alike(quantities: Sequence[Quantity]) -> None:
    """Raises ValueError unless all can be compared: all are times, or shares, or numbers of the same things."""
    for other in quantities[1:]:
        if quantities[0].unit.powers != other.unit.powers:
            one, two = quantity_text(quantities[0]), quantity_text(other)
            raise ValueError(f"{one} and {two} are not of the same kind; check the units")


def quantity_text(quantity: Quantity, unit: Unit | None = None) -> str:
    """As it was written, or the computed value in `unit` (where that fits), or its two ends where it has no value."""
    if quantity.text:
        return quantity.text
    shown = unit if unit is not None and unit.powers == quantity.unit.powers else quantity.unit
    numbers = [quantity.low, quantity.high] if quantity.value is None else [quantity.value]
    if shown == DATE:
        return " to ".join(_time_text(each) for each in numbers)
    name = f" {shown.text}" if shown.text else ""
    return " to ".join(dict.fromkeys(_number(each / shown.factor) for each in numbers)) + name


def ends_text(quantity: Quantity, unit: Unit | None = None) -> str:
    """The two ends, as `1.235 to 1.345 GB`."""
    return quantity_text(Quantity(quantity.low, quantity.high, None, quantity.unit), unit)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value or 0.0:.4g}"  # a zero without its sign


def _half_digit(number: str, rough: bool) -> float:
    """Half of the place of the last written digit; of a rough number, of the last one that is not 0."""
    written = Decimal(number)
    return 0.5 * 10.0 ** int((written.normalize() if rough else written).as_tuple().exponent)


def _moment(given: date) -> Quantity:
    if isinstance(given, datetime):
        at = (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
        return Quantity(at, at, at, DATE, _time_text(at))
    begin = datetime(given.year, given.month, given.day, tzinfo=UTC)
    noon, end = (begin + timedelta(hours=hours) for hours in (12, 24))
    return Quantity(begin.timestamp(), end.timestamp(), noon.timestamp(), DATE, given.isoformat())


def _time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _extreme_mean(values: Iterable[float], weights: Sequence[Quantity]) -> float:
    """The largest weighted mean: for some k, the k largest values have their highest weights, the rest their lowest."""
    ranked = sorted(zip(values, weights, strict=True), key=lambda pair: -pair[0])
    means = []
    for count in range(1, len(ranked) + 1):
        chosen = [max(0.0, w.high if place < count else w.low) for place, (_, w) in enumerate(ranked)]
        if total := math.fsum(chosen):
            means.append(math.fsum(w * value for w, (value, _) in zip(chosen, ranked, strict=True)) / total)
    return max(means, default=math.inf)


def _times(one: float, two: float) -> float:
    return 0.0 if one == 0 or two == 0 else one * two


def _over(one: float, two: float) -> float:
    return 0.0 if math.isinf(two) else one / two
