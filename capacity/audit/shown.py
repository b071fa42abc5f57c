"""The audit of a published report as text: a table a section, what does not follow first in the reader's eye."""

import sys
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from capacity.audit.agreement import Agreement, Answer
from capacity.audit.judgement import JudgedClaim

NOTES = {Agreement.ROUNDED: "\n(within rounding)", Agreement.UNPROVEN: "\n(unproven)"}
STYLES = {Answer.FOLLOWS: "green", Answer.CANNOT_BE_TOLD: "yellow", Answer.DOES_NOT_FOLLOW: "bold red"}
FILE_WIDTH = 150  # columns where the output goes to a file or a pipe, which has no width of its own


def print_audit(judged: Sequence[JudgedClaim], missing: Sequence[str], *, everything: bool) -> None:
    """Print the claims by section (those that follow only if `everything`), the counts and the lines left out."""
    console = Console(width=None if sys.stdout.isatty() else FILE_WIDTH, highlight=False, emoji=False)
    for section, claims in groupby(judged, key=lambda claim: claim.section):
        console.print(_section(section, list(claims), everything))
    answers = Counter(claim.answer for claim in judged)
    unproven = sum(claim.fits is Agreement.UNPROVEN for claim in judged)
    console.print(
        f"{len(judged)} claims: {answers[Answer.FOLLOWS]} follow ({unproven} of them unproven: one value without an "
        f"interval), {answers[Answer.DOES_NOT_FOLLOW]} do not follow, {answers[Answer.CANNOT_BE_TOLD]} cannot be told"
    )
    for line in missing:
        console.print(Text(f"not transcribed: {line}"))


def _section(title: str, claims: Sequence[JudgedClaim], everything: bool) -> RenderableType:
    follow = sum(claim.answer is Answer.FOLLOWS for claim in claims)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, expand=True)
    table.add_column(width=16)
    table.add_column(ratio=2)
    table.add_column(ratio=3)
    for claim in claims:
        if everything or claim.answer is not Answer.FOLLOWS:
            said = f"{claim.title}: {claim.reason}" if claim.title else claim.reason
            answer = Text(f"{claim.answer}{NOTES.get(claim.fits, '')}", STYLES[claim.answer])
            table.add_row(answer, Text(claim.quote), Text(said))
    return Group(Text(f"{title}: {follow} of {len(claims)} follow", "bold"), table, Text())
