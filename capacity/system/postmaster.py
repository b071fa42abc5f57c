"""The process of a PostgreSQL that runs on this machine, and only of one that is certainly the one at the address."""

from contextlib import suppress

import psutil
import psycopg

from capacity.system.application.database import connect_as_administrator

BACKEND = "SELECT pg_backend_pid(), coalesce('(' || inet_client_port() || ')', '[local]')"


def find_postmaster(url: str) -> int | None:
    """The process from which a PostgreSQL starts all others; None where it runs elsewhere or there is no address.

    The server numbers its process of our own connection. A process here may bear that number by chance, so it counts
    only where it is a PostgreSQL's whose title names the port of that connection; Windows gives no titles.
    Raises CapacityError where the server does not answer.
    """
    if not url:
        return None
    with connect_as_administrator(url) as connection, suppress(psycopg.Error, psutil.Error):
        row = connection.execute(BACKEND).fetchone()
        backend = psutil.Process(int(row[0])) if row else None
        parent = backend.parent() if backend else None
        if row and backend and parent and all("postgres" in each.name() for each in (backend, parent)):
            titled = psutil.WINDOWS or row[1] in " ".join(backend.cmdline())
            return parent.pid if titled else None
    return None
