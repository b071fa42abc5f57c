"""The process of a proxy: the connections through it, and what its network does to them at present."""

import asyncio
import json
import os
import socket
import struct
import threading
from collections import deque
from enum import StrEnum
from functools import partialmethod
from typing import Any

from capacity.clock import monotonic_ns
from capacity.load.child import read_line, run_child, say

BACKLOG = 1024
HELD_BYTES = 4 << 20  # of one direction of a connection; its sender has to wait where more is on the way
NO_LINGER = struct.pack("ii", 1, 0)  # a close is then a reset


class Fault(StrEnum):
    """What the network does.

    PASS: nothing. REFUSE: open connections are closed and new ones refused, as where a server has ended.
    RESET: open connections are reset, and new ones at once. BLACK_HOLE: nothing arrives and nobody is told; what was
    sent arrives when it is lifted, as TCP sends it again. DELAY: an exchange takes longer, half in each direction.
    """

    PASS = "pass"
    REFUSE = "refuse"
    RESET = "reset"
    BLACK_HOLE = "black_hole"
    DELAY = "delay"


class End(asyncio.Protocol):
    """One end of a connection: what arrives here is sent on at the `other` end when it is due."""

    def __init__(self, network: "Network") -> None:
        self.other: End | None = None
        self._network = network
        self._transport: asyncio.Transport | None = None
        self._held: deque[tuple[int, bytes]] = deque()  # when it arrived; no bytes are the end of the stream
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._other_is_slow = self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take part in the network; nothing is read before the other end is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.pause_reading()
        self._network.ends.add(self)
        if self.other is None:
            self._network.accepted_by(self)

    def data_received(self, data: bytes) -> None:
        """Hold what arrived until it is due."""
        self._held.append((monotonic_ns(), data))
        self._held_bytes += len(data)
        self.release()

    def eof_received(self) -> bool:
        """Hold the end of the stream likewise; the other direction stays open."""
        self._held.append((monotonic_ns(), b""))
        self.release()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """End the other side too, in the way in which this one ended."""
        self._network.ends.discard(self)
        self._transport = None
        if self._timer:
            self._timer.cancel()
        if self.other and error:
            self.other.end(reset=True)
        elif self.other and self.other._transport:
            self.other._transport.close()

    def end(self, *, reset: bool) -> None:
        """Close at once, with a reset or as a process that ends does."""
        if self._transport:
            if reset:
                self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            self._transport.abort()

    def release(self) -> None:
        """Send on what is due, and come back for the rest."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        now, hold_ns, silent = monotonic_ns(), self._network.hold_ns, self._network.silent
        while self._held and self.other and not silent and self._held[0][0] + hold_ns <= now:
            self._send(*self._held.popleft(), now)
        if self._held and self.other and not silent:
            wait_s = (self._held[0][0] + hold_ns - now) / 1e9
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.release)
        if self._transport and self.other:
            blocked = silent or self._other_is_slow or self._held_bytes > HELD_BYTES
            (self._transport.pause_reading if blocked else self._transport.resume_reading)()

    def _slow(self, slow: bool) -> None:
        """Take no more from the other side while this one is slow to read."""
        if self.other:
            self.other._other_is_slow = slow
            self.other.release()

    pause_writing = partialmethod(_slow, True)
    resume_writing = partialmethod(_slow, False)

    def _send(self, arrived: int, data: bytes, now: int) -> None:
        if self.other is None or self.other._transport is None:
            return
        self._held_bytes -= len(data)
        if data:
            self.other._transport.write(data)
            self._network.passed(len(data), now - arrived)
        else:
            self._ended = True
            self.other._transport.write_eof()
            if self.other._ended:
                self.other._transport.close()


class Network:
    """What the proxy does at present, and the connections through it."""

    def __init__(self, host: str, port: int) -> None:
        self.ends: set[End] = set()
        self.hold_ns = 0
        self._address, self._fault = (host, port), Fault.PASS
        self._place = _bound(0)  # keeps the port while nobody listens on it
        self._server: asyncio.Server | None = None
        self._kept_waiting: list[End] = []
        self._connecting: set[asyncio.Task[None]] = set()

    @property
    def silent(self) -> bool:
        """Whether nothing passes."""
        return self._fault is Fault.BLACK_HOLE

    @property
    def port(self) -> int:
        """Where the proxy listens."""
        return int(self._place.getsockname()[1])

    async def change(self, fault: Fault, delay_ms: float) -> int:
        """Begin a fault in the place of the one before; returns when it stood, in ns of the monotonic clock."""
        self._fault = fault
        self.hold_ns = int(delay_ms * 1e6 / 2)
        self._accepted = self._bytes = self._pieces = self._held_ns = 0
        if fault is Fault.REFUSE and self._server:
            self._server.close()
            self._server = None
        if fault in (Fault.REFUSE, Fault.RESET):
            for end in tuple(self.ends):
                end.end(reset=fault is Fault.RESET)
            await asyncio.sleep(0)  # the loop closes them in its next round
        if fault is not Fault.REFUSE and not self._server:
            loop, listener = asyncio.get_running_loop(), _bound(self.port)
            self._server = await loop.create_server(lambda: End(self), sock=listener, backlog=BACKLOG)
        stood = monotonic_ns()
        for end in tuple(self.ends):
            end.release()
        if not self.silent:
            waiting, self._kept_waiting = self._kept_waiting, []
            for end in waiting:
                self._connect(end)
        return stood

    def accepted_by(self, near: End) -> None:
        """Let a new connection through to the server, or do to it what the fault does."""
        self._accepted += 1
        if self._fault is Fault.RESET:
            near.end(reset=True)
        elif self.silent:
            self._kept_waiting.append(near)
        else:
            self._connect(near)

    def passed(self, size: int, held_ns: int) -> None:
        """Count what was sent on."""
        self._bytes += size
        self._pieces += 1
        self._held_ns += held_ns

    def passage(self) -> dict[str, Any]:
        """The counts since the last change, as `Passage` has them."""
        delay_ms = 2 * self._held_ns / self._pieces / 1e6 if self._pieces else None
        counts = {"accepted": self._accepted, "open": len(self.ends) // 2, "passed_bytes": self._bytes}
        return {"fault": self._fault, **counts, "delay_ms": delay_ms}

    def _connect(self, near: End) -> None:
        task = asyncio.get_running_loop().create_task(self._connected(near))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connected(self, near: End) -> None:
        far = End(self)
        far.other = near
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, *self._address)
        except OSError:
            near.end(reset=True)
            return
        near.other = far
        if near not in self.ends:
            far.end(reset=True)
        for end in (near, far):
            end.release()


def _bound(port: int) -> socket.socket:
    """A socket on a port of loopback that shares it with others of ours."""
    bound = socket.socket()
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def main(task: dict[str, Any]) -> None:
    """Run a proxy before the task's address until stdin ends."""
    asyncio.run(_serve(Network(task["host"], task["port"])))


async def _serve(network: Network) -> None:
    loop = asyncio.get_running_loop()
    await network.change(Fault.PASS, 0.0)
    say({"port": network.port, "pid": os.getpid()})

    async def obeyed(order: dict[str, Any]) -> dict[str, Any]:
        at_ns = await network.change(Fault(order["fault"]), order["delay_ms"]) if order else monotonic_ns()
        return {"at_ns": at_ns, "passage": network.passage()}

    def obey() -> None:
        try:
            while True:
                order = json.loads(read_line())
                say(asyncio.run_coroutine_threadsafe(obeyed(order), loop).result())
        finally:  # the parent is gone, or what it said is not an order
            os._exit(3)

    threading.Thread(target=obey, daemon=True).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    run_child(main)
