"""Only this machine is loaded unless a host is allowed by name, and nothing is opened to find out."""

import pytest

from capacity.errors import CapacityError
from capacity.system.addresses import System, is_loopback, system_from

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
