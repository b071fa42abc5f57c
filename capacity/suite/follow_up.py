"""What is watched after a launch, when it is looked at again, and what changed since the run before."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd
from pandas.io.formats.style import Styler

from capacity.analysis.measured.comparison import PromiseOutcome, compare_findings
from capacity.display.comparison import MOVED, change_text, summary_text
from capacity.display.tables import lean_style, rows_style
from capacity.display.text import finding_text
from capacity.exports.monitoring import Monitoring
from capacity.exports.watches import all_watches
from capacity.findings import Finding, Judged, Objective, read_findings

HORIZON_MONTHS = 12
NO_EARLIER = "There is no earlier run with this profile beside this one, so there is nothing to compare with."


def watched_style(judged: Sequence[Judged], monitoring: Monitoring, findings: Sequence[Finding]) -> Styler:
    """The thresholds of production on what was measured: after how long one fires, what to do, and what was found."""
    found = {each.name: each for each in findings}
    rows = [
        (
            level.severity,
            watch.title,
            level.fires,
            "at once" if level.is_of_events else f"{level.minutes} min",
            watch.metric.action,
            found.get(watch.finding, "not a finding of a run"),
            level.holds.source,
        )
        for watch in all_watches(judged, monitoring, findings)
        for level in watch.levels
        if not level.promised
    ]
    return rows_style(rows, ["severity", "what", "fires at", "lasting", "to do", "this run", "source"])


def review_dates(monitoring: Monitoring, measured: datetime) -> pd.DataFrame:
    """The reviews of the year after the measurement in the order of their dates: `date`, `review`, `source`.

    Where nothing was recorded the moment of the measurement is NaT, and the dates are unknown.
    """
    rows = []
    for review in monitoring.reviews:
        months = range(review.months, HORIZON_MONTHS + 1, review.every) if review.every else [review.months]
        dates = [pd.Timestamp(measured) + pd.DateOffset(weeks=review.weeks, months=each) for each in months]
        texts = [f"{date:%Y-%m-%d}" if pd.notna(date) else "unknown" for date in dates]
        rows += [(text, review.title, review.source) for text in texts]
    return pd.DataFrame(sorted(rows), columns=["date", "review", "source"])


def reviews_style(monitoring: Monitoring, measured: datetime) -> Styler:
    """The same as a table for people."""
    return lean_style(review_dates(monitoring, measured))


def changes_since(earlier: Path | None, found: Sequence[Finding], promised: Sequence[Objective]) -> pd.DataFrame:
    """What `compare_findings` gives of the findings in the folder `earlier`, where there is one, and these."""
    return compare_findings(read_findings(earlier) if earlier else [], found, promised)


def changes_text(changes: pd.DataFrame, earlier: Path | None) -> str:
    """How many issues were found, resolved and are new, in Markdown."""
    if earlier is None:
        return NO_EARLIER
    return "\n".join(f"- {line}" for line in summary_text(changes, repeated=False).splitlines())


def changes_style(changes: pd.DataFrame, earlier: Path | None, found: Sequence[Finding]) -> Styler:
    """The promises whose finding changed, or that do not hold: before and after, and whether that is chance."""
    before = {each.name: each for each in (read_findings(earlier) if earlier else [])}
    after = {each.name: each for each in found}
    judged = changes[changes["outcome"].notna()] if earlier else changes.iloc[:0]
    shown = judged[judged["answer"].isin(MOVED) | (judged["outcome"] != PromiseOutcome.HOLDS)]
    rows = [
        (
            str(row["outcome"]),
            row["section"],
            row["title"],
            row["promise"],
            finding_text(before.get(row["finding"])),
            after.get(row["finding"]),
            change_text(row),
        )
        for row in shown.to_dict("records")
    ]
    return rows_style(rows, ["outcome", "section", "what", "promise", "before", "after", "change"])
