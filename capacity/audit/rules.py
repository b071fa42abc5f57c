"""One rule for each kind of claim that stands by itself: what the numbers it names say of it.

A rule raises ValueError for a name that is not given, and for quantities that cannot be compared.
"""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

from capacity.analysis.planning.growth import months_until
from capacity.analysis.statistics.percentiles import minimum_samples
from capacity.audit.agreement import Agreement, Ruling, at_most, fit
from capacity.audit.claims import Derived, Evidence, Group, Lasts, LimitCheck, Mixture, Order, Same, Samples
from capacity.audit.expressions import Expression, Lookup, Operand, evaluated, expression_text
from capacity.audit.quantities import Quantity, check_alike, ends_text, mean, quantity_text, read_quantity
from capacity.findings import Finding, Objective, Verdict, judge
from capacity.units import Unit, read_unit

SHARE = read_unit("")


def _derived(claim: Derived, lookup: Lookup) -> Ruling:
    stated, computed = evaluated(claim.stated, lookup), evaluated(claim.by, lookup)
    return _compared(stated, computed, _said(claim.by, lookup, stated.unit))


def _compared(stated: Quantity, computed: Quantity, said: str) -> Ruling:
    fits = fit(stated, computed)
    rounded = fits is not Agreement.EXACT and computed.value is not None and computed.low < computed.high
    may_be = f" ({ends_text(computed, stated.unit)} within rounding)" if rounded else ""
    return Ruling(fits, f"{quantity_text(stated)} is stated, and {said}{may_be}")


def _same(claim: Same, lookup: Lookup) -> Ruling:
    stated = [evaluated(each, lookup) for each in claim.of]
    fits = max(min(fit(one, other), fit(other, one)) for one, other in combinations(stated, 2))
    unit = _written_unit(claim.of, lookup)
    return Ruling(fits, f"stated as {' and '.join(_said(each, lookup, unit) for each in claim.of)}")


def _order(claim: Order, lookup: Lookup) -> Ruling:
    stated = [evaluated(each, lookup) for each in claim.of]
    pairs = {(one, other): at_most(stated[one], stated[other]) for one, other in combinations(range(len(stated)), 2)}
    worst = max(pairs, key=lambda pair: pairs[pair])
    said = [_said(each, lookup, _written_unit(claim.of, lookup)) for each in claim.of]
    if pairs[worst] is Agreement.EXACT:
        return Ruling(Agreement.EXACT, " ≤ ".join(said))
    return Ruling(pairs[worst], f"{said[worst[0]]} should be at most {said[worst[1]]}")


def _check(claim: LimitCheck, lookup: Lookup) -> Ruling:
    relation, written = claim.parts
    bound = evaluated(written, lookup)
    unit = bound.unit
    limit = Objective("published", relation, bound.low / unit.factor, unit.text)
    if claim.value is None:
        return Ruling(Agreement.OPEN, f"no value is given beside the limit {limit.promise}")
    value = evaluated(claim.value, lookup)
    low, high = (evaluated(claim.value if end is None else end, lookup) for end in (claim.low, claim.high))
    check_alike([bound, value, low, high])
    number = None if value.value is None else value.value / unit.factor
    ends = (low.low / unit.factor, high.high / unit.factor)
    # A bound has no number, and its two ends say all that the verdict needs.
    verdict = judge(Finding("published", ends[1] if number is None else number, unit.text, *ends), limit)
    proven = value.low == value.high or (claim.low is not None and claim.high is not None)
    return _check_ruling(claim, verdict, _said(claim.value, lookup, unit), limit.promise, proven)


def _check_ruling(claim: LimitCheck, verdict: Verdict, said: str, promise: str, proven: bool) -> Ruling:
    report = f", and the report says {claim.stated}" if claim.stated else ""
    if verdict is Verdict.INCONCLUSIVE:
        return Ruling(Agreement.OPEN, f"within its rounding {said} may be {promise} or not{report}")
    holds = verdict is Verdict.PASS
    if holds and claim.stated != "FAIL" and not proven:
        return Ruling(Agreement.UNPROVEN, f"{said} is {promise} as stated, unproven: one value without an interval")
    fits = Agreement.EXACT if holds == (claim.stated != "FAIL") else Agreement.APART
    return Ruling(fits, f"{said} is {'' if holds else 'not '}{promise}{report}")


def _lasts(claim: Lasts, lookup: Lookup) -> Ruling:
    stated, margin, rate = (evaluated(each, lookup) for each in (claim.stated, claim.margin, claim.monthly_rate))
    check_alike([margin, rate, read_quantity("1 x", exact=True)])
    value = None if margin.value is None or rate.value is None else _months(margin.value, rate.value)
    months = Quantity(_months(margin.low, rate.high), _months(margin.high, rate.low), value, read_unit("months"))
    growth = f"at {quantity_text(rate)} a month"
    return _compared(stated, months, f"{_said(claim.margin, lookup)} lasts {quantity_text(months)} {growth}")


def _months(margin: float, rate: float) -> float:
    if margin <= 1:
        return 0.0
    return math.inf if math.isinf(margin) else months_until(1.0, margin, rate)


def _mixture(claim: Mixture, lookup: Lookup) -> Ruling:
    """The quantile lies above the share of the whole below the stated value and is reached at it.

    A group has at least q below the value where its q-quantile is below it, and less than q at or below it where its
    q-quantile is above it. The whole has the groups' mean by weight, or without weights anything between the extremes.
    """
    stated = evaluated(claim.stated, lookup)
    check_alike([stated, *(evaluated(each, lookup) for group in claim.groups for each in group.quantiles.values())])
    shares = [_share_within(stated, group, lookup) for group in claim.groups]
    weights = [evaluated(group.weight, lookup) for group in claim.groups if group.weight is not None]
    if len(weights) == len(shares):
        whole = mean(shares, weights)
    else:
        whole = Quantity(min(each.low for each in shares), max(each.high for each in shares), None, SHARE)
    allowed = f"{quantity_text(stated)} as a quantile from {ends_text(whole)}"
    edge = any(math.isclose(claim.quantile, end) for end in (whole.low, whole.high))
    fits = Agreement.EXACT if whole.low < claim.quantile < whole.high and not edge else Agreement.APART
    return Ruling(fits, f"the parts’ percentiles allow {allowed}, and {claim.quantile:g} is stated")


def _share_within(stated: Quantity, group: Group, lookup: Lookup) -> Quantity:
    points = [(quantile, evaluated(each, lookup)) for quantile, each in group.quantiles.items()]
    low = max((quantile for quantile, at in points if at.high < stated.low), default=0.0)
    high = min((quantile for quantile, at in points if at.low > stated.high), default=1.0)
    return Quantity(low, high, None, SHARE)


def _samples(claim: Samples, lookup: Lookup) -> Ruling:
    needed = minimum_samples(claim.quantile)
    percentile = f"a p{claim.quantile * 100:g} needs {needed:,} samples"
    if claim.count is None:
        return Ruling(Agreement.OPEN, f"{percentile}, and their number is not given")
    count = evaluated(claim.count, lookup)
    fits = Agreement.EXACT if count.low >= needed else Agreement.APART if count.high < needed else Agreement.OPEN
    return Ruling(fits, f"{percentile}, and there are {_said(claim.count, lookup)}")


def _evidence(claim: Evidence, lookup: Lookup) -> Ruling:
    if not claim.shown_by:
        return Ruling(Agreement.OPEN, f"the report does not give {claim.needs}")
    shown = " and ".join(_said(each, lookup) for each in claim.shown_by)
    return Ruling(Agreement.UNPROVEN, f"it rests on {shown} alone, where it needs {claim.needs}")


def _said(operand: Operand, lookup: Lookup, unit: Unit | None = None) -> str:
    """The operand with its numbers, and what they come to in `unit` where it is an operation."""
    text = expression_text(operand, lookup)
    return f"{text} = {quantity_text(evaluated(operand, lookup), unit)}" if isinstance(operand, Expression) else text


def _written_unit(operands: Sequence[Operand], lookup: Lookup) -> Unit:
    """The unit of the first operand that was written, in which the others are said."""
    written = [each for each in operands if isinstance(each, str)]
    return evaluated([*written, *operands][0], lookup).unit


RULES: dict[type, Callable[[Any, Lookup], Ruling]] = {
    Derived: _derived,
    Same: _same,
    Order: _order,
    LimitCheck: _check,
    Lasts: _lasts,
    Mixture: _mixture,
    Samples: _samples,
    Evidence: _evidence,
}
