"""`capacity prepare`: tables and keys on servers of your own."""

import click

from capacity.errors import CapacityError

LEFT = "jobs of a load that is under way, or that a worker has begun, are left; try again when they have ended"


@click.command()
@click.option("--profile", default="smoke", show_default=True, help="smoke, standard or full")
@click.option("--remove", is_flag=True, help="remove instead what was made: tables, schema, roles and keys")
def prepare(profile: str, remove: bool) -> None:
    """Fill the tables and the cache of the servers that the environment names, as the probes do before they measure."""
    from capacity.load.bullmq import Queue
    from capacity.probes.queue import remove_left_jobs
    from capacity.system.addresses import system_from
    from capacity.system.application.cache import remove_cache
    from capacity.system.application.database import DATASETS, remove_database
    from capacity.system.reference import prepare_keys, prepare_tables

    if profile not in DATASETS:
        raise CapacityError(f"there is no profile {profile!r}; accepted are {', '.join(DATASETS)}")
    system = system_from()
    if not (system.postgres_admin_url or system.redis_url):
        raise CapacityError("no server is named; set CAPACITY_POSTGRES_URL or CAPACITY_REDIS_URL")
    if system.postgres_admin_url:
        said = remove_database(system.postgres_admin_url) if remove else prepare_tables(system, profile).values()
        for each in said if remove else ["the schema capacity is filled", *said]:
            click.echo(f"PostgreSQL: {each}")
    if system.redis_url and system.queue and remove:
        gone = remove_left_jobs(system.redis_url, Queue(system.queue, system.queue_prefix))
        click.echo(f"queue {system.queue}: {'no job of a load is left' if gone else LEFT}")
    if system.redis_url and remove:
        there = remove_cache(system.redis_url)
        click.echo(f"Redis: {'the keys below capacity: are removed' if there else 'there are no keys below capacity:'}")
    elif system.redis_url:
        prepare_keys(system, profile)
        click.echo("Redis: the keys below capacity: are filled")
