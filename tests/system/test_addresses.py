"""Only this machine is loaded unless a host is allowed by name, and nothing is opened to find out."""

import os
from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.places import OBJECTIVES, PROJECT
from capacity.system.addresses import (
    ALLOWED,
    ENV_FILE,
    VARIABLES,
    System,
    is_loopback,
    project_environment,
    system_from,
)

REFUSED = [
    "postgresql://postgres@db.example.com/postgres",
    "postgresql://postgres@10.0.0.5:5432/postgres",
    "postgresql://postgres@localhost,db.example.com/postgres",
    "host=localhost hostaddr=10.0.0.5 dbname=postgres",
    "postgresql:///postgres?host=192.168.1.4",
]


@pytest.mark.parametrize("url", REFUSED)
def test_a_postgres_host_beyond_this_machine_is_refused(url: str) -> None:
    with pytest.raises(CapacityError, match="only this machine is loaded unless a host is allowed by name"):
        system_from({"CAPACITY_POSTGRES_URL": url})


def test_the_variables_of_libpq_cannot_lead_to_another_host() -> None:
    for variable in ("PGHOST", "PGHOSTADDR"):
        with pytest.raises(CapacityError, match=r"on the host 10\.0\.0\.5"):
            system_from({"CAPACITY_POSTGRES_URL": "postgresql:///postgres", variable: "10.0.0.5"})


def test_a_service_is_refused_because_it_hides_its_host() -> None:
    with pytest.raises(CapacityError, match="names a service, which hides its host"):
        system_from({"CAPACITY_POSTGRES_URL": "service=production"})


def test_the_address_of_the_administrator_is_checked_too() -> None:
    environment = {
        "CAPACITY_POSTGRES_URL": "postgresql://a@127.0.0.1/postgres",
        "CAPACITY_POSTGRES_ADMIN_URL": "postgresql://a@db.example.com/postgres",
    }
    with pytest.raises(CapacityError, match=r"CAPACITY_POSTGRES_ADMIN_URL is on the host db\.example\.com"):
        system_from(environment)


@pytest.mark.parametrize("url", ["redis://cache.example.com:6379/0", "redis://10.0.0.5"])
def test_a_redis_host_beyond_this_machine_is_refused(url: str) -> None:
    with pytest.raises(CapacityError, match="CAPACITY_REDIS_URL is on the host"):
        system_from({"CAPACITY_REDIS_URL": url})


@pytest.mark.parametrize("url", ["rediss://127.0.0.1", "redis://127.0.0.1:x", "redis://127.0.0.1/0?ssl=1", "6379"])
def test_an_address_that_redis_load_cannot_use_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(CapacityError, match="CAPACITY_REDIS_URL is not an address that can be loaded"):
        system_from({"CAPACITY_REDIS_URL": url})


def test_a_host_is_loaded_where_it_is_allowed_by_name() -> None:
    url = "postgresql://a@db.example.com/postgres"
    system = system_from({"CAPACITY_POSTGRES_URL": url, "CAPACITY_ALLOW_HOSTS": "other, DB.example.com"})
    assert system.postgres_url == system.postgres_admin_url == url


def test_sockets_and_loopback_numbers_are_this_machine() -> None:
    for url in ("postgresql:///x?host=/run/postgresql", "postgresql://a@[::1]/x", "postgresql://a@127.9.9.9/x"):
        assert system_from({"CAPACITY_POSTGRES_URL": url}).postgres_url == url
    assert is_loopback("localhost")
    assert not is_loopback("localhost.example.com")


def test_an_address_with_a_password_is_not_printed() -> None:
    assert "secret" not in repr(System(postgres_url="postgresql://a:secret@127.0.0.1/x"))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of somebody's own, which is the current folder, with no address in the environment."""
    (tmp_path / OBJECTIVES).parent.mkdir()
    (tmp_path / OBJECTIVES).write_text("[]")
    monkeypatch.chdir(tmp_path)
    for name in (PROJECT, *VARIABLES.values(), ALLOWED):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_addresses_of_a_project_are_read_from_its_file(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "# ours",
        "CAPACITY_REDIS_URL='redis://app:p%40$' # a comment",
        "CAPACITY_QUEUE=",
        "OTHER=x",
        'export CAPACITY_GATEWAY_URL="http://127.0.0.1:8000/"',
        "CAPACITY_POSTGRES_URL=postgresql://a:${HOME}#%25@127.0.0.1/b",
    ]
    (own / ENV_FILE).write_text("\n".join(lines))
    (own / "notebooks").mkdir()
    monkeypatch.chdir(own / "notebooks")
    with pytest.raises(CapacityError, match="CAPACITY_REDIS_URL is not an address"):
        system_from()
    (own / ENV_FILE).write_text((own / ENV_FILE).read_text().replace("p%40$", "p%40$@localhost/3"))
    system = system_from()
    assert system.redis_url == "redis://app:p%40$@localhost/3"
    assert system.gateway_url == "http://127.0.0.1:8000"
    assert system.postgres_url == "postgresql://a:${HOME}#%25@127.0.0.1/b"
    assert (system.queue, "OTHER" in project_environment() and "OTHER" not in os.environ) == ("", False)


def test_the_environment_wins_over_the_file_with_an_empty_value_too(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own / ENV_FILE).write_text("CAPACITY_REDIS_URL=redis://localhost:1\nCAPACITY_GATEWAY_URL=http://localhost:2\n")
    monkeypatch.setenv("CAPACITY_REDIS_URL", "redis://localhost:3")
    monkeypatch.setenv("CAPACITY_GATEWAY_URL", "")
    assert system_from() == System(redis_url="redis://localhost:3")


def test_a_host_that_the_file_names_needs_to_be_allowed_there_too(own: Path) -> None:
    (own / ENV_FILE).write_text("CAPACITY_REDIS_URL=redis://:secret@10.0.0.5:6379\n")
    with pytest.raises(CapacityError, match=r"CAPACITY_REDIS_URL is on the host 10\.0\.0\.5") as refused:
        system_from()
    assert "secret" not in str(refused.value)
    with (own / ENV_FILE).open("a") as file:
        file.write("CAPACITY_ALLOW_HOSTS=10.0.0.5\n")
    assert system_from().redis_url.endswith("@10.0.0.5:6379")


def test_a_name_that_nothing_reads_is_refused_without_its_value(own: Path) -> None:
    (own / ENV_FILE).write_text("CAPACITY_POSTGRES=postgresql://a:secret@localhost/b\n")
    sentence = f"^{own / ENV_FILE}: nothing reads CAPACITY_POSTGRES; accepted are CAPACITY_POSTGRES_URL, "
    with pytest.raises(CapacityError, match=sentence) as refused:
        system_from()
    assert "secret" not in str(refused.value)


def test_a_file_in_a_folder_that_is_no_project_is_not_read(own: Path) -> None:
    (own / ENV_FILE).write_text("CAPACITY_REDIS_URL=redis://localhost:1\n")
    (own / OBJECTIVES).unlink()
    assert system_from() == System()


@pytest.mark.parametrize(
    ("address", "database"),
    [
        ("", ""),
        ("postgresql://me:secret@127.0.0.1:6543/shop", "shop"),
        ("postgresql://127.0.0.1/shop?user=me&password=secret", "shop"),
        ("host=127.0.0.1 user=me", "me"),  # as libpq has it
    ],
)
def test_the_name_of_the_database_is_told_without_what_else_is_in_its_address(address: str, database: str) -> None:
    assert system_from({"CAPACITY_POSTGRES_URL": address}).database == database


@pytest.mark.parametrize(
    ("environment", "hosts"),
    [
        ({}, {}),
        ({"CAPACITY_POSTGRES_URL": "postgresql://me:secret@127.0.0.1:6543/shop"}, {"postgres": "127.0.0.1"}),
        ({"CAPACITY_POSTGRES_URL": "host=/run/postgresql user=me"}, {"postgres": "a socket of this machine"}),
        (
            {"CAPACITY_REDIS_URL": "redis://:p%40ss@localhost:6379/3", "CAPACITY_GATEWAY_URL": "http://localhost:8080"},
            {"redis": "localhost", "gateway": "localhost"},
        ),
    ],
)
def test_the_hosts_of_a_system_are_told_without_what_else_is_in_its_addresses(
    environment: dict[str, str], hosts: dict[str, str]
) -> None:
    system = system_from(environment)
    assert system.hosts == hosts
    assert system.is_own == bool(environment)
    assert not system_from({**environment, "CAPACITY_EMBEDDED": "1"}).is_own
