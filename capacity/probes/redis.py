"""The Redis probe: runs the commands, then reads while the server ends one connection after the other."""

from contextlib import ExitStack
from pathlib import Path

from capacity.analysis.measured.redis import reconnection_findings, redis_findings
from capacity.findings import Finding
from capacity.load.redis import LAST
from capacity.operation import Operation
from capacity.probes.measurement import Measurement, gauges_of, measure
from capacity.probes.probe import Probe, SystemUnderTest
from capacity.probes.promises import for_what_is_undecided
from capacity.probes.searches import SearchSettings
from capacity.recording import open_recording
from capacity.system.addresses import REDIS_URL, System, require
from capacity.system.reference import prepare_keys
from capacity.workload import WEIGHT_TOTAL, Workload, read_workload

RECONNECTION = "reconnection"
BETWEEN_ENDS_S = 1.0  # of one connection
MOST_ENDS = 0.1  # of the operations: the reads go on meanwhile
USERS_RATE = 100.0  # operations a second of one user, of which nobody says how many there are


def measure_redis(system: System, workloads: Path, profile: str, folder: Path) -> Path:
    """Measure Redis into a new recording in `folder`, with the reconnections in its sub-folder `reconnection`.

    `workloads` is the folder of redis.yaml and, where reconnections are wanted, of redis_reconnection.yaml, the reads
    meanwhile. Keys are filled for a workload with `dataset: reference` alone. Raises CapacityError for an unknown
    profile or a server that is down or lets nobody in.
    """
    files = [workloads / "redis.yaml", workloads / "redis_reconnection.yaml"]
    commands, *reads = [read_workload(file) for file in files if file is files[0] or file.exists()]
    url = require(REDIS_URL, system.redis_url)
    for each in (commands, *reads):
        each.shape(profile)
    if "reference" in {each.dataset for each in (commands, *reads)}:
        prepare_keys(system, profile)
    promises = for_what_is_undecided("redis", read_redis_findings, workloads)
    measure(Measurement(commands, profile), url, [gauges_of(redis=url)], folder, goes_on_for=promises)
    for each in reads:
        measure(Measurement(with_ends(each, profile), profile), url, [gauges_of(redis=url)], folder / RECONNECTION)
    return folder


def read_redis_findings(folder: Path) -> list[Finding]:
    """The findings of a recording made by `measure_redis`."""
    main = open_recording(folder)
    found = redis_findings(folder.name, main.samples, main.gauges, main.facts)
    if (folder / RECONNECTION).exists():
        again = open_recording(folder / RECONNECTION)
        found += reconnection_findings(f"{folder.name}/{RECONNECTION}", again.samples, again.gauges, again.facts)
    return found


def with_ends(reads: Workload, profile: str) -> Workload:
    """The workload with an operation after which the server ends the connection: each about once a second.

    It is QUIT, which costs the server nothing. A CLIENT KILL stops all io-threads of Redis 8 for 15 ms, and what its
    connection is away for is then the time of the kills of the others.
    """
    if any(each.command[0].upper() == LAST for each in reads.operations):
        return reads
    shape = reads.shape(profile)
    rate = max(stage.to for stage in shape.stages) if shape.kind == "rate" else USERS_RATE * reads.connections
    share = min(MOST_ENDS, reads.connections / rate / BETWEEN_ENDS_S)
    kept = [each.model_copy(update={"weight": each.weight * (1 - share)}) for each in reads.operations]
    ends = Operation(name=LAST, weight=WEIGHT_TOTAL * share, command=[LAST])
    return reads.model_copy(update={"operations": [*kept, ends]})


def ready_redis(system: System, search: SearchSettings, file: Path, profile: str, stack: ExitStack) -> SystemUnderTest:
    """Redis, with its keys filled where the workload is the reference's."""
    url = require(REDIS_URL, system.redis_url)
    if read_workload(file).dataset == "reference":
        prepare_keys(system, profile)
    return SystemUnderTest(url, [gauges_of(redis=url)])


PROBE = Probe("redis", measure_redis, read_redis_findings, lambda system: bool(system.redis_url), ready_redis)
run_redis_probe = PROBE.run
