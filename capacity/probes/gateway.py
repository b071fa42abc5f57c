"""The gateway probe: requests at their rate against an HTTP API, with its database, queue and workers behind it."""

from pathlib import Path

from capacity.analysis.measured.gateway import gateway_findings
from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.places import WORKLOADS, in_project
from capacity.probes.live import run_probe
from capacity.probes.measurement import Measurement, Progress, gauges_of, measure, quiet
from capacity.recording import open_recording
from capacity.system.addresses import System
from capacity.system.application.database import DATASETS, prepare_database
from capacity.system.processes import open_application
from capacity.workload import read_workload

FILE, JOBS = "gateway.yaml", "queue.yaml"
WORKERS = 2  # enough for the jobs that the requests make


def measure_gateway(system: System, workloads: Path, profile: str, folder: Path, progress: Progress = quiet) -> Path:
    """Measure an API gateway into a new recording in `folder`.

    `workloads` is the folder of gateway.yaml and queue.yaml. Where the system names no gateway, the tables are filled
    and the reference application is started. Raises CapacityError for an unknown profile or a server that is down.
    """
    workload = read_workload(workloads / FILE)
    if profile not in DATASETS:
        raise CapacityError(f"there is no dataset for the profile {profile!r}; it has {', '.join(DATASETS)}")
    if not system.gateway_url:
        prepare_database(system.postgres_admin_url, DATASETS[profile])
    with open_application(system, workloads / JOBS, workers=0 if system.gateway_url else WORKERS) as application:
        running = application.system
        addresses = {
            "gateway": running.gateway_url,
            "postgres": running.postgres_admin_url,
            "redis": running.redis_url,
            "processes": application.processes,
        }
        watchers = [gauges_of(**{kind: where for kind, where in addresses.items() if where})]
        return measure(Measurement(workload, profile), running.gateway_url, watchers, folder, progress)


def run_gateway_probe(live: bool, profile: str, workloads: Path | str, folder: Path | str) -> Path:
    """Where `live`, measure the gateway into `folder`; see `run_probe`.

    `workloads` is the folder (empty: the project's) of gateway.yaml and queue.yaml.
    """

    def probe(system: System, into: Path, progress: Progress) -> None:
        measure_gateway(system, in_project(workloads or WORKLOADS), profile, into, progress)

    return run_probe(live, "gateway", folder, probe)


def read_gateway_findings(folder: Path) -> list[Finding]:
    """The findings of a recording made by `measure_gateway`."""
    main = open_recording(folder)
    return gateway_findings(folder.name, main.samples, main.gauges, main.manifest)
