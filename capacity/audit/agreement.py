"""How two quantities agree, where each may be anything that rounds to what was written, and what that answers."""

import math
from enum import IntEnum, StrEnum
from typing import NamedTuple

from capacity.audit.quantities import Quantity, check_alike

NOISE = 1e-9  # of the larger number: what binary fractions of decimal numbers may be apart


class Answer(StrEnum):
    """What the report's own numbers say of a claim."""

    FOLLOWS = "follows"
    DOES_NOT_FOLLOW = "does not follow"
    CANNOT_BE_TOLD = "cannot be told"


class Agreement(IntEnum):
    """How well a claim fits, the best first.

    As written; equal only after rounding; shown by one value without an interval; undecided; not by any rounding.
    """

    EXACT = 0
    ROUNDED = 1
    UNPROVEN = 2
    OPEN = 3
    APART = 4

    @property
    def answer(self) -> Answer:
        """What that says of the claim."""
        others = {Agreement.OPEN: Answer.CANNOT_BE_TOLD, Agreement.APART: Answer.DOES_NOT_FOLLOW}
        return others.get(self, Answer.FOLLOWS)


class Ruling(NamedTuple):
    """What the report's numbers say of one claim, with the reason in one sentence."""

    fits: Agreement
    reason: str


def fit(stated: Quantity, computed: Quantity) -> Agreement:
    """Whether `computed` is what was stated.

    Two numbers agree where their rounding overlaps. A bound or range agrees with what lies wholly within it; where
    something computed has no number and only a part of it is as stated, it is open. ValueError where they cannot be
    compared.
    """
    check_alike([stated, computed])
    if _above(computed.low, stated.high) or _above(stated.low, computed.high):
        return Agreement.APART
    if stated.value is not None and computed.value is not None:
        return Agreement.EXACT if math.isclose(stated.value, computed.value, rel_tol=NOISE) else Agreement.ROUNDED
    if not _above(stated.low, computed.low) and not _above(computed.high, stated.high):
        return Agreement.EXACT
    inside = computed.value is not None and stated.low <= computed.value <= stated.high
    return Agreement.ROUNDED if inside else Agreement.OPEN


def at_most(one: Quantity, other: Quantity) -> Agreement:
    """Whether `one` is at most `other`; ValueError where they cannot be compared."""
    check_alike([one, other])
    if _above(one.low, other.high):
        return Agreement.APART
    ordered = one.value is not None and other.value is not None and not _above(one.value, other.value)
    if ordered or not _above(one.high, other.low):
        return Agreement.EXACT
    return Agreement.OPEN if one.value is None or other.value is None else Agreement.ROUNDED


def _above(one: float, other: float) -> bool:
    return one > other and not math.isclose(one, other, rel_tol=NOISE)
