"""A table that a load sells from, for tests of what PostgreSQL says of itself."""

from typing import Any

import psycopg

from capacity.system.embedded import RunningServer

TABLES = (
    "CREATE ROLE app LOGIN",
    "CREATE TABLE stock AS SELECT n AS id, 0 AS sold, repeat('x', 500) AS text FROM generate_series(1, 4000) AS n",
    "CREATE UNIQUE INDEX ON stock (id)",
    "GRANT SELECT, UPDATE ON stock TO app",
    "VACUUM ANALYZE stock",
    "CHECKPOINT",
)
SOLD = "UPDATE stock SET sold = sold + 1 WHERE id = (SELECT 1 + (random() * 3999)::int)"


def selling(seconds: float) -> dict[str, Any]:
    """A workload, with the profile `test`, that sells 200 times a second over four connections."""
    stage = {"name": "sustain", "seconds": seconds, "to": 200}
    return {
        "name": "own",
        "target": "postgres",
        "connections": 4,
        "operations": [{"name": "sell", "weight": 100, "statements": [{"sql": SOLD}]}],
        "shapes": {"test": {"kind": "rate", "stages": [stage]}},
    }


def tell(server: RunningServer, *statements: str) -> None:
    """Execute statements as the superuser, each by itself."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        for each in statements:
            connection.execute(each.encode())
