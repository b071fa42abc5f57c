"""The Redis probe: runs the commands, then reads while the server ends all connections at once."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from capacity.analysis.measured.redis import AWAY, reconnection_findings, redis_findings
from capacity.findings import Finding
from capacity.load.redis import CLIENT_NAME
from capacity.manifest import read_manifest
from capacity.probes.measurement import Measurement, gauges_of, measure
from capacity.probes.probe import Probe, SystemUnderTest
from capacity.probes.promises import for_what_is_undecided
from capacity.probes.searches import SearchSettings
from capacity.recording import note_facts, open_recording
from capacity.system.addresses import REDIS_URL, System, require
from capacity.system.clients import redis_client
from capacity.system.reference import prepare_keys
from capacity.workload import read_workload

RECONNECTION = "reconnection"
BETWEEN_ENDS_S = 1.0
TIMEOUT_S = 5


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
        with _connections_ended(url) as refused:
            measure(Measurement(each, profile), url, [gauges_of(redis=url)], folder / RECONNECTION)
        if refused:
            facts = read_manifest(folder / RECONNECTION)
            note_facts(folder / RECONNECTION, {"not_given": facts.not_given | {AWAY: next(iter(refused))}})
    return folder


def read_redis_findings(folder: Path) -> list[Finding]:
    """The findings of a recording made by `measure_redis`."""
    main = open_recording(folder)
    found = redis_findings(folder.name, main.samples, main.gauges, main.facts)
    if (folder / RECONNECTION).exists():
        again = open_recording(folder / RECONNECTION)
        found += reconnection_findings(f"{folder.name}/{RECONNECTION}", again.samples, again.gauges, again.facts)
    return found


@contextmanager
def _connections_ended(url: str) -> Iterator[set[str]]:
    """Meanwhile the server ends the load's connections, and no others, once a second; gives why it does not."""
    stop, refused = threading.Event(), set[str]()

    def end_again_and_again() -> None:
        with redis_client(url, TIMEOUT_S) as client:
            while not stop.wait(BETWEEN_ENDS_S):
                asked = "CLIENT LIST"
                try:
                    listed = client.client_list()
                    mine = [each["id"] for each in listed if each["name"] == CLIENT_NAME]
                    asked = "CLIENT KILL"
                    pipeline = client.pipeline(transaction=False)
                    for number in mine:
                        pipeline.client_kill_filter(_id=number)
                    said = pipeline.execute(raise_on_error=False)
                    if any(isinstance(each, redis.exceptions.NoPermissionError) for each in said):
                        refused.add(f"NOPERM for {asked}")
                    elif not mine:
                        refused.add("the load's connections have no name in CLIENT LIST (NOPERM for CLIENT SETNAME)")
                except redis.exceptions.NoPermissionError:
                    refused.add(f"NOPERM for {asked}")
                except redis.RedisError:
                    continue  # a server that is busy is asked again

    thread = threading.Thread(target=end_again_and_again, daemon=True)
    thread.start()
    try:
        yield refused
    finally:
        stop.set()
        thread.join()


def ready_redis(system: System, search: SearchSettings, file: Path, profile: str, stack: ExitStack) -> SystemUnderTest:
    """Redis, with its keys filled where the workload is the reference's."""
    url = require(REDIS_URL, system.redis_url)
    if read_workload(file).dataset == "reference":
        prepare_keys(system, profile)
    return SystemUnderTest(url, [gauges_of(redis=url)])


PROBE = Probe("redis", measure_redis, read_redis_findings, lambda system: bool(system.redis_url), ready_redis)
run_redis_probe = PROBE.run
