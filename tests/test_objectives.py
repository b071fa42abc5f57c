"""Files of objectives are read as they are written, and what is no objective is one sentence."""

from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.findings import Finding, Objective, read_findings, write_findings
from capacity.objectives import read_expectations, read_objectives, write_objectives

FINDING = Finding("a.x", 5.0, "ms", 4.0, 6.0, 100, "r", "latency")


@pytest.mark.parametrize(
    ("limit", "read", "promise"),
    [
        ("< 500 ms", ("<", 500, "ms"), "< 500 ms"),
        (">= 99.5 %", (">=", 99.5, "%"), "≥ 99.5 %"),
        ("== 0", ("==", 0, ""), "= 0"),
    ],
)
def test_limits_are_read_as_they_are_written(
    tmp_path: Path, limit: str, read: tuple[str, float, str], promise: str
) -> None:
    path = tmp_path / "objectives.yaml"
    path.write_text(f'- {{finding: a.x, limit: "{limit}", title: T, source: S}}\n- {{finding: b.y, limit: "< 1"}}\n')
    (objective,) = read_objectives(path, "a")
    assert (objective.relation, objective.limit, objective.unit) == read
    assert objective.promise == promise


@pytest.mark.parametrize("text", ["[{finding: a.x}]", "[{finding: a.x, limit: about 5}]", "a: b", "[{limit: '< 1'}]"])
def test_wrong_objectives_are_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "o.yaml").write_text(text)
    with pytest.raises(CapacityError) as refused:
        read_objectives(tmp_path / "o.yaml")
    assert "\n" not in str(refused.value)


def test_objectives_are_read_as_they_were_written(tmp_path: Path) -> None:
    objectives = [
        Objective("failover.a.refused", "==", 53.0, "", '150 − (100 − 3): it\'s "so"', "the server's settings"),
        Objective("failover.a.back", "<=", 3100.25, "ms", "between two tries", ""),
        Objective("failover.a.small", "<", 1e-07, "jobs/s", "", "λ × μ"),
        Objective("failover.a.below", ">=", -2.0, "%", "t", "s"),
    ]
    write_objectives(tmp_path / "failover.yaml", objectives)
    write_findings(tmp_path / "failover.json", [FINDING])
    assert read_objectives(tmp_path / "failover.yaml") == objectives
    assert read_expectations(tmp_path) == objectives
    assert read_findings(tmp_path) == [FINDING]
    assert read_expectations(tmp_path / "nowhere") == []
