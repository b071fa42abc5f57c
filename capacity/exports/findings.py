"""The findings of a run with their verdicts, and as CSV for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from capacity.findings import Finding, Judged, finding_as_dict

FIELDS = (*Finding.__dataclass_fields__, "verdict", "promise", "source")
NUMBERS = ("value", "low", "high", "count", "least", "most")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def findings_with_verdicts(findings: Iterable[Finding], judged: Iterable[Judged]) -> list[dict[str, Any]]:
    """Every finding as JSON values with `verdict`, `promise` and `source`, which are None where none is promised."""
    by_name = {objective.finding: (objective, verdict) for objective, _, verdict in judged}
    rows = []
    for finding in findings:
        objective, verdict = by_name.get(finding.name, (None, None))
        said = {"promise": objective.promise, "source": objective.source} if objective else {}
        rows.append({**dict.fromkeys(FIELDS), **finding_as_dict(finding), "verdict": verdict and str(verdict), **said})
    return rows


def findings_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as CSV with a header; what is None is empty.

    A text that a spreadsheet would take for a formula, or that begins with an apostrophe, has an apostrophe before it.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: value if key in NUMBERS else _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
