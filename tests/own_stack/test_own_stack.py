"""A new user on a stack of their own, by the commands of docs/own_stack.md alone: nothing that is said is false."""

import html
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import redis

from capacity.clock import wait_until
from capacity.system.embedded import free_port, run_postgres, run_redis
from capacity.system.programs import POSTGRES_BIN
from capacity.system.server_directory import open_server_directory

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
PASSWORD = "p@ss:/%word"
FILES = ("database", "redis", "gateway")
STARTED_S, COMMAND_S = 30.0, 600
UNDECIDED = 3
IO_SINCE = 16  # the version of PostgreSQL that has pg_stat_io
TABLE = """
CREATE ROLE shop LOGIN PASSWORD 'p@ss:/%word';
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL, cents int NOT NULL);
INSERT INTO orders (customer, cents) SELECT 1 + i % 500, 100 FROM generate_series(1, 20000) AS i;
CREATE INDEX ON orders (customer, id);
GRANT SELECT, INSERT ON orders TO shop;
"""
POOLER = """
[databases]
* = host=127.0.0.1 port={server} user=shop password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = transaction
default_pool_size = 8
max_client_conn = 100
"""
# Of the reference system and its report: none of it is true of the shop.
NOT_OURS = (
    *("connectors", "Supabase", "upabase", "row-level", "Row-level", "SELECT 40", "100 users", "128 connections"),
    *("capacity.posts", "authenticator", "oauth", "t3.medium", "BullMQ", "reference report"),
    *("scripts of 200", "five endpoints"),
)

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.timeout(900),
    pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed (Debian: apt install pgbouncer)"),
]


@dataclass(frozen=True)
class Stack:
    """The shop's addresses, as lines of its .env, and what made its PostgreSQL."""

    lines: str
    version: str


def answering(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module", params=["of Debian", "of the wheel"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL behind PgBouncer, a Redis that lets in a user with few rights, and an API."""
    folder, processes = tmp_path_factory.mktemp("servers"), []
    with pytest.MonkeyPatch.context() as environment, open_server_directory() as directory:
        if request.param == "of Debian":
            if not DEBIAN:
                pytest.skip("PostgreSQL of Debian is not installed (apt install postgresql)")
            environment.setenv(POSTGRES_BIN, str(DEBIAN[-1]))
        settings = {"track_io_timing": "off"} | ({} if request.param != "of Debian" else {"track_wal_io_timing": "off"})
        postgres = run_postgres(directory, **settings)
        with psycopg.connect(postgres.url, autocommit=True) as admin:
            admin.execute(TABLE)
            version = admin.info.parameter_status("server_version") or ""
        server, pooled, api = postgres.port, free_port(), free_port()
        users = folder / "users.txt"
        users.write_text(f'"shop" "{PASSWORD}"\n')
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(POOLER.format(server=server, port=pooled, users=users, password=f"'{PASSWORD}'"))
        for path in (folder, users, configuration):
            path.chmod(0o755)
        cache = run_redis(directory, databases="16")
        with redis.Redis.from_url(cache.url) as client:
            rules = ["on", f">{PASSWORD}", "~shop:*", "+@all", "-@dangerous", "-@admin", "+info"]
            client.execute_command("ACL", "SETUSER", "shop", *rules)
        secret = quote(PASSWORD, safe="")
        direct = f"postgresql://shop:{secret}@127.0.0.1:{server}/postgres"
        command = [sys.executable, "-m", "uvicorn", "--app-dir", HERE, "shop:app", "--port", str(api)]
        serving = {**os.environ, "SHOP_DATABASE": direct}
        try:
            processes.append(subprocess.Popen([str(PGBOUNCER), "-q", "-u", "nobody", str(configuration)]))
            processes.append(subprocess.Popen([*map(str, command), "--log-level", "warning"], env=serving))
            assert wait_until(lambda: answering(pooled) and answering(api), STARTED_S)
            yield Stack(
                f"CAPACITY_POSTGRES_URL=postgresql://shop:{secret}@127.0.0.1:{pooled}/postgres\n"
                f"CAPACITY_REDIS_URL=redis://shop:{secret}@127.0.0.1:{cache.port}/3\n"
                f"CAPACITY_GATEWAY_URL=http://127.0.0.1:{api}\n",
                version,
            )
        finally:
            for process in processes:
                process.terminate()
                process.wait()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the built wheel; what it requires is this environment's own."""
    folder = tmp_path_factory.mktemp("installed")
    wheels = folder / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", wheels, ROOT], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*pip, "--python", folder / "venv", "install", "--no-deps", wheel], check=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "requirements.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "venv" / "bin"


def documented() -> set[str]:
    """The commands that docs/own_stack.md shows."""
    blocks = re.findall(r"```\n(.*?)```", (ROOT / "docs" / "own_stack.md").read_text(encoding="utf-8"), re.DOTALL)
    return {line.partition("#")[0].strip() for block in blocks for line in block.splitlines()}


def words_of(page: Path) -> str:
    """What a reader of a page sees."""
    text = re.sub(r"<(style|script)\b.*?</\1>", " ", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def test_from_an_empty_folder_to_a_report_that_says_nothing_false(
    stack: Stack, installed: Path, tmp_path: Path
) -> None:
    shop = tmp_path / "our_stack"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CAPACITY_", "PYTHON"))}

    def run(command: str, where: Path) -> subprocess.CompletedProcess[str]:
        assert command in documented(), f"docs/own_stack.md does not say: {command}"
        words = command.replace("RUN", "runs/latest").split()
        environment = {**clean, "PATH": f"{installed}:{clean['PATH']}"}
        return subprocess.run(
            words, cwd=where, env=environment, capture_output=True, text=True, check=False, timeout=COMMAND_S
        )

    made = run("capacity init our_stack --postgres --redis --gateway", tmp_path)
    assert made.returncode == 0, made.stderr
    for name in FILES:
        shutil.copy(HERE / f"{name}.yaml", shop / "data" / "workloads")
    shutil.copy(HERE / "objectives.yaml", shop / "data")
    (shop / ".env").write_text(stack.lines)
    (shop / "data" / "workloads" / "breaking_point.yaml").unlink()
    checked = run("capacity check", shop)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    looked = run("capacity doctor", shop)
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert f"PostgreSQL {stack.version.split()[0]}" in looked.stdout
    assert "transaction" in looked.stdout and "pooler" in looked.stdout
    measured = run("capacity run", shop)
    said = measured.stdout + measured.stderr
    assert measured.returncode in (0, UNDECIDED), said  # a busy machine may leave something undecided, and break none
    assert "Traceback" not in said and "ERROR" not in said
    judged = run("capacity verdict RUN", shop)
    assert judged.returncode == measured.returncode, judged.stdout
    page = words_of(shop / "runs" / "latest" / "report.html")
    for word in ("A shop's orders", "find orders", "pay", "A shop's API", "GET /customers/{customer}/orders"):
        assert word in page, word
    assert f"PostgreSQL {stack.version.split()[0]}" in page
    older = int(stack.version.partition(".")[0]) < IO_SINCE
    assert ("has no pg_stat_io" if older else "track_io_timing is off") in page
    assert "When do we outgrow it? not known data/plan.yaml is still the example" in page
    assert re.search(r"database\. ?rollbacks 0\b", page), "what was tried before the load was counted as the load's"
    assert PASSWORD not in page + said and quote(PASSWORD, safe="") not in page + said
    for shown, where in ((page, "the report"), (said, "the terminal"), (looked.stdout, "doctor")):
        assert [word for word in NOT_OURS if word in shown] == [], where
    kept = [path for path in tmp_path.iterdir() if path != shop]
    assert kept == [], "something was written outside the project"
