"""A shop's API, as somebody else would have written it: its endpoints and its table are not the reference's."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg_pool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

RECENT = "SELECT id, cents FROM orders WHERE customer = %s ORDER BY id DESC LIMIT 10"
pool = psycopg_pool.AsyncConnectionPool(os.environ["SHOP_DATABASE"], min_size=4, max_size=8, open=False)


async def ready(request: Request) -> Response:
    return PlainTextResponse("ready")


async def orders_of(request: Request) -> Response:
    async with pool.connection() as connection:
        rows = await connection.execute(
            "SELECT id, cents FROM orders WHERE customer = %s ORDER BY id DESC LIMIT 10",
            [request.path_params["customer"]],
        )
        return JSONResponse([{"id": number, "cents": cents} for number, cents in await rows.fetchall()])


async def basket(request: Request) -> Response:
    given = await request.json()
    return JSONResponse({"item": given["item"], "pieces": 1}, status_code=201)


@asynccontextmanager
async def opened(app: Starlette) -> AsyncIterator[None]:
    async with pool:
        yield


app = Starlette(
    routes=[
        Route("/ready", ready),
        Route("/customers/{customer:int}/orders", orders_of),
        Route("/baskets", basket, methods=["POST"]),
    ],
    lifespan=opened,
)
