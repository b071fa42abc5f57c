"""An end to waiting for a server that hangs."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """What `work` gives; TimeoutError where it takes longer.

    `asyncio.timeout` waits until work that it cancels has ended, and a client of a server that hangs may take long to
    end, or now and then miss that it was cancelled. Here such work is left to itself.
    """
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            task.cancel()
