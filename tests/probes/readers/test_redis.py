"""Redis's own figures on real servers of each version: each cell of docs/what_is_given.md, and what reading costs."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from capacity.analysis.measured.redis import reconnection_findings
from capacity.clock import wait_until
from capacity.findings import Finding
from capacity.probes.measurement import Measurement, gauges_of, measure
from capacity.probes.readers.redis import redis_reader
from capacity.probes.redis import read_redis_findings, with_ends
from capacity.recording import open_recording
from capacity.system.embedded import run_redis
from capacity.system.programs import REDIS_SERVER
from capacity.system.server_directory import open_server_directory
from capacity.workload import Workload, parse_workload

PAGE = Path(__file__).parents[3] / "docs" / "what_is_given.md"
EMBEDDED = "Redis 8.2.3"
OTHERS = ("Redis 6.2.5", "Redis 6.2.14", "Redis 7.0.15", "Redis 7.4.1", "Valkey 8.1.8", "Valkey 9.1.2")
CAUSE = re.compile(r"^- \*\*(\w)\*\* .+: `(.+)`$", re.MULTILINE)
KINDS = 300  # more than Redis counts by kind
SOME = 100  # reads: the load is under way, and will be for a while
SHAPE = {"kind": "rate", "stages": [{"name": "hold", "seconds": 3.2, "to": 400}]}


def reads(connections: int = 40) -> Workload:
    operation = {"name": "GET", "weight": 100, "command": ["GET", "capacity:none"]}
    told = {"name": "redis", "target": "redis", "connections": connections, "operations": [operation]}
    return parse_workload({**told, "shapes": {"smoke": SHAPE}})


@dataclass(frozen=True)
class Servers:
    """A version of which servers can be started, each with settings of its own."""

    version: str
    start: Callable[..., str]
    folder: Path

    def found(self, url: str, workload: Workload, name: str) -> dict[str, Finding]:
        made = measure(Measurement(workload, "smoke"), url, [gauges_of(redis=url)], self.folder / name)
        again = open_recording(made)
        also = reconnection_findings(name, again.samples, again.gauges, again.facts)
        return {each.name: each for each in [*read_redis_findings(made), *also]}


@pytest.fixture(scope="module", params=[EMBEDDED, *(pytest.param(each, marks=pytest.mark.thorough) for each in OTHERS)])
def servers(
    request: pytest.FixtureRequest, redis_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    with pytest.MonkeyPatch.context() as patch, open_server_directory() as directory:
        if request.param != EMBEDDED:
            patch.setenv(REDIS_SERVER, str(redis_of(request.param)))

        def start(**settings: str) -> str:
            return run_redis(directory, **{name.replace("_", "-"): each for name, each in settings.items()}).url

        yield Servers(request.param, start, tmp_path_factory.mktemp("of"))


def client_of(url: str) -> "closing[redis.Redis]":
    return closing(redis.Redis.from_url(url))


def test_a_server_tells_its_product_its_version_and_its_threads(servers: Servers) -> None:
    for threads in (1, 4):
        read, facts = redis_reader(servers.start(io_threads=str(threads)))
        assert (facts["server"], facts["io_threads"], facts["not_given"]) == (servers.version, threads, {})
        told = read()
        assert 0 < told["redis.main_thread_cpu_s"] <= told["redis.cpu_s"] + 0.01


def page_cells(version: str) -> tuple[dict[str, set[str]], dict[str, str]]:
    """What the page says: the letters of the causes by which each finding is not given, and the letter of each."""
    text = PAGE.read_text(encoding="utf-8").partition("## Redis and Valkey")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    (column,) = [place for place, head in enumerate(rows[0]) if version.startswith(head) and head]
    cells = {name.strip("`"): cells[column - 1] for name, *cells in rows[2:]}
    assert all(cell.startswith("given") for cell in cells.values())
    return {name: set(re.findall(r"\*\*(\w)\*\*", cell)) for name, cell in cells.items()}, {
        cause: letter for letter, cause in CAUSE.findall(text)
    }


@pytest.mark.thorough
def test_each_finding_is_given_or_not_as_the_page_says(servers: Servers) -> None:
    """As docs/what_is_given.md has it, cell by cell: what is not given has the cause that is written there."""
    letters, causes = page_cells(servers.version)
    seen: dict[str, set[str]] = {name: set() for name in letters}
    for which, found in situations(servers).items():
        for name in letters:
            finding = found[name]
            if finding.value is None:
                assert causes.get(finding.note, "none") in which, (which, finding)
                seen[name].add(causes[finding.note])
            else:
                assert finding.note == "" or which == "MLS" or "libc" in finding.note, finding
    assert seen == letters


def situations(servers: Servers) -> Mapping[str, dict[str, Finding]]:
    """The findings in each situation, by the letters of what is so in it."""
    url = servers.start(maxmemory="400mb")
    with client_of(url) as client:
        client.mset({f"some:{number}": b"x" * 10_000 for number in range(8_000)})  # larger ones are not wholly resident
        found = {"": servers.found(url, with_ends(reads(), "smoke"), "plenty")}
        client.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">secret", "~*", "+@all", "-info")
        as_user = url.replace("redis://", "redis://shop:secret@")
        found["I"] = servers.found(as_user, with_ends(reads(), "smoke"), "rightless")
        for number in range(KINDS):
            with suppress(redis.ResponseError):
                client.eval(f"return redis.error_reply('KIND{number} of error')", 0)
        found["K"] = servers.found(url, with_ends(reads(), "smoke"), "kinds")
    bare = servers.start(maxmemory="0", io_threads="2")
    with client_of(bare) as client:
        reset = threading.Thread(target=reset_in_mid_run, args=(client,))
        reset.start()
        found["MLS"] = servers.found(bare, with_ends(reads(), "smoke"), "little")
        reset.join()
    cpu = found["MLS"]["redis.cpu_share"]
    assert (cpu.title, cpu.note) == (
        "CPU of the server's main thread, of one core",
        "of the thread that runs the commands; io-threads beside it: 1",
    )
    return found


def reset_in_mid_run(client: redis.Redis) -> None:
    def under_way() -> bool:
        return bool(client.info("commandstats").get("cmdstat_get", {"calls": 0})["calls"] > SOME)

    assert wait_until(under_way, 60)
    client.config_resetstat()


@pytest.mark.thorough
def test_reading_costs_redis_the_same_whatever_it_holds(servers: Servers) -> None:
    """Neither the keys nor the clients make it longer."""
    url = servers.start(maxmemory="0", maxclients="4000")
    with client_of(url) as client:
        empty = cost_us(client, url)
        client.eval("for n = 1, 300000 do redis.call('SET', n, n) end", 0)
        port = client.connection_pool.connection_kwargs["port"]
        connected = [redis.Connection(host="127.0.0.1", port=port) for _ in range(1000)]
        for each in connected:
            each.connect()
        full = cost_us(client, url)
        for each in connected:
            each.disconnect()
    assert full < 5 * empty


def cost_us(client: redis.Redis, url: str) -> float:
    """What Redis takes for one reading, in µs: the least of a few, because others use the machine."""
    read, _ = redis_reader(url)
    return min(_once_us(client, read) for _ in range(10))


def _once_us(client: redis.Redis, read: Callable[[], object]) -> float:
    client.config_resetstat()
    read()
    return float(client.info("commandstats")["cmdstat_info"]["usec"])


@pytest.mark.thorough
def test_a_lost_connection_is_back_as_fast_with_io_threads_and_nothing_stops_the_server(tmp_path: Path) -> None:
    """On Redis 8, of which a CLIENT KILL or CLIENT LIST stops all io-threads."""
    away = {}
    with open_server_directory() as directory:
        for threads in ("1", "4"):
            url = run_redis(directory, **{"io-threads": threads}).url
            workload = with_ends(reads(), "smoke")
            made = measure(Measurement(workload, "smoke"), url, [gauges_of(redis=url)], tmp_path / threads)
            again = open_recording(made)
            found = reconnection_findings("r", again.samples, again.gauges, again.facts)
            away[threads] = {each.name: each.value or 0.0 for each in found}
            assert set(again.samples["outcome"]) == {"ok"}
            with client_of(url) as client:
                asked = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
            assert not [name for name in asked if "kill" in name or "list" in name]
    for name in ("redis.reconnection_p50", "redis.reconnection_p95"):
        assert 0 < away["4"][name] < 10 * away["1"][name]
