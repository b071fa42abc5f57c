"""The reference workload's tables, by each administrator on each PostgreSQL: it works, or a statement makes it work."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from capacity.cli import main
from capacity.errors import CapacityError
from capacity.probes.readers.postgres import postgres_reader
from capacity.system.addresses import System
from capacity.system.application.database import DATASETS, Dataset, remove_database
from capacity.system.embedded import RunningServer, run_postgres
from capacity.system.programs import POSTGRES_BIN
from capacity.system.reference import loading_role, missing_rights, prepare_tables
from capacity.system.rights.dry_run import check_operations
from capacity.system.rights.needs import MissingRight
from capacity.system.server_directory import open_server_directory
from capacity.workload import read_workload

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "postgres_rights.md"
ADMIN, APP, DATABASE = "ad min", "app-1", "shop"  # names that SQL takes only within quotes
MADE_BY_US = ("authenticated", "service_role", "authenticator")
VERSIONS = ["18", *(pytest.param(each, marks=pytest.mark.thorough) for each in ("17", "16", "15", "14"))]
ADMINISTRATORS = {  # as the page calls them: the attributes of the role, and whether it owns the database
    "a superuser": ("SUPERUSER", False),
    "the database's owner with CREATEROLE and BYPASSRLS": ("CREATEROLE BYPASSRLS", True),
    "the database's owner with CREATEROLE": ("CREATEROLE", True),
    "a role with CREATEROLE": ("CREATEROLE", False),
    "the database's owner": ("", True),
}
OWN, ITSELF = "a role of its own", "the administrator"
LOADERS = {OWN: APP, ITSELF: ADMIN}
SCHEMA_STAYS = "the tables are removed; the schema capacity stays: capacity prepare did not make it"
OF_ACTIVITY = ("postgres.connections", "postgres.active", "postgres.idle", "postgres.lock_waiting")
IN_SCHEMA = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('capacity') AND relkind = 'r'"
Make = Callable[[str, bool], None]
STATEMENT = re.compile(r"^- \*\*(\w)\*\* `(.+)`", re.MULTILINE)


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL of its own, asked as its superuser."""

    version: str
    server: RunningServer

    def told(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url("postgres", database), autocommit=True) as connection:
            for each in statements:
                cursor = connection.execute(each.encode())
            return cursor.fetchall() if cursor.description else []

    def url(self, role: str, database: str = DATABASE) -> str:
        return f"postgresql://{role.replace(' ', '%20')}@127.0.0.1:{self.server.port}/{database}"

    def system(self, loader: str = APP, administrator: str = ADMIN, database: str = DATABASE) -> System:
        return System(self.url(loader, database), self.url(administrator, database))

    def roles(self) -> set[str]:
        return {name for (name,) in self.told("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_|^postgres$'")}


@pytest.fixture(scope="module", params=VERSIONS)
def cluster(request: pytest.FixtureRequest, postgres_of: Callable[[str], Path]) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch, open_server_directory() as directory:
        patch.setitem(DATASETS, "test", Dataset(20, 5))
        if request.param != "18":
            patch.setenv(POSTGRES_BIN, str(postgres_of(request.param)))
        yield Cluster(request.param, run_postgres(directory, fsync="off"))


@pytest.fixture
def made(cluster: Cluster) -> Iterator[Make]:
    """Makes an administrator, an ordinary role and a database; all of them, and other roles, are gone afterwards."""
    before = cluster.roles()

    def make(attributes: str, owns: bool) -> None:
        cluster.told(f'CREATE ROLE "{ADMIN}" LOGIN {attributes}', f'CREATE ROLE "{APP}" LOGIN')
        cluster.told(f'CREATE DATABASE {DATABASE} OWNER "{ADMIN if owns else "postgres"}"')

    yield make
    for (name,) in cluster.told("SELECT datname FROM pg_database WHERE datname !~ '^template|^postgres$'"):
        cluster.told(f"DROP DATABASE {name} WITH (FORCE)")
    for name in sorted(cluster.roles() - before):
        cluster.told(f'DROP OWNED BY "{name}"', f'DROP ROLE "{name}"')


def page_cell(administrator: str, loader: str, version: str) -> tuple[bool, list[str]]:
    """What the page says of a cell: whether something has to be done first, and the statements that it names."""
    text = PAGE.read_text(encoding="utf-8")
    statements = dict(STATEMENT.findall(text))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    (row,) = [row for row in rows if row[:2] == [administrator, loader]]
    (column,) = [place for place, head in enumerate(rows[0]) if version in head.split(", ")]
    assert row[column].startswith(("first ", "works"))
    return row[column].startswith("first"), [statements[letter] for letter in re.findall(r"\*\*(\w)\*\*", row[column])]


def quoted_names(statement: str, **names: str) -> str:
    """The statement with these roles for those of the page."""
    return re.sub(r"\b(admin|app)\b", lambda found: f'"{names[found[0]]}"', statement)


def missing_for_tables(system: System) -> list[MissingRight]:
    found = missing_rights(system.postgres_url, system.postgres_admin_url)
    return [each for each in found if "pg_" not in each.statement]


def tables(cluster: Cluster) -> set[str]:
    return {name for (name,) in cluster.told(IN_SCHEMA, database=DATABASE)}


@pytest.mark.parametrize("loader", [OWN, pytest.param(ITSELF, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("administrator", ADMINISTRATORS)
def test_it_works_or_the_statement_that_is_named_makes_it_work(
    cluster: Cluster, made: Make, administrator: str, loader: str
) -> None:
    """As docs/postgres_rights.md has it, cell by cell; afterwards all that was made is taken away."""
    made(*ADMINISTRATORS[administrator])
    before, system = cluster.roles(), cluster.system(LOADERS[loader])
    first, statements = page_cell(administrator, loader, cluster.version)
    missing = missing_for_tables(system)
    needed = [each.statement for each in missing if each.needed]
    on_page = [quoted_names(each, admin=ADMIN, app=LOADERS[loader]) for each in statements]
    assert (bool(needed), [each.statement for each in missing]) == (first, on_page)
    if needed:
        with pytest.raises(CapacityError) as refused:
            prepare_tables(system, "test")
        assert str(refused.value).endswith(f"; let a superuser run: {'; '.join(needed)}")
        assert cluster.roles() == before and not tables(cluster)
        cluster.told(*needed, database=DATABASE)
    left_out = prepare_tables(system, "test")
    assert list(left_out.values()) == [
        f"not given: {each.what}: {each.statement}" for each in missing if not each.needed
    ]
    for name in ("database", "row_security"):
        check_operations(system.postgres_url, read_workload(PROJECT / "data" / "workloads" / f"{name}.yaml"))
    cluster.told(*(each.statement for each in missing if not each.needed), "SELECT 1")
    assert not prepare_tables(system, "test")
    there = {each.split()[2] for each in needed if each.startswith("CREATE ROLE")}
    said = remove_database(system.postgres_admin_url)
    assert {each for each in said if "stays" in each} == {
        *(f"the role {name} stays: capacity prepare did not make it" for name in there),
        *(f"{SCHEMA_STAYS}" for each in needed if each.startswith("CREATE SCHEMA")),
    }
    assert (cluster.roles() - before, tables(cluster)) == (there, set())


def test_a_role_that_another_database_uses_stays_until_that_does_no_more(cluster: Cluster, made: Make) -> None:
    made("CREATEROLE", True)
    cluster.told(f'CREATE DATABASE other OWNER "{ADMIN}"')
    first, second = cluster.system(), cluster.system(database="other")
    prepare_tables(first, "test")
    prepare_tables(second, "test")
    said = remove_database(first.postgres_admin_url)
    assert said[0] == "the schema capacity is removed with its tables"
    assert len(said) == 3
    for each, name in zip(said[1:], ("authenticated", "service_role"), strict=True):
        assert re.fullmatch(rf"the role {name} stays: \d+ objects in database other", each), each
    prepare_tables(second, "test")
    said = remove_database(second.postgres_admin_url)
    assert said[1:] == ["the role authenticated is removed", "the role service_role is removed"]
    assert cluster.roles() == {ADMIN, APP}


@pytest.mark.thorough
def test_a_role_that_was_put_to_other_use_stays_and_the_use_is_named(cluster: Cluster, made: Make) -> None:
    made("SUPERUSER", False)
    system = cluster.system()
    prepare_tables(system, "test")
    cluster.told("CREATE TABLE mine (n int)", "GRANT SELECT ON mine TO authenticated", database=DATABASE)
    cluster.told(f'GRANT service_role TO "{APP}"', "CREATE ROLE report", "GRANT service_role TO report")
    assert remove_database(system.postgres_admin_url)[1:] == [
        "the role authenticated stays: privileges for table mine",
        "the role service_role stays: report may become it",
    ]
    cluster.told("DROP TABLE mine", "REVOKE service_role FROM report", database=DATABASE)
    assert remove_database(system.postgres_admin_url) == [
        "there is no schema capacity",
        "the role authenticated is removed",
        "the role service_role is removed",
    ]


def test_a_schema_that_others_made_is_refused_and_nothing_in_it_is_touched(cluster: Cluster, made: Make) -> None:
    made("CREATEROLE", True)
    system = cluster.system()
    cluster.told("CREATE SCHEMA capacity", "CREATE TABLE capacity.posts AS SELECT 7 AS id", database=DATABASE)
    refusal = (
        f"the database {DATABASE} has a schema capacity that capacity prepare did not make, and nothing in it is "
        "touched; rename it (ALTER SCHEMA capacity RENAME TO …), or name another database"
    )
    for refused in (lambda: prepare_tables(system, "test"), lambda: missing_rights(*addresses(system))):
        with pytest.raises(CapacityError) as error:
            refused()
        assert str(error.value) == refusal
    assert remove_database(system.postgres_admin_url) == ["the schema capacity stays: capacity prepare did not make it"]
    assert cluster.told("SELECT id FROM capacity.posts", database=DATABASE) == [(7,)]
    assert cluster.roles() == {ADMIN, APP}


@pytest.mark.thorough
def test_what_others_put_into_the_schema_stays_with_it(cluster: Cluster, made: Make) -> None:
    made("SUPERUSER", False)
    system = cluster.system()
    prepare_tables(system, "test")
    cluster.told("CREATE TABLE capacity.mine (n int)", database=DATABASE)
    assert remove_database(system.postgres_admin_url)[0] == (
        "the tables are removed; the schema capacity stays, for others are in it: "
        "table capacity.mine depends on schema capacity"
    )
    assert tables(cluster) == {"mine"}
    with pytest.raises(CapacityError, match="has a schema capacity that capacity prepare did not make"):
        prepare_tables(system, "test")


@pytest.mark.thorough
def test_a_view_on_a_table_keeps_all_of_it(cluster: Cluster, made: Make) -> None:
    made("SUPERUSER", False)
    system = cluster.system()
    prepare_tables(system, "test")
    before = tables(cluster)
    cluster.told("CREATE VIEW newest AS SELECT max(scheduled_at) FROM capacity.posts", database=DATABASE)
    with pytest.raises(CapacityError) as refused:
        remove_database(system.postgres_admin_url)
    assert str(refused.value) == (
        "the tables in the schema capacity stay: view newest depends on table capacity.posts; drop that first"
    )
    assert tables(cluster) == before


def test_tables_of_an_earlier_version_bear_no_mark_and_are_known_by_their_columns(cluster: Cluster, made: Make) -> None:
    made("SUPERUSER", False)
    system = cluster.system()
    prepare_tables(system, "test")
    unmarked = ("COMMENT ON SCHEMA capacity IS NULL", "COMMENT ON TABLE capacity.dataset IS NULL")
    cluster.told(*unmarked, "DROP TABLE capacity.granted", database=DATABASE)
    prepare_tables(system, "test")
    assert remove_database(system.postgres_admin_url)[0] == "the schema capacity is removed with its tables"


@pytest.mark.parametrize(
    ("role", "statement", "refusal"),
    [
        (
            "nobody",
            "SELECT 1",
            f"the role {ADMIN} cannot prepare the reference workload: the role nobody, which the load is to come as, "
            'is missing; let a superuser run: CREATE ROLE "nobody" LOGIN',
        ),
        (
            APP,
            f'ALTER ROLE "{APP}" SET default_transaction_read_only = on',
            'PostgreSQL refuses the operation "a user\'s": cannot execute INSERT in a read-only transaction '
            f'(ReadOnlySqlTransaction 25006), as the role {APP}; let it write: ALTER ROLE "{APP}" SET '
            "default_transaction_read_only = off",
        ),
        (APP, f'ALTER ROLE "{APP}" NOLOGIN', f'role "{APP}" is not permitted to log in'),
    ],
)
def test_a_load_that_could_not_succeed_is_refused_before_it_begins(
    cluster: Cluster, made: Make, role: str, statement: str, refusal: str
) -> None:
    made("CREATEROLE", True)
    cluster.told(statement)
    with pytest.raises(CapacityError) as refused:
        prepare_tables(cluster.system(role), "test")
    assert refusal in str(refused.value)


@pytest.mark.thorough
def test_the_role_that_supabase_calls_authenticator_is_made_and_a_superuser_may_load_too(
    cluster: Cluster, made: Make
) -> None:
    made("SUPERUSER", False)
    for role in ("authenticator", "postgres"):
        system = cluster.system(role)
        assert loading_role(system.postgres_url) == role
        assert prepare_tables(system, "test") == {}
    with psycopg.connect(system.postgres_url) as as_superuser:
        as_superuser.execute("SELECT capacity.act_as(3)")
        assert as_superuser.execute("SELECT count(*) FROM capacity.posts").fetchall() == [(5,)]
    assert cluster.roles() == {ADMIN, APP, *MADE_BY_US}
    remove_database(system.postgres_admin_url)
    assert cluster.roles() == {ADMIN, APP}


def test_activity_of_which_a_role_sees_a_part_is_not_read_and_the_statement_is_named(
    cluster: Cluster, made: Make
) -> None:
    made("", False)
    statement = f'GRANT pg_read_all_stats TO "{ADMIN}"'
    why = f"the role {ADMIN}: it may not see others' activity: {statement}"
    read, facts = postgres_reader(cluster.url(ADMIN))
    assert {name for name in read() if name.endswith(("connections", "active", "idle", "waiting"))} == set()
    assert {each for name, each in facts["not_given"].items() if name in OF_ACTIVITY} == {why}
    cluster.told(statement)
    read, facts = postgres_reader(cluster.url(ADMIN))
    assert {*OF_ACTIVITY} <= set(read())


def test_the_command_says_what_it_made_what_it_removed_and_what_stays(
    cluster: Cluster, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made("CREATEROLE", True)
    monkeypatch.setitem(DATASETS, "smoke", Dataset(20, 5))
    monkeypatch.setenv("CAPACITY_POSTGRES_URL", cluster.url(APP))
    monkeypatch.setenv("CAPACITY_POSTGRES_ADMIN_URL", cluster.url(ADMIN))
    said = [CliRunner().invoke(main, ["prepare", *words]).output.splitlines() for words in ([], ["--remove"])]
    assert said == [
        [
            "PostgreSQL: the schema capacity is filled",
            "PostgreSQL: not given: the role service_role has no BYPASSRLS, so the cost of row-level security cannot "
            "be measured: ALTER ROLE service_role BYPASSRLS",
        ],
        [
            "PostgreSQL: the schema capacity is removed with its tables",
            "PostgreSQL: the role authenticated is removed",
            "PostgreSQL: the role service_role is removed",
        ],
    ]


def addresses(system: System) -> tuple[str, str]:
    return system.postgres_url, system.postgres_admin_url
