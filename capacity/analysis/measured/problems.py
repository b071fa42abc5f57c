"""What speaks against a measurement, as values."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """What was `seen`, `why` it matters and its `remedy`; `void` says that the measurement does not count."""

    seen: str
    why: str
    remedy: str
    void: bool = False


def void_reason(problems: Iterable[Problem]) -> str | None:
    """What was seen that makes the measurement void, in one line; None where it counts."""
    return "; ".join(problem.seen for problem in problems if problem.void) or None
