"""The gateway's endpoints: what each asks of the database as the caller, and which writes ask for a job."""

import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, LiteralString

import yaml
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Lifespan

from capacity.system.application import requests
from capacity.system.application.breaker import BreakerOpenError
from capacity.system.application.job_queue import QueuedJob
from capacity.system.application.outbox import job_id
from capacity.system.application.pool import UnavailableError
from capacity.system.application.services import Services

NEWEST = 20
MOST = 100

# No query names the owner: row-level security alone decides which rows the caller sees and writes.
CONNECTORS = "SELECT id, platform, status, created_at FROM capacity.connectors ORDER BY id"
# LEFT JOIN: under row-level security an inner join is estimated at one row, and all the owner's posts are read.
POSTS = """
SELECT p.id, p.title, p.status, p.scheduled_at, c.platform
FROM capacity.posts p LEFT JOIN capacity.connectors c ON c.id = p.connector
ORDER BY p.scheduled_at DESC LIMIT %(limit)s
"""
CALLBACK = """
WITH token AS (
    INSERT INTO capacity.tokens (owner, secret) VALUES (capacity.owner_id(%(owner)s), %(code)s) RETURNING id
)
INSERT INTO capacity.outbox (owner, kind, data)
SELECT capacity.owner_id(%(owner)s), 'TokenRefresh',
       jsonb_build_object('owner', %(owner)s::bigint, 'platform', %(platform)s::text, 'token', id)
FROM token RETURNING id, kind, data
"""
PUBLISH = """
WITH post AS (
    UPDATE capacity.posts SET status = 'published', updated_at = now()
    WHERE id = (SELECT id FROM capacity.posts ORDER BY scheduled_at DESC OFFSET %(place)s LIMIT 1) RETURNING id
)
INSERT INTO capacity.outbox (owner, kind, data)
SELECT capacity.owner_id(%(owner)s), 'PostPublication', jsonb_build_object('owner', %(owner)s::bigint, 'post', id)
FROM post RETURNING id, kind, data
"""


class Endpoints:
    """The handlers of the requests, on `services`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._description = yaml.safe_load(files(__package__).joinpath("openapi.yaml").read_bytes())

    def routes(self) -> list[Route]:
        """Which path goes where."""
        return [
            Route("/api/connectors", self.connectors),
            Route("/api/posts", self.posts),
            Route("/api/oauth/{platform}/callback", self.callback, methods=["POST"]),
            Route("/api/publish", self.publish, methods=["POST"]),
            Route("/api/health", self.health),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.description),
        ]

    async def connectors(self, request: Request) -> Response:
        """The caller's connectors."""
        rows = await self._services.pool.ask_as(requests.caller(request), CONNECTORS, {})
        return _json({"connectors": rows})

    async def posts(self, request: Request) -> Response:
        """The caller's newest posts."""
        owner, limit = requests.caller(request), requests.limit(request, NEWEST, MOST)
        return _json({"posts": await self._services.pool.ask_as(owner, POSTS, {"limit": limit})})

    async def callback(self, request: Request) -> Response:
        """Keep a token for a platform's code, and have it refreshed; the platform itself is not asked."""
        owner, platform = requests.caller(request), requests.platform(request)
        given = await requests.body(request, requests.Callback)
        job = await self._accepted(CALLBACK, owner, {"code": given.code, "platform": platform})
        return _json({"job": job}, 201)

    async def publish(self, request: Request) -> Response:
        """Publish one of the caller's posts."""
        owner = requests.caller(request)
        given = await requests.body(request, requests.Publication)
        job = await self._accepted(PUBLISH, owner, {"place": given.place})
        if job is None:
            raise HTTPException(404, f"the caller has no post at the place {given.place}")
        return _json({"job": job}, 202)

    async def health(self, request: Request) -> Response:
        """What the gateway knows by itself."""
        breaker = self._services.breaker
        return _json({"status": "ok", "breaker": breaker.state.name.lower(), "queue_depth": breaker.depth})

    async def metrics(self, request: Request) -> Response:
        """What the gateway counts."""
        return Response(self._services.metrics(), media_type="text/plain; version=0.0.4")

    async def description(self, request: Request) -> Response:
        """The gateway's description in OpenAPI 3.1."""
        return _json(self._description)

    async def _accepted(self, query: LiteralString, owner: int, parameters: dict[str, Any]) -> str | None:
        """The id of the job that a write asked for, or None where there was nothing to write to."""
        with self._services.breaker.admitted():
            rows = await self._services.pool.ask_as(owner, query, {"owner": owner, **parameters})
            if not rows:
                return None
            job = QueuedJob(job_id(rows[0]["id"]), rows[0]["kind"], rows[0]["data"])
            await self._services.enqueue(job)
        return job.id


def application(services: Services, lifespan: Lifespan[Starlette]) -> Starlette:
    """The gateway as an ASGI application; every refusal has a reason in JSON."""

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _json({"error": error.detail}, error.status_code, error.headers)

    def busy(request: Request, error: Exception) -> Response:
        seconds = math.ceil(services.breaker.cooldown_s)
        return _json({"error": f"Service busy, retry in {seconds}s"}, 503, {"Retry-After": str(seconds)})

    def unavailable(request: Request, error: Exception) -> Response:
        return _json({"error": str(error)}, 503)

    def gone(request: Request, error: Exception) -> Response:
        return _json({"error": "the body did not arrive"}, 400)

    handlers = {HTTPException: refused, BreakerOpenError: busy, UnavailableError: unavailable, ClientDisconnect: gone}
    made = Starlette(routes=Endpoints(services).routes(), exception_handlers=handlers, lifespan=lifespan)
    made.router.redirect_slashes = False
    return made


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(to_json(content), status, headers, media_type="application/json")
