"""Findings and verdicts as text: units, intervals, and no more digits than the interval deserves."""

import math
from collections.abc import Iterable, Sequence

from capacity.findings import Finding, Objective, Verdict

Judged = tuple[Objective, Finding | None, Verdict]


def number_text(value: float, spread: float = 0.0) -> str:
    """A number rounded to two significant digits of its interval's width, or to four of its own without one."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    if spread == 0 and float(value).is_integer():
        return f"{value:,.0f}"
    scale = spread if 0 < spread < math.inf else abs(value) / 100
    places = max(0, 1 - math.floor(math.log10(scale))) if scale else 0
    return f"{value:,.{min(places, 6)}f}"


def finding_text(finding: Finding | None) -> str:
    """The value with its unit and interval, as `4.5 ms (3.7 to 6.2)`; what was not given says so."""
    if finding is None:
        return "not measured"
    if finding.value is None:
        return finding.note or "not given"
    unit = f" {finding.unit}" if finding.unit else ""
    if finding.low is None or finding.high is None:
        return f"{number_text(finding.value)}{unit} (no interval)"
    spread = finding.high - finding.low
    value, low, high = (number_text(each, spread) for each in (finding.value, finding.low, finding.high))
    return f"{value}{unit}" if spread == 0 else f"{value}{unit} ({low} to {high})"


def findings_table(findings: Iterable[Finding]) -> str:
    """One line a finding: name, value with interval, and the number of samples or readings."""
    rows = [(finding.name, finding_text(finding), f"n = {finding.count:,}") for finding in findings]
    return aligned(rows)


def verdicts_table(judged: Iterable[Judged]) -> str:
    """One line an objective: verdict, title, promise and what was found."""
    rows = [(str(verdict), each.title, each.promise, finding_text(found)) for each, found, verdict in judged]
    return aligned(rows)


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of text in columns of equal width."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))] if rows else []
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
