"""The connections of a generator: which of them are free, and those that were lost, which are opened again.

They open in threads of their own, so that a server that does not answer holds up no operation.
"""

import os
import select
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from capacity.errors import CapacityError
from capacity.load.arrivals import NEVER
from capacity.load.connection import Connection, ConnectionLostError, OperationRefusedError
from capacity.load.schedule import Arrival

REOPEN_NS = 100_000_000  # between two attempts to open a lost connection again
THREADS = 2


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one connection: what is under way on it, when it was sent and answered; or when it was lost."""

    connection: Connection
    send: Callable[[int], None]
    receive: Callable[[], int]
    descriptor: int = -1
    arrival: Arrival | None = None
    sent: int = 0
    finished: int = 0
    lost: int = 0
    reopen_at: int = NEVER


class ConnectionPool:
    """Connections that take turns, as those of separate clients do: the one used last would be the warmest.

    `epoll` waits for what arrives on them, and for `reopened_at`, which says that one has opened again or failed to.
    """

    def __init__(self, connections: Sequence[Connection]) -> None:
        self.slots = [Slot(each, each.send, each.receive) for each in connections]
        self.by_descriptor: dict[int, Slot] = {}
        self.idle: deque[Slot] = deque()
        self.refused: list[str] = []
        self.epoll = select.epoll()
        self.reopened_at = os.eventfd(0, os.EFD_NONBLOCK)
        self.epoll.register(self.reopened_at, select.EPOLLIN)
        self._threads = ThreadPoolExecutor(THREADS)
        self._tried: deque[tuple[Slot, Future[int]]] = deque()

    def connect(self) -> int:
        """Open all connections and return how many opened; the reasons of the others are in `refused`.

        Raises CapacityError where the server refuses an operation of the workload, as it would on each connection.
        """
        for slot in self.slots:
            try:
                self._take(slot, slot.connection.open())
            except OperationRefusedError as error:
                raise CapacityError(str(error)) from None
            except ConnectionLostError as error:
                self.refused.append(str(error))
        self.slots = [slot for slot in self.slots if slot.descriptor >= 0]
        return len(self.slots)

    def lose(self, slot: Slot, now: int) -> None:
        """Take a connection out of use, with what is under way on it, and begin to open it again."""
        with suppress(OSError):  # libpq closes a descriptor itself when the server ends the connection
            self.epoll.unregister(slot.descriptor)
        del self.by_descriptor[slot.descriptor]
        slot.connection.close()
        slot.descriptor, slot.lost = -1, now
        if slot.arrival is None:
            self.idle.remove(slot)
        slot.arrival = None
        self.reopen(slot)

    def reopen(self, slot: Slot) -> None:
        """Begin to open a lost connection; `reopened` takes it."""
        slot.reopen_at = NEVER

        def tried(future: "Future[int]") -> None:
            self._tried.append((slot, future))
            with suppress(OSError):  # closed meanwhile
                os.eventfd_write(self.reopened_at, 1)

        self._threads.submit(slot.connection.open).add_done_callback(tried)

    def reopened(self, now: int) -> Iterator[Slot]:
        """Those that opened since the last call are free from now on; the others are to be tried again later."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.reopened_at)
        while self._tried:
            slot, future = self._tried.popleft()
            try:
                self._take(slot, future.result())
                yield slot
            except ConnectionLostError:
                slot.reopen_at = now + REOPEN_NS

    def close(self) -> None:
        """Close all and begin nothing more; what is under way ends by its own time limit."""
        for slot in self.slots:
            if slot.descriptor >= 0:
                slot.connection.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        os.close(self.reopened_at)
        self.epoll.close()

    def _take(self, slot: Slot, descriptor: int) -> None:
        slot.descriptor = descriptor
        self.by_descriptor[descriptor] = slot
        self.epoll.register(descriptor, select.EPOLLIN)
        self.idle.append(slot)
