"""How much load does a stack hold, what breaks first, when is it outgrown, and what should be run instead?

The public names are here, each loaded on first use: `from capacity import latency_table`.
"""

from importlib import import_module

TYPE_CHECKING = False  # as type checkers know it; typing loads for as long as all else that a command needs at first
if TYPE_CHECKING:
    from capacity.analysis.limits.queueing import erlang_c, servers_needed
    from capacity.analysis.limits.scalability_fit import fit_usl
    from capacity.analysis.measured.latency import latency_table
    from capacity.analysis.measured.ledger import reconcile
    from capacity.analysis.planning.growth import months_until, project
    from capacity.analysis.statistics.percentiles import minimum_samples, percentile_interval
    from capacity.findings import Finding, Objective, Verdict, judge
    from capacity.recording import open_recording

__all__ = [
    "Finding",
    "Objective",
    "Verdict",
    "erlang_c",
    "fit_usl",
    "judge",
    "latency_table",
    "minimum_samples",
    "months_until",
    "open_recording",
    "percentile_interval",
    "project",
    "reconcile",
    "servers_needed",
]

_HOMES = {
    "capacity.analysis.limits.queueing": ("erlang_c", "servers_needed"),
    "capacity.analysis.limits.scalability_fit": ("fit_usl",),
    "capacity.analysis.measured.latency": ("latency_table",),
    "capacity.analysis.measured.ledger": ("reconcile",),
    "capacity.analysis.planning.growth": ("months_until", "project"),
    "capacity.analysis.statistics.percentiles": ("minimum_samples", "percentile_interval"),
    "capacity.findings": ("Finding", "Objective", "Verdict", "judge"),
    "capacity.recording": ("open_recording",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'capacity' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
