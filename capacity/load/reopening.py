"""Opens lost connections again in threads of its own, so that a server that does not answer holds up no operation."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, TypeVar

from capacity.load.connection import Connection, ConnectionLostError

THREADS = 2
Owner = TypeVar("Owner")


class Reopener(Generic[Owner]):
    """Opens connections for their owners; `descriptor` is readable when one of them has opened or failed."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK)
        self._threads = ThreadPoolExecutor(THREADS)
        self._finished: deque[tuple[Owner, Future[int]]] = deque()

    def begin(self, owner: Owner, connection: Connection) -> None:
        """Open the connection; `finished` gives the owner back."""

        def finish(future: "Future[int]") -> None:
            self._finished.append((owner, future))
            with suppress(OSError):  # closed meanwhile
                os.eventfd_write(self.descriptor, 1)

        self._threads.submit(connection.open).add_done_callback(finish)

    def finished(self) -> Iterator[tuple[Owner, int | None]]:
        """Those that ended since the last call: the owner, and the descriptor or None where it was let in by nobody."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)
        while self._finished:
            owner, future = self._finished.popleft()
            try:
                yield owner, future.result()
            except ConnectionLostError:
                yield owner, None

    def close(self) -> None:
        """Begin nothing more; what is under way ends by its own time limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        os.close(self.descriptor)
