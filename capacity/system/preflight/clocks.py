"""How far another machine's clock is from this one's, by asking it for the time."""

from collections.abc import Callable
from dataclasses import dataclass

from capacity.clock import unix_s
from capacity.system.preflight.check import Check, fact, note, seconds_text

APART_S = 1.0  # beyond it, a second of a recording is laid beside another second of the server's own records
TIMES = 3


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far a clock is ahead of this machine's, in seconds, to within `uncertainty_s`."""

    offset_s: float
    uncertainty_s: float

    @property
    def said(self) -> str:
        """The offset in words."""
        if abs(self.offset_s) <= self.uncertainty_s:
            return f"as this machine's (± {seconds_text(self.uncertainty_s)})"
        ahead = "ahead of" if self.offset_s > 0 else "behind"
        return f"{seconds_text(abs(self.offset_s))} {ahead} this machine's (± {seconds_text(self.uncertainty_s)})"


def clock_offset(tell: Callable[[], float], resolution_s: float = 0.0) -> ClockOffset:
    """The offset of the clock that `tell` asks for the seconds since 1970, as a clock of that resolution tells them.

    The time was told between asking and the answer, so half of the shortest of a few exchanges is not known.
    """
    found: list[ClockOffset] = []
    for _ in range(TIMES):
        asked = unix_s()
        told = tell() + resolution_s / 2
        answered = unix_s()
        found.append(ClockOffset(told - (asked + answered) / 2, (answered - asked + resolution_s) / 2))
    return min(found, key=lambda each: each.uncertainty_s)


def clock_check(offset: ClockOffset, limit_s: float = APART_S) -> Check:
    """Whether the server's own logs and dashboards can be laid beside a recording."""
    if abs(offset.offset_s) - offset.uncertainty_s <= limit_s:
        return fact("clock", offset.said)
    means = "a moment of a recording is another one in the server's own logs and dashboards; no figure changes"
    return note("clock", offset.said, means, "set both clocks by NTP")
