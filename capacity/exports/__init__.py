"""What a run gives to monitoring: alert rules, dashboards, alarms, and its findings."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from capacity.errors import chosen_names
from capacity.exports.cloudformation import template
from capacity.exports.findings import findings_csv, findings_with_verdicts
from capacity.exports.grafana import dashboard
from capacity.exports.monitoring import Monitoring, read_monitoring
from capacity.exports.prometheus import alert_rules
from capacity.exports.watches import Watch, all_watches
from capacity.findings import Finding, Judged, judge_all
from capacity.objectives import fitted
from capacity.project import in_project
from capacity.run import Run
from capacity.writing import write_whole

MONITORING = Path("data") / "monitoring.yaml"
KINDS = {"prometheus": "Prometheus", "cloudformation": "CloudWatch"}


@dataclass(frozen=True, slots=True)
class Source:
    """What the files are made from: the run's name, its findings, every objective with its verdict, and the watches."""

    run: str
    findings: Sequence[Finding]
    judged: Sequence[Judged]
    monitoring: Monitoring
    watches: Sequence[Watch]

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
    judged = judge_all(run.findings, fitted(run.objectives, run.findings))
    monitoring = read_monitoring(in_project(MONITORING, run.project))
    return Source(run.path.name, run.findings, judged, monitoring, all_watches(judged, monitoring))


def not_exported(watches: Sequence[Watch], formats: Sequence[str]) -> list[tuple[str, ...]]:
    """What the formats leave out, a row for each finding and reason.

    A row is the part of the system, what is watched, its limits, who does not see it (as Prometheus) and the reason.
    """
    left: dict[tuple[str, str], list[tuple[Watch, str]]] = {}
    for watch in watches:
        reasons = {"prometheus": watch.unseen_by_prometheus, "cloudformation": watch.unseen_by_cloudwatch}
        for name, reason in reasons.items():
            if reason and name in formats:
                left.setdefault((watch.objective.finding, reason), []).append((watch, KINDS[name]))
    rows: list[tuple[str, ...]] = []
    for (_, reason), unseen in left.items():
        first = unseen[0][0].objective
        limits = dict.fromkeys(each.objective.promise for each, _ in unseen)
        kinds = dict.fromkeys(kind for _, kind in unseen)
        rows.append((first.section, first.title, ", ".join(limits), " and ".join(kinds), reason))
    return rows


def _prometheus(source: Source) -> tuple[str, str, str]:
    rules = alert_rules(source.watches, source.made_from)
    count = sum(not watch.unseen_by_prometheus for watch in source.watches)
    return "alerts.yml", rules, f"{count} alert rules"


def _grafana(source: Source) -> tuple[str, str, str]:
    made = dashboard(source.watches, "Capacity: what was promised")
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
