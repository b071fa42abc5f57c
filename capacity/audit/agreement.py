"""How two quantities agree, where each may be anything that rounds to what was written, and what that answers."""

import math
from enum import IntEnum, StrEnum
from typing import NamedTuple

from capacity.audit.quantities import Quantity

NOISE = 1e-9  # of the larger number: what binary fractions of decimal numbers may be apart


class Fit(IntEnum):
    """How well a claim fits, the best first: as written, within rounding, perhaps, and not by any rounding."""

    EXACT = 0
    ROUNDED = 1
    OPEN = 2
    APART = 3


class Answer(StrEnum):
    """What the report's own numbers say of a claim."""

    FOLLOWS = "follows"
    DOES_NOT_FOLLOW = "does not follow"
    CANNOT_BE_TOLD = "cannot be told"


class Severity(StrEnum):
    """What is wrong with a claim: nothing; equal only after rounding; one value without interval; no data; violated."""

    NONE = ""
    ROUNDING = "within rounding"
    UNPROVEN = "unproven"
    UNSUPPORTED = "unsupported"
    CONTRADICTION = "contradiction"


class Ruling(NamedTuple):
    """What the report's numbers say of one claim, with the reason in one sentence."""

    answer: Answer
    severity: Severity
    reason: str


ANSWERS = {
    Fit.EXACT: (Answer.FOLLOWS, Severity.NONE),
    Fit.ROUNDED: (Answer.FOLLOWS, Severity.ROUNDING),
    Fit.OPEN: (Answer.CANNOT_BE_TOLD, Severity.UNSUPPORTED),
    Fit.APART: (Answer.DOES_NOT_FOLLOW, Severity.CONTRADICTION),
}


def ruled(fits: Fit, reason: str) -> Ruling:
    """The ruling on a claim that fits so well."""
    return Ruling(*ANSWERS[fits], reason)


def fit(stated: Quantity, computed: Quantity) -> Fit:
    """Whether `computed` is what was stated.

    Two numbers agree where their rounding overlaps. A bound or range agrees with what lies wholly within it; where
    something computed has no number and only a part of it is as stated, it is open.
    """
    if _above(computed.low, stated.high) or _above(stated.low, computed.high):
        return Fit.APART
    if stated.value is not None and computed.value is not None:
        return Fit.EXACT if math.isclose(stated.value, computed.value, rel_tol=NOISE) else Fit.ROUNDED
    if not _above(stated.low, computed.low) and not _above(computed.high, stated.high):
        return Fit.EXACT
    inside = computed.value is not None and stated.low <= computed.value <= stated.high
    return Fit.ROUNDED if inside else Fit.OPEN


def at_most(one: Quantity, other: Quantity) -> Fit:
    """Whether `one` is at most `other`."""
    if _above(one.low, other.high):
        return Fit.APART
    ordered = one.value is not None and other.value is not None and not _above(one.value, other.value)
    if ordered or not _above(one.high, other.low):
        return Fit.EXACT
    return Fit.OPEN if one.value is None or other.value is None else Fit.ROUNDED


def _above(one: float, other: float) -> bool:
    return one > other and not math.isclose(one, other, rel_tol=NOISE)
