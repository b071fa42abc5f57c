"""Every finding that the table of counterparts names is one that the suite gives."""

import re
from pathlib import Path

from capacity.findings import read_findings

PROJECT = Path(__file__).parents[1]


def test_each_row_of_the_reference_report_has_a_counterpart_that_exists() -> None:
    table = (PROJECT / "docs" / "counterparts.md").read_text(encoding="utf-8")
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 50
    given = {each.name for each in read_findings(PROJECT / "data" / "recorded" / "findings")}
    sections = {name.partition(".")[0] for name in given}
    named = set(re.findall(r"`([a-z_]+\.[\w.]+)`", table))
    assert len(named) > 100
    assert {name for name in named if name.partition(".")[0] in sections} <= given
