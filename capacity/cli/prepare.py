"""`capacity prepare`: tables and keys on servers of your own."""

import click

from capacity.errors import CapacityError


@click.command()
@click.option("--profile", default="smoke", show_default=True, help="smoke, standard or full")
@click.option("--remove", is_flag=True, help="remove the tables and keys instead; roles stay")
def prepare(profile: str, remove: bool) -> None:
    """Fill the tables and the cache of the servers that the environment names, as the probes do before they measure."""
    from capacity.system.addresses import system_from
    from capacity.system.application.cache import ITEMS, prepare_cache, remove_cache
    from capacity.system.application.database import DATASETS, prepare_database, remove_database

    if profile not in DATASETS:
        raise CapacityError(f"there is no profile {profile!r}; accepted are {', '.join(DATASETS)}")
    system = system_from()
    if not (system.postgres_admin_url or system.redis_url):
        raise CapacityError("no server is named; set CAPACITY_POSTGRES_URL or CAPACITY_REDIS_URL")
    done = "removed" if remove else "filled"
    if system.postgres_admin_url:
        if remove:
            remove_database(system.postgres_admin_url)
        else:
            prepare_database(system.postgres_admin_url, DATASETS[profile])
        click.echo(f"PostgreSQL: the schema capacity is {done}")
    if system.redis_url:
        if remove:
            remove_cache(system.redis_url)
        else:
            prepare_cache(system.redis_url, ITEMS[profile])
        click.echo(f"Redis: the keys below capacity: are {done}")
