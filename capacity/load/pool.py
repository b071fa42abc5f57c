"""The connections of a generator: which of them are free, and those that were lost, which are opened again.

They open, and what is given up is cancelled, in threads of their own: a server that does not answer holds up nothing. A
connection opens in the place of one that the server has ended, which so never has more of ours than there are places.
"""

import os
import select
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from capacity.clock import monotonic_ns
from capacity.errors import CapacityError
from capacity.load.arrivals import NEVER
from capacity.load.connection import Connection, ConnectionLostError, OperationRefusedError, receive_end, send_and_read
from capacity.load.health import Health
from capacity.load.schedule import Arrival

REOPEN_NS = 100_000_000  # between two attempts to open a lost connection again, and to cancel first
END_NS = 2_000_000_000  # for the server to end its side of a closed connection
CANCELS = 5  # each waits twice as long as the one before; between two statements a server misses one
STOP_S = 2.0  # for what is under way when this process has to end
THREADS = 2


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one connection: what is under way on it, and when it was opened, sent, answered and lost.

    `cancels` counts the attempts to cancel what was given up on it, `cancelling` is the one under way, and `ended` says
    that what was given up has ended. `leaves` says that it is closed and the server has not ended its side. What is to
    be done next about a connection that is not in use is due at `next_at`.
    """

    connection: Connection
    send: Callable[[int], None]
    receive: Callable[[], int]
    descriptor: int = -1
    arrival: Arrival | None = None
    opened: int = 0
    sent: int = 0
    finished: int = 0
    lost: int = 0
    next_at: int = NEVER
    cancels: int = 0
    cancelling: Future[Any] | None = None
    ended: bool = False
    leaves: bool = False


class ConnectionPool:
    """Connections that take turns, as those of separate clients do: the one used last would be the warmest.

    `epoll` waits for what arrives on them and for what the threads have done.
    """

    def __init__(self, connections: Sequence[Connection], health: Health) -> None:
        self.slots = [Slot(each, each.send, each.receive) for each in connections]
        self.by_descriptor: dict[int, Slot] = {}
        self.idle: deque[Slot] = deque()
        self.refused: list[str] = []
        self.epoll = select.epoll()
        self._health = health
        self._done_at = os.eventfd(0, os.EFD_NONBLOCK)
        self.epoll.register(self._done_at, select.EPOLLIN)
        self._threads = ThreadPoolExecutor(THREADS)
        self._done: deque[tuple[Callable[[Slot, Future[Any]], None], Slot, Future[Any]]] = deque()
        self._opening = self._refusals = self._refused_until = 0
        self._why_refused = "none was opened in time"

    def connect(self) -> int:
        """Open all connections and return how many opened; the reasons of the others are in `refused`.

        Raises CapacityError where the server refuses an operation of the workload, as it would on each connection.
        """
        for slot in self.slots:
            try:
                self._use(slot, slot.connection.open())
            except OperationRefusedError as error:
                raise CapacityError(str(error)) from None
            except ConnectionLostError as error:
                self.refused.append(str(error))
        self.slots = [slot for slot in self.slots if slot.descriptor >= 0]
        return len(self.slots)

    @property
    def rests(self) -> bool:
        """Whether nothing is under way, and nothing that was given up."""
        return all(slot.arrival is None and not slot.cancels for slot in self.slots)

    @property
    def why_none_is_free(self) -> str:
        """Why an operation found no free connection."""
        return "no free connection" if self.by_descriptor else f"no connection: {self._why_refused}"

    def send_rest(self, slot: Slot) -> None:
        """Have the rest of a request sent when the system takes it."""

        def all_sent() -> None:
            self.epoll.modify(slot.descriptor, select.EPOLLIN)
            slot.receive = slot.connection.receive

        slot.receive = partial(send_and_read, slot.connection, all_sent)
        self.epoll.modify(slot.descriptor, select.EPOLLIN | select.EPOLLOUT)

    def lose(self, slot: Slot, now: int) -> None:
        """Take a connection out of use, with what is under way on it; another is opened when the server has ended it.

        That is not at once where it had just been opened and nothing was sent: such a server would be asked for ever.
        """
        with suppress(OSError):  # libpq closes a descriptor itself when the server ends the connection
            self.epoll.unregister(slot.descriptor)
        del self.by_descriptor[slot.descriptor]
        if slot.leaves:
            os.close(slot.descriptor)
            slot.descriptor, slot.leaves = -1, False
        else:
            self._close(slot, now)
        if not slot.leaves:
            slot.next_at = 0 if slot.sent > slot.opened else slot.opened + REOPEN_NS
            self.tend(slot, now)

    def give_up(self, slot: Slot, now: int) -> None:
        """Wait no more for what is under way on a connection: it is cancelled, or the connection is lost."""
        if slot.connection.cancel is None:
            self.lose(slot, now)
        else:
            slot.arrival, slot.lost = None, now
            self._cancel(slot, now)

    def tend(self, slot: Slot, now: int) -> None:
        """Do what is due about a connection that is not in use."""
        if now < slot.next_at:
            return
        if slot.leaves or slot.cancels > CANCELS:
            self.lose(slot, now)
        elif slot.cancels:
            self._cancel(slot, now)
        elif self._refusals > THREADS and (now < self._refused_until or self._opening):
            slot.next_at = self._refused_until  # of a server that is down, one connection is asked for at a time
        else:
            slot.next_at = NEVER
            self._opening += 1
            self._submit(slot, slot.connection.open, self._opened)

    def is_free_again(self, slot: Slot) -> bool:
        """Whether what answered is what was given up; its connection is free again once no cancel is under way."""
        if not slot.cancels:
            return False
        slot.ended = True
        if slot.cancelling is not None and slot.cancelling.cancel():  # it had not begun
            slot.cancelling = None
        self._free_ended(slot)
        return True

    def take_done(self) -> None:
        """Connections that opened, or of which what was given up has ended, are free from now on."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._done_at)
        while self._done:
            take, slot, future = self._done.popleft()
            take(slot, future)

    def stop(self) -> None:
        """Have the server give up what is under way, for a short time, because this process ends; from any thread."""
        cancels = [slot.connection.cancel for slot in self.slots if slot.arrival is not None or slot.cancels]
        threads = ThreadPoolExecutor(8)
        wait([threads.submit(cancel) for cancel in cancels if cancel is not None], STOP_S)

    def close(self) -> None:
        """Close all and begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for slot in self.by_descriptor.values():
            ending = slot.descriptor if slot.leaves else slot.connection.close()
            if ending >= 0:
                os.close(ending)
        os.close(self._done_at)
        self.epoll.close()

    def _use(self, slot: Slot, descriptor: int) -> None:
        slot.descriptor, slot.opened, slot.receive = descriptor, monotonic_ns(), slot.connection.receive
        self.by_descriptor[descriptor] = slot
        self.epoll.register(descriptor, select.EPOLLIN)
        self.idle.append(slot)

    def _close(self, slot: Slot, now: int) -> None:
        """Close a connection; until the server ends its side too, where that is waited for, its place is taken."""
        if not slot.cancels:
            slot.lost = now
            if slot.arrival is None:
                self.idle.remove(slot)
        slot.arrival, slot.cancels, slot.cancelling, slot.ended = None, 0, None, False
        slot.descriptor = slot.connection.close()
        slot.leaves = slot.descriptor >= 0
        if slot.leaves:
            slot.next_at = now + END_NS
            slot.receive = partial(receive_end, slot.descriptor)
            self.by_descriptor[slot.descriptor] = slot
            self.epoll.register(slot.descriptor, select.EPOLLIN)

    def _cancel(self, slot: Slot, now: int) -> None:
        if slot.cancelling is None and slot.connection.cancel is not None:
            slot.cancelling = self._submit(slot, slot.connection.cancel, self._cancelled)
        slot.next_at = now + (REOPEN_NS << slot.cancels)
        slot.cancels += 1

    def _cancelled(self, slot: Slot, future: Future[Any]) -> None:
        if future is not slot.cancelling:  # its connection was lost, or what was given up had ended before
            return
        slot.cancelling = None
        if future.exception() is not None:
            self.lose(slot, monotonic_ns())
        elif slot.ended:
            self._free_ended(slot)

    def _free_ended(self, slot: Slot) -> None:
        """Unless a cancel is under way, which would be of the next operation."""
        if slot.ended and slot.cancelling is None:
            slot.cancels, slot.ended, slot.next_at = 0, False, NEVER
            self.idle.append(slot)
            self._health.reconnected(monotonic_ns(), slot.lost, used=False)

    def _opened(self, slot: Slot, future: Future[Any]) -> None:
        self._opening -= 1
        used = slot.sent > slot.opened
        try:
            self._use(slot, future.result())
        except ConnectionLostError as error:
            slot.next_at = self._refused_until = monotonic_ns() + REOPEN_NS
            self._refusals, self._why_refused = self._refusals + 1, str(error)
            self._health.refused(monotonic_ns())
        else:
            self._refusals = 0
            self._health.reconnected(slot.opened, slot.lost, used)

    def _submit(self, slot: Slot, work: Callable[[], object], take: Callable[[Slot, Future[Any]], None]) -> Future[Any]:
        def tell(future: Future[Any]) -> None:
            self._done.append((take, slot, future))
            with suppress(OSError):  # closed meanwhile
                os.eventfd_write(self._done_at, 1)

        future = self._threads.submit(work)
        future.add_done_callback(tell)
        return future
