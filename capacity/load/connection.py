"""What the engine asks of a connection: two methods, and two ways to fail.

The module of each target has `connection_of`: what opens a connection for a workload, given `error_code`, which numbers
a class of failure, and its time limit in seconds. All connections of a process share its streams of operations.
"""

import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol
from urllib.parse import urlsplit

PENDING = -1  # receive: the answer is not complete yet
OK = 0
CLOSES = -2  # receive: CLOSES − code is an outcome after which the server ends the connection


Opens = Callable[[Callable[[str], int], float], "Connection"]


class ConnectionLostError(Exception):
    """The server closed the connection, or refused it; its text names the class of failure."""


class OperationRefusedError(ConnectionLostError):
    """The server lets the connection in, and refuses an operation of the workload for what it is."""


class Connection(Protocol):
    """One connection to a server: `send` an operation, `receive` its outcome.

    `receive` is called when the descriptor is readable. It returns PENDING, OK, the code of a class of failure, or
    CLOSES less one of the last two. Both raise ConnectionLostError when the connection cannot be used any more.
    Both bind what they call to local names first: Python looks for a function that is called as an attribute of an
    object in the object's class, which takes longer than a call.
    """

    def open(self) -> int:
        """Connect within the time limit and return the descriptor to wait on."""

    def send(self, operation: int) -> None:
        """Send the operation with that code."""

    def receive(self) -> int:
        """Read what has arrived."""

    def said(self) -> str:
        """What the server said of the last failure, in one line and without values; empty where its class says all."""

    def close(self) -> None:
        """Close without waiting for the server."""


class SocketConnection:
    """What connections over a raw socket to the server at `url` share; `error_code` numbers a class of failure.

    `streams` are what is sent next for each operation, endless.
    """

    _socket: socket.socket
    _end: int | socket.socket
    _send: Callable[..., int]  # some of what it is given to `_end`: there is less of Python than in a socket's method

    def __init__(
        self, url: str, streams: Sequence[Iterator[bytes]], error_code: Callable[[str], int], timeout_s: float
    ) -> None:
        self._address = urlsplit(url)
        self._streams = streams
        self._error_code = error_code
        self._timeout_s = timeout_s

    def send(self, operation: int) -> None:
        """Send the next request of that operation."""
        request, send = next(self._streams[operation]), self._send
        try:
            sent = send(self._end, request)
            if sent < len(request):
                self._send_rest(request[sent:])
        except OSError as error:
            raise ConnectionLostError(error.strerror or "connection lost") from None

    def said(self) -> str:
        """Nothing beside the class of the failure."""
        return ""

    def close(self) -> None:
        """Close the socket without a farewell."""
        self._socket.close()

    def _connected(self, port: int) -> socket.socket:
        """A socket to the address, at that port where it names none."""
        place = self._address.hostname or "127.0.0.1", self._address.port or port
        connected = socket.create_connection(place, timeout=self._timeout_s)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def _send_rest(self, rest: bytes) -> None:
        """What is larger than the socket's buffer goes out while the loop waits: the server reads as it comes."""
        self._socket.settimeout(self._timeout_s)
        self._socket.sendall(rest)
        self._socket.setblocking(False)
