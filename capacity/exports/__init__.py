"""What a run gives to monitoring: alert rules, dashboards, alarms, and its findings."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from capacity.exports.cloudformation import template
from capacity.exports.findings import findings_csv, findings_with_verdicts
from capacity.exports.grafana import dashboard
from capacity.exports.monitoring import Monitoring, read_monitoring
from capacity.exports.prometheus import alert_rules, exporters_of, not_selected
from capacity.exports.selection import Selection, selection_of
from capacity.exports.watches import NO_METRIC, Watch, all_watches
from capacity.findings import Finding, Judged
from capacity.places import MONITORING, defaults_folder, in_project, is_own, workloads_of
from capacity.run import Run
from capacity.validation.names import chosen_names
from capacity.workload import read_workload
from capacity.writing import write_whole

GATEWAY = "gateway"
KINDS = {"prometheus": "Prometheus", "cloudformation": "CloudWatch"}


@dataclass(frozen=True, slots=True)
class Source:
    """What the files are made from: the run's name, its findings, what it promises of them, judged, and the watches.

    `selection` is what it knows of its system, by which this system is told from others.
    """

    run: str
    findings: Sequence[Finding]
    judged: Sequence[Judged]
    monitoring: Monitoring
    watches: Sequence[Watch]
    selection: Selection

    @property
    def made_from(self) -> str:
        """The first line of a file."""
        return f"Made by `capacity export` from the run {self.run} and the objectives"


def export_run(run: Run, folder: Path, formats: Sequence[str] = ()) -> tuple[dict[str, str], list[tuple[str, ...]]]:
    """Write a run's exports into `folder`: what each file holds, by its name, and what is in none.

    `formats` are of `FORMATS`, all where none is named. Raises CapacityError for an unknown one, a folder that is no
    run, and one that cannot be written.
    """
    wanted = chosen_names(formats, FORMATS, "format") or list(FORMATS)
    source = read_source(run)
    made = [FORMATS[name](source) for name in wanted]
    for file, text, _ in made:
        write_whole(folder / file, text)
    return {file: held for file, _, held in made}, not_exported(source.watches, wanted)


def read_source(run: Run) -> Source:
    """The run's findings with the objectives, judged, and what watches them."""
    run.check()
    watches = all_watches(run.promised, monitoring := monitoring_of(run), run.findings, operations_of(run))
    return Source(run.path.name, run.findings, run.promised, monitoring, watches, selection_of(run))


def monitoring_of(run: Run) -> Monitoring:
    """How the run's project is monitored; of the package's file a project of one's own has the metrics alone."""
    path = in_project(MONITORING, run.project)
    monitoring = read_monitoring(path)
    if is_own(run.project) and path == defaults_folder() / MONITORING:
        return monitoring.model_copy(update={"watches": [], "reviews": []})
    return monitoring


def operations_of(run: Run) -> list[Mapping[str, Any]]:
    """The operations that a run measured, by its recordings; without these, those of the project's gateway."""
    told = [manifest.workload for manifest in run.loads.values()]
    if not told:
        told = [read_workload(workloads_of(GATEWAY, folder=run.project) / f"{GATEWAY}.yaml").model_dump()]
    return [each for workload in told for each in workload.get("operations", ())]


def not_exported(watches: Sequence[Watch], formats: Sequence[str]) -> list[tuple[str, ...]]:
    """What the formats leave out, a row for each finding and reason.

    A row is the part of the system, what is watched, its limits, who does not see it (as Prometheus) and the reason;
    what no metric is known for is one row a part.
    """
    left: dict[tuple[str, str], list[tuple[Watch, str]]] = {}
    for watch in watches:
        reasons = {"prometheus": watch.unseen_by_prometheus, "cloudformation": watch.unseen_by_cloudwatch}
        for name, reason in reasons.items():
            if reason and name in formats:
                of = watch.section if reason == NO_METRIC.unseen else watch.name
                left.setdefault((of, reason), []).append((watch, KINDS[name]))
    rows: list[tuple[str, ...]] = []
    for (_, reason), unseen in left.items():
        titles = dict.fromkeys(each.title for each, _ in unseen)
        limits = dict.fromkeys(each.promise or each.levels[-1].holds.promise for each, _ in unseen)
        kinds = dict.fromkeys(kind for _, kind in unseen)
        section = unseen[0][0].section
        rows.append((section, ", ".join(titles), ", ".join(limits), " and ".join(kinds), reason))
    return rows


def _prometheus(source: Source) -> tuple[str, str, str]:
    seen = [watch for watch in source.watches if not watch.unseen_by_prometheus]
    rules = alert_rules(source.watches, source.monitoring, source.selection, source.made_from)
    silent = len(exporters_of(seen, source.monitoring))
    levels = sum(len(each.alarms) for each in seen)
    held = f"{len(seen)} alerts in {levels} rules, and {silent} that say of which exporter nothing comes"
    unselected = any(not_selected(seen, source.monitoring, source.selection))
    return (
        "alerts.yml",
        rules,
        f"{held}; its first lines say what is not told from other systems" if unselected else held,
    )


def _grafana(source: Source) -> tuple[str, str, str]:
    made = dashboard(source.watches, source.monitoring, source.selection)
    shown = sum(panel["type"] == "timeseries" for panel in made["panels"])
    return "grafana.json", _json(made), f"a dashboard of {shown} findings"


def _cloudformation(source: Source) -> tuple[str, str, str]:
    made = template(source.watches, source.monitoring, source.made_from)
    kinds = [resource["Type"].rpartition("::")[2] for resource in made["Resources"].values()]
    counts = {"alarms": "Alarm", "dashboard": "Dashboard", "scaling policy": "ScalingPolicy"}
    held = ", ".join(f"{kinds.count(kind)} {word}" for word, kind in counts.items())
    return "cloudformation.json", json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n", held


def _findings(source: Source, kind: str) -> tuple[str, str, str]:
    rows = findings_with_verdicts(source.findings, source.judged)
    return f"findings.{kind}", findings_csv(rows) if kind == "csv" else _json(rows), f"{len(rows)} findings"


def _json(values: object) -> str:
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


FORMATS: dict[str, Callable[[Source], tuple[str, str, str]]] = {
    "prometheus": _prometheus,
    "grafana": _grafana,
    "cloudformation": _cloudformation,
    "csv": partial(_findings, kind="csv"),
    "json": partial(_findings, kind="json"),
}
