"""What a trial's recording says of its fault, as findings: how operations came through it, and what became of each."""

from collections.abc import Iterable, Iterator
from functools import partial

from capacity.analysis.faults.recovery import FaultSpan, drain_seconds, recovery, recovery_findings
from capacity.analysis.measured.ledger import CLASSES, Reconciliation
from capacity.findings import Finding
from capacity.samples import service_ns
from capacity.scenarios.fault_injection import FaultRecording
from capacity.scenarios.trial import counted


def span_findings(scenario: str, recorded: FaultRecording) -> Iterator[Finding]:
    """When the fault began and how long it lasted, by which it is found in the recording."""
    down_ms = (recorded.end_ns - recorded.begin_ns) / 1e6
    give, began_s = partial(counted, scenario, count=1), recorded.begin_ns / 1e9
    yield give("began", began_s, unit="s", title="time from the load's begin to the fault")
    yield give("down", down_ms, unit="ms", title="time from the fault until all was undone")


def course_findings(
    scenario: str, recorded: FaultRecording, objective_ms: float, at_a_time: int | None = None
) -> Iterator[Finding]:
    """How the operations came through the fault.

    With `at_a_time` the drain of their backlog stands beside the theory: the server works at so many operations at a
    time, and each takes as long as it usually did before the fault.
    """
    samples, begin_ns = recorded.samples, recorded.begin_ns
    found = recovery(samples, FaultSpan(begin_ns, recorded.end_ns, objective_ms))
    yield from recovery_findings(scenario, recorded.recording.path.name, found)
    yield from span_findings(scenario, recorded)
    if at_a_time:
        usual_s = float(service_ns(samples[samples["finished_ns"] < begin_ns]).median()) / 1e9
        left, title = found.drain.left, "time to drain in theory, backlog / (μ − λ)"
        theory = drain_seconds(left, at_a_time / usual_s, recorded.arrivals_per_s)
        yield counted(scenario, "drained_in_theory", theory, unit="s", title=title, count=left)


def account_findings(
    scenario: str, kind: str, found: Reconciliation, tried: int, terms: Iterable[str] = CLASSES, *, noun: str = ""
) -> Iterator[Finding]:
    """What became of all that was tried, a finding `<kind>_<term>` each, as jobs_lost; `noun` is the kind in words."""
    for term in terms:
        yield counted(scenario, f"{kind}_{term}", getattr(found, term), title=f"{noun or kind} {term}", count=tried)
