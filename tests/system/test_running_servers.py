"""A server of ours ends by any signal, and starts again on its port with what was in its folder."""

import signal

import psutil
import psycopg
import pytest
import redis

from capacity.system.embedded import run_postgres, run_redis
from capacity.system.server_directory import open_server_directory


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_postgres_starts_again_on_its_port_with_its_tables_and_settings(how: signal.Signals) -> None:
    with open_server_directory() as directory:
        server = run_postgres(directory, max_connections="17")
        url, first = server.url, server.pid
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        server.end(how)
        assert not psutil.pid_exists(first)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        server.start_again()
        assert server.pid != first
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
            assert connection.execute("SHOW max_connections").fetchone() == ("17",)
    assert not psutil.pid_exists(server.pid)


def test_redis_starts_again_on_its_port_with_what_it_kept() -> None:
    with open_server_directory() as directory:
        server = run_redis(directory, appendonly="yes", appendfsync="always")
        client = redis.Redis.from_url(server.url, decode_responses=True)
        client.set("kept", "yes")
        before = client.info("server")["run_id"]
        server.end(signal.SIGKILL)
        server.start_again()
        assert client.get("kept") == "yes"
        assert client.info("server")["run_id"] != before
        client.close()
    assert not psutil.pid_exists(server.pid)
