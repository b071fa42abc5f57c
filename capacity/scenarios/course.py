"""How operations came through a fault, as a scenario's findings."""

from collections.abc import Iterator

from capacity.analysis.faults.recovery import FaultSpan, drain_seconds, recovery, recovery_findings
from capacity.findings import Finding
from capacity.samples import service_ns
from capacity.scenarios.load import Through
from capacity.scenarios.trial import counted


def span_findings(scenario: str, through: Through) -> Iterator[Finding]:
    """When the fault began and how long it lasted, by which it is found in the recording."""
    down_ms = (through.end_ns - through.begin_ns) / 1e6
    yield counted(scenario, "began", through.begin_ns / 1e9, unit="s", title="from the load's begin", count=1)
    yield counted(scenario, "down", down_ms, unit="ms", title="from its begin until all was undone", count=1)


def course_findings(scenario: str, through: Through, objective_ms: float, at_a_time: int) -> Iterator[Finding]:
    """How the operations came through the fault, and the drain of their backlog beside that by theory.

    The theory is of a server that works at so many operations at a time, each as long as usual before the fault.
    """
    samples = through.recording.samples
    found = recovery(samples, FaultSpan(through.begin_ns, through.end_ns, objective_ms))
    yield from recovery_findings(scenario, through.recording.path.name, found)
    yield from span_findings(scenario, through)
    due, left = samples["scheduled_ns"], found.drain.left
    arrivals = (len(due) - 1) / (float(due.max() - due.min()) / 1e9)
    usual_s = float(service_ns(samples[samples["finished_ns"] < through.begin_ns]).median()) / 1e9
    theory = drain_seconds(left, at_a_time / usual_s, arrivals)
    yield counted(scenario, "drained_in_theory", theory, unit="s", title="backlog / (μ − λ)", count=left)
