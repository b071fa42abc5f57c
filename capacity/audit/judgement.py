"""Judges what a published report claims by the numbers that the report itself gives.

A stated number is any number that rounds to it, so a claim does not follow only where no such numbers agree; what would
follow from some of them and not from others cannot be told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from capacity.audit.agreement import Agreement, Answer, Ruling
from capacity.audit.claims import AnyClaim, LimitCheck, OverallVerdict
from capacity.audit.report import Published, Section
from capacity.audit.rules import RULES


@dataclass(frozen=True, slots=True)
class JudgedClaim:
    """One claim of a report, where it stands, and what its own numbers say of it, with the reason in one sentence."""

    section: str
    quote: str
    title: str
    kind: str
    fits: Agreement
    reason: str

    @property
    def answer(self) -> Answer:
        """Whether it follows."""
        return self.fits.answer


class JudgedCheck(NamedTuple):
    """A check that the report judges, as far as a conclusion needs it: whether it holds is None if undecided."""

    section: str
    quote: str
    holds: bool | None
    fits: Agreement


def judge_claims(report: Published) -> list[JudgedClaim]:
    """Every claim of the report in its order, judged; conclusions are read from the checks that the report judges."""
    checks = []
    for section, statement, claim in report.claims():
        if isinstance(claim, LimitCheck) and claim.stated is not None:
            fits = _ruling(report, section, claim).fits
            holds = None if fits is Agreement.OPEN else (claim.stated == "PASS") == (fits is not Agreement.APART)
            checks.append(JudgedCheck(section.name, statement.quote, holds, fits))
    return [
        JudgedClaim(section.title, statement.quote, claim.title, claim.kind, *_ruling(report, section, claim, checks))
        for section, statement, claim in report.claims()
    ]


def _ruling(report: Published, section: Section, claim: AnyClaim, checks: Sequence[JudgedCheck] = ()) -> Ruling:
    """The ruling with what the claim assumes; what would not follow under an assumption alone cannot be told."""
    if isinstance(claim, OverallVerdict):
        fits, reason = _conclusion([check for check in checks if not claim.sections or check.section in claim.sections])
    else:
        fits, reason = RULES[type(claim)](claim, report.lookup(section.name))
    if not claim.assuming:
        return Ruling(fits, reason)
    return Ruling(Agreement.OPEN if fits is Agreement.APART else fits, f"{reason}, if {claim.assuming}")


def _conclusion(chosen: Sequence[JudgedCheck]) -> Ruling:
    if not chosen:
        return Ruling(Agreement.OPEN, "there is no check to conclude from")
    for holds, fits, words in ((False, Agreement.APART, "do not hold"), (None, Agreement.OPEN, "cannot be told")):
        if found := [check.quote for check in chosen if check.holds is holds]:
            return Ruling(fits, f"{len(found)} of {len(chosen)} checks {words}, the first is “{found[0]}”")
    unproven = any(check.fits is Agreement.UNPROVEN for check in chosen)
    return Ruling(Agreement.UNPROVEN if unproven else Agreement.EXACT, f"all {len(chosen)} checks hold as stated")
