"""Judges what a published report claims by the numbers that the report itself gives.

A stated number is any number that rounds to it, so a claim does not follow only where no such numbers agree; what would
follow from some of them and not from others cannot be told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from capacity.audit.agreement import Agreement, Answer, Flaw, Ruling, ruled
from capacity.audit.claims import AnyClaim, LimitCheck, OverallVerdict
from capacity.audit.report import Published
from capacity.audit.rules import RULES


@dataclass(frozen=True, slots=True)
class JudgedClaim:
    """One claim of a report, where it stands, and what its own numbers say of it, with the reason in one sentence."""

    section: str
    quote: str
    title: str
    kind: str
    answer: Answer
    flaw: Flaw
    reason: str


class JudgedCheck(NamedTuple):
    """A check that the report judges, as far as a conclusion needs it: whether it holds is None if undecided."""

    section: str
    quote: str
    holds: bool | None
    proven: bool


def judge_claims(report: Published) -> list[JudgedClaim]:
    """Every claim of the report in its order, judged; conclusions are read from the checks that the report judges."""
    rulings = [
        None
        if isinstance(claim, OverallVerdict)
        else _assuming(claim, RULES[type(claim)](claim, report.lookup(section.name)))
        for section, _, claim in report.claims()
    ]
    checks = [
        JudgedCheck(section.name, statement.quote, _holds(claim, ruling), ruling.flaw is not Flaw.UNPROVEN)
        for (section, statement, claim), ruling in zip(report.claims(), rulings, strict=True)
        if isinstance(claim, LimitCheck) and claim.stated is not None and ruling is not None
    ]
    return [
        JudgedClaim(section.title, statement.quote, claim.title, claim.kind, *(ruling or _concluded(claim, checks)))
        for (section, statement, claim), ruling in zip(report.claims(), rulings, strict=True)
    ]


def _assuming(claim: AnyClaim, ruling: Ruling) -> Ruling:
    """The ruling with what the claim assumes; what would not follow under an assumption alone cannot be told."""
    if not claim.assuming:
        return ruling
    reason = f"{ruling.reason}, if {claim.assuming}"
    return ruled(Agreement.OPEN, reason) if ruling.answer is Answer.DOES_NOT_FOLLOW else ruling._replace(reason=reason)


def _holds(check: LimitCheck, ruling: Ruling) -> bool | None:
    if ruling.answer is Answer.CANNOT_BE_TOLD:
        return None
    return (check.stated == "PASS") == (ruling.answer is Answer.FOLLOWS)


def _concluded(claim: AnyClaim, checks: Sequence[JudgedCheck]) -> Ruling:
    named = claim.sections if isinstance(claim, OverallVerdict) else []
    return _assuming(claim, _conclusion([check for check in checks if not named or check.section in named]))


def _conclusion(chosen: Sequence[JudgedCheck]) -> Ruling:
    if not chosen:
        return ruled(Agreement.OPEN, "there is no check to conclude from")
    for holds, fits, words in ((False, Agreement.APART, "do not hold"), (None, Agreement.OPEN, "cannot be told")):
        if found := [check.quote for check in chosen if check.holds is holds]:
            return ruled(fits, f"{len(found)} of {len(chosen)} checks {words}, the first is “{found[0]}”")
    flaw = Flaw.NONE if all(check.proven for check in chosen) else Flaw.UNPROVEN
    return Ruling(Answer.FOLLOWS, flaw, f"all {len(chosen)} checks hold as stated")
