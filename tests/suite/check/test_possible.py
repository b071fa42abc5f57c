"""What can be given is known by name and unit before it is measured, and is what is given then."""

from pathlib import Path

from capacity.analysis.planning.plan_file import read_plan
from capacity.findings import read_findings
from capacity.objectives import workload_files
from capacity.scenarios.matrix import MATRIX
from capacity.suite.check.possible import FAULTS, Possible, possible_findings
from capacity.workload import read_workload

REPOSITORY = Path(__file__).parents[3]
LATER = {"queue.not_done_yet", "queue.removed"}  # than the committed recordings were made; or by what others do


def possible() -> Possible:
    workloads = {path.stem: read_workload(path) for path in workload_files(folder=REPOSITORY)}
    return possible_findings(workloads, read_plan(REPOSITORY / "data" / "plan.yaml"), "USD")


def test_every_finding_of_the_committed_recordings_can_be_given_in_its_unit() -> None:
    known = possible()
    for each in read_findings(REPOSITORY / "data" / "recorded" / "findings"):
        assert each.unit in [can.unit for can in known.fitting(each.name)], f"add {each.name} to what can be given"


def test_no_finding_of_a_part_can_be_given_that_is_not() -> None:
    given = LATER | {each.name for each in read_findings(REPOSITORY / "data" / "recorded" / "findings")}
    known = possible()
    for section in ("database", "redis", "queue", "gateway"):
        assert [name for name in known.names(section) if name not in given and not name.endswith(".*")] == []


def test_the_faults_are_those_of_the_matrix() -> None:
    assert set(FAULTS) == {row.scenario.name for row in MATRIX}


def test_a_pattern_is_on_all_that_it_fits_and_a_reason_of_failure_may_be_any() -> None:
    known = possible()
    assert len(known.fitting("gateway.*.response_p99")) == 5
    assert [each.unit for each in known.fitting("queue.dead_letters.broken_pipe")] == ["%"]
    assert known.fitting("queue.dead_letter.broken_pipe") == []
