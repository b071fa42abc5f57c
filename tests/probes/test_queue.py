"""The queue probe on a real queue with the reference workers: every job is accounted for, and nothing is left."""

from dataclasses import replace
from pathlib import Path

import pytest
import redis
import yaml

from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.load.bullmq import Queue
from capacity.probes.queue import measure_queue, read_job_samples, read_queue_findings, wait_until_drained
from capacity.recording import Recording, open_recording
from capacity.samples import check_samples
from capacity.system.addresses import System

PROJECT = Path(__file__).parents[2]
RATE, SECONDS = 300, 4


def short(folder: Path) -> Path:
    """The project's queue.yaml with a short shape, and failures enough to be seen."""
    values = yaml.safe_load((PROJECT / "data" / "workloads" / "queue.yaml").read_text(encoding="utf-8"))
    stages = [{"name": "sustain", "seconds": SECONDS, "to": RATE}]
    values["shapes"] = {"smoke": {"kind": "rate", "stages": stages}}
    for operation in values["operations"]:
        operation["job"]["backoff_ms"] = 50
        operation["job"]["failures"] = {"timeout": {"percent": 10, "lasting": 0.3}}
    (folder / "queue.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folder(system: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("queue")
    return measure_queue(system, short(into), "smoke", into / "recording", workers=2)


@pytest.fixture(scope="module")
def recording(folder: Path) -> Recording:
    return open_recording(folder)


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Finding]:
    return {each.name.removeprefix("queue."): each for each in read_queue_findings(folder)}


def value(found: dict[str, Finding], name: str) -> float:
    given = found[name].value
    assert given is not None, found[name]
    return given


def test_every_job_is_accounted_for(recording: Recording, found: dict[str, Finding]) -> None:
    added = len(recording.samples)
    assert added == pytest.approx(RATE * SECONDS, rel=0.15)
    assert value(found, "acknowledged") == value(found, "ok") == len(recording.jobs) == added
    assert [value(found, name) for name in ("lost", "unexpected", "duplicated", "recovered")] == [0, 0, 0, 0]


def test_the_times_of_a_job_add_up(recording: Recording) -> None:
    course = check_samples(read_job_samples(recording))
    assert set(course["outcome"]) == {"ok", "error"}
    assert set(course["operation"]) == set(recording.manifest["operations"])
    once = course[course["attempts"] == 1]
    run_ms = (once["finished_ns"] - once["sent_ns"]).groupby(once["operation"], observed=True).median() / 1e6
    assert run_ms["ConnectorSync"] == pytest.approx(40, abs=15)
    assert run_ms["TokenRefresh"] < run_ms["ConnectorSync"] < run_ms["DataCleanup"]


def test_the_queue_and_the_workers_ledger_say_the_same(recording: Recording) -> None:
    ledger = recording.ledger
    assert ledger is not None
    done = ledger.loc[ledger["event"] == "completed", "job"]
    jobs = recording.jobs
    assert sorted(done) == sorted(jobs.loc[jobs["outcome"] == "completed", "job"])
    starts = ledger[ledger["event"] == "started"].groupby("job").size()
    assert (starts.loc[jobs["job"]].to_numpy() == jobs["attempts"].to_numpy()).all()


def test_failures_are_retried_and_those_that_last_are_dead_letters(
    recording: Recording, found: dict[str, Finding]
) -> None:
    assert value(found, "retried_rate") == pytest.approx(10, abs=3.5)
    assert value(found, "failed_rate") == pytest.approx(3, abs=2)
    assert value(found, "retry_success_rate") == pytest.approx(70, abs=20)
    assert value(found, "dead_letters.timeout") == 100
    assert value(found, "dead_letters") == (recording.jobs["outcome"] == "failed").sum()


def test_what_it_costs_is_measured(found: dict[str, Finding]) -> None:
    for name in ("workers_cpu_per_job", "redis_cpu_per_job", "workers_cpu_share", "redis_memory", "add_p99"):
        assert value(found, name) > 0
    assert value(found, "workers_cpu_per_job") < 50


def test_only_the_dead_letters_are_left_in_redis(system: System, recording: Recording) -> None:
    queue = Queue(**recording.manifest["queue"])
    assert wait_until_drained(system.redis_url, queue, seconds=5)
    with redis.Redis.from_url(system.redis_url) as client:
        assert list(client.scan_iter(queue.key(f"{recording.manifest['token']}-*"))) == []
        ended = [*client.zrange(queue.key("completed"), 0, -1), *client.zrange(queue.key("failed"), 0, -1)]
        assert not [number for number in ended if number.startswith(recording.manifest["token"].encode())]


def test_a_redis_that_is_down_is_one_sentence(system: System, tmp_path: Path) -> None:
    nowhere = replace(system, redis_url="redis://127.0.0.1:1/0", queue="theirs")
    with pytest.raises(CapacityError, match="Redis does not answer"):
        measure_queue(nowhere, short(tmp_path), "smoke", tmp_path / "recording")


def test_without_a_redis_it_says_which_address_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match="CAPACITY_REDIS_URL is not set"):
        measure_queue(System(queue="theirs"), short(tmp_path), "smoke", tmp_path / "recording")
