"""A TCP proxy before a server, which can be told to do what a bad network does; it ends with the process that has it.

A kernel accepts a connection before any process hears of it. So in a black hole a connect still succeeds and then hears
nothing, a delay is added to what is exchanged and not to the connect, and a server that is down is a reset. Where
nothing is wrong it adds some 30 to 80 µs to an exchange and passes some 37,000 of them a second over 16 connections,
where Redis alone answers 104,000 (2 cores).
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from capacity.clock import monotonic_ns
from capacity.errors import CapacityError
from capacity.load.child import Child
from capacity.system.network import Fault

ANSWER_SECONDS = 10.0
# What each server answers before it knows who asks: PostgreSQL an SSLRequest with one letter, Redis a PING.
GREETINGS = {"postgresql": struct.pack("!ii", 8, 80877103), "postgres": struct.pack("!ii", 8, 80877103)}
GREETINGS |= {"redis": b"PING\r\n", "tcp": b"\n"}
Met = Literal["answered", "closed", "refused", "reset", "silent"]


@dataclass(frozen=True, slots=True)
class ConnectionOutcome:
    """What a new connection met, and the ms until then: its greeting `answered` or the connection `closed`, or worse.

    `silent` is one that heard nothing within the time that it waited.
    """

    met: Met
    after_ms: float


@dataclass(frozen=True, slots=True)
class Passage:
    """What went through the proxy since its fault was last changed.

    `delay_ms` is what the proxy added to an exchange, twice the mean time for which it held what arrived, or None where
    nothing arrived. `accepted` counts new connections and `open` those that are open now.
    """

    fault: Fault
    accepted: int
    open: int
    passed_bytes: int
    delay_ms: float | None


class Proxy:
    """A running proxy before `host`:`port`, which listens on the loopback port `port` of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._child = Child("capacity.system.network", {"host": host, "port": port}, {})
        ready = self._child.wait_ready()
        self.port: int = ready["port"]
        self.pid: int = ready["pid"]

    def apply(self, fault: Fault, delay_ms: float = 0.0) -> int:
        """Begin a fault in the place of the one before; returns when it began, in ns of the monotonic clock.

        Raises ValueError where a delay is not above 0, or something else than a delay has one.
        """
        if (delay_ms > 0) != (fault is Fault.DELAY):
            raise ValueError(
                f"the fault {fault} has a delay of {delay_ms:g} ms; a delay has one above 0, and no other fault has one"
            )
        began: int = self._ask({"fault": fault, "delay_ms": delay_ms})["at_ns"]
        return began

    def lift(self) -> int:
        """Let everything pass again; returns since when, in ns of the monotonic clock."""
        return self.apply(Fault.PASS)

    def passage(self) -> Passage:
        """What went through since the fault was last changed."""
        said = self._ask({})
        return Passage(**{**said["passage"], "fault": Fault(said["passage"]["fault"])})

    def close(self) -> None:
        """End the proxy and its connections."""
        self._child.close()

    def before(self, url: str) -> str:
        """The address `url` with the proxy in the place of its host and port."""
        parts = urlsplit(url)
        credentials = parts.netloc.rpartition("@")[0]
        host = f"127.0.0.1:{self.port}"
        return parts._replace(netloc=f"{credentials}@{host}" if credentials else host).geturl()

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        self._child.tell(order)
        said = self._child.wait(ANSWER_SECONDS)
        if said is None:
            raise CapacityError(f"the proxy did not answer within {ANSWER_SECONDS:g} s")
        return said


@contextmanager
def open_proxy(url: str) -> Iterator[Proxy]:
    """A proxy before the server of an address such as redis://127.0.0.1:6379, for the time of a with-block."""
    parts = urlsplit(url)
    if not parts.hostname or not parts.port:
        raise CapacityError("a proxy needs an address with a host and a port, as redis://127.0.0.1:6379")
    proxy = Proxy(parts.hostname, parts.port)
    try:
        yield proxy
    finally:
        proxy.close()


def try_connection(url: str, seconds: float) -> ConnectionOutcome:
    """What a new connection to the server of an address meets that greets it and waits so long for its answer."""
    parts = urlsplit(url)
    began = monotonic_ns()
    met = _met((parts.hostname or "", parts.port or 0), GREETINGS[parts.scheme], seconds)
    return ConnectionOutcome(met, (monotonic_ns() - began) / 1e6)


def _met(address: tuple[str, int], greeting: bytes, seconds: float) -> Met:
    try:
        with socket.create_connection(address, timeout=seconds) as client:
            client.sendall(greeting)
            return "answered" if client.recv(1) else "closed"
    except ConnectionRefusedError:
        return "refused"
    except (ConnectionResetError, BrokenPipeError):
        return "reset"
    except TimeoutError:
        return "silent"
