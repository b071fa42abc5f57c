"""What the engine asks of a connection: two methods, and the ways to fail.

The module of each target has `connection_of`: what opens a connection for a workload, given `error_code`, which numbers
a class of failure, and its time limit in seconds. All connections of a process share its streams of operations.
"""

import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

PENDING = -1  # receive: the answer is not complete yet
OK = 0
CLOSES = -2  # receive: CLOSES − code is an outcome after which the server ends the connection


NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# Of the kernel's struct tcp_info (linux/tcp.h): the bytes that are acknowledged, sent, and sent again.
ACKNOWLEDGED, SENT, TCP_INFO_BYTES = 120, 200, 232
LEFT_BYTES = 65_536
RECORD_BYTES = 16_384  # the most of a request in one record of TLS, which goes out whole or not at all
SYN = 1  # is counted as a byte by those that are acknowledged

Opens = Callable[[Callable[[str], int], float], "Connection"]


class ConnectionLostError(Exception):
    """The server closed the connection, or refused it; its text names the class of failure."""


class NotTakenError(ConnectionLostError):
    """The server ended the connection before the operation reached it, whose `request` can go over another one."""

    def __init__(self, reason: str, request: object) -> None:
        super().__init__(reason)
        self.request = request


class SendsOnError(Exception):
    """The system did not take the whole request: `send_rest` goes on with it."""


class OperationRefusedError(ConnectionLostError):
    """The server lets the connection in, and refuses an operation of the workload for what it is."""


class Connection(Protocol):
    """One connection to a server: `send` an operation, `receive` its outcome.

    `receive` is called when the descriptor is readable. It returns PENDING, OK, the code of a class of failure, or
    CLOSES less one of the last two. Both raise ConnectionLostError when the connection cannot be used any more.
    Both bind what they call to local names first: Python looks for a function that is called as an attribute of an
    object in the object's class, which takes longer than a call.
    """

    redirected: int  # how many answers named another place, which is not gone to

    @property
    def cancel(self) -> Callable[[], object] | None:
        """Has the server give up what is under way, from another thread; ConnectionLostError where it cannot be asked.

        None where the server knows no such thing, and gives up what comes over a connection that is closed.
        """

    def open(self) -> int:
        """Connect within the time limit and return the descriptor to wait on."""

    def send(self, operation: int) -> None:
        """Send the operation with that code; SendsOnError where only a part of it went out."""

    def send_again(self, request: object) -> None:
        """As `send`, what another connection had not taken."""

    def send_rest(self) -> bool:
        """Send what the system takes now of that rest, and whether that was all."""

    def receive(self) -> int:
        """Read what has arrived."""

    def said(self) -> str:
        """What the server said of the last failure, in one line and without values; empty where its class says all."""

    def close(self) -> int:
        """Close without waiting for the server.

        Returns a descriptor that the server's end of the connection makes readable, whose owner is then the caller; -1
        where that is not to be waited for.
        """


CLOSED = "connection closed by the server"


def why_lost(error: OSError) -> str:
    """The class of failure of a connection that is no more."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):  # its text names a line of Python's own source
        return CLOSED
    return error.strerror or "connection lost"


def receive_end(descriptor: int) -> int:
    """Read what still comes over a connection that is closed; ConnectionLostError when the server has ended it too."""
    try:
        if os.read(descriptor, LEFT_BYTES):
            return PENDING
    except BlockingIOError:
        return PENDING
    except OSError:
        pass
    raise ConnectionLostError("ended by the server")


def send_and_read(connection: Connection, all_sent: Callable[[], object]) -> int:
    """Read what has arrived and send more of a request; an answer that comes before the request's end ends both."""
    code = connection.receive()
    if code == PENDING:
        try:
            if connection.send_rest():
                all_sent()
            return PENDING
        except ConnectionLostError:
            code = connection.receive()  # what the server said before it closed
            if code == PENDING:
                raise
    return code if code < OK else CLOSES - code


class Sender:
    """What sends the next of the endless `streams`, one for each operation."""

    redirected = 0
    _streams: Sequence[Iterator[Any]]

    def send(self, operation: int) -> None:
        """Send the next of that stream."""
        raise NotImplementedError

    def send_rest(self) -> bool:
        """Nothing is left of what was sent."""
        return True

    def send_again(self, request: object) -> None:
        """Send that in the place of what is next."""
        streams, self._streams = self._streams, [iter([request])]
        try:
            self.send(0)
        finally:
            self._streams = streams


class SocketConnection(Sender):
    """What connections over a raw socket to the server at `url` share; `error_code` numbers a class of failure.

    `streams` are what is sent next for each operation, endless.
    """

    cancel = None
    _socket: socket.socket
    _end: int | socket.socket
    _send: Callable[..., int]  # some of what it is given to `_end`: there is less of Python than in a socket's method
    _request = b""  # the last, where it went out at once
    _rest = memoryview(b"")

    def __init__(
        self, url: str, streams: Sequence[Iterator[bytes]], error_code: Callable[[str], int], timeout_s: float
    ) -> None:
        self._address = urlsplit(url)
        self._streams = streams
        self._error_code = error_code
        self._timeout_s = timeout_s

    def send(self, operation: int) -> None:
        """Send the next request of that operation."""
        self._request = request = next(self._streams[operation])
        send = self._send
        try:
            sent = send(self._end, request)
        except NOT_NOW:
            sent = 0
        except OSError as error:
            if len(request) <= RECORD_BYTES or not isinstance(self._end, ssl.SSLSocket):
                raise NotTakenError(why_lost(error), request) from None
            sent = 0  # of several records some may have been taken, and answered
        if sent < len(request):
            self._request, self._rest = b"", memoryview(request)[sent:]  # of its parts some may have been taken
            raise SendsOnError

    def send_rest(self) -> bool:
        """Send what the system takes now of that rest, and whether that was all."""
        try:
            self._rest = self._rest[self._send(self._end, self._rest) :]
        except NOT_NOW:
            return False
        except OSError as error:
            raise ConnectionLostError(why_lost(error)) from None
        return not self._rest

    def said(self) -> str:
        """Nothing beside the class of the failure."""
        return ""

    def close(self) -> int:
        """Close the socket without a farewell."""
        self._socket.close()
        return -1

    def _connected(self, port: int) -> socket.socket:
        """A socket to the address, at that port where it names none."""
        place = self._address.hostname or "127.0.0.1", self._address.port or port
        connected = socket.create_connection(place, timeout=self._timeout_s)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def _lost(self, reason: str, answer: object = None) -> ConnectionLostError:
        """Why no answer came, of which so much had.

        Where TCP has acknowledged nothing of the request, the server had ended the connection before that came.
        """
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
        if answer or len(info) < TCP_INFO_BYTES:
            return ConnectionLostError(reason)
        (acknowledged,), (sent, again) = (
            struct.unpack_from(kind, info, at) for kind, at in (("Q", ACKNOWLEDGED), ("QQ", SENT))
        )
        if sent - again - max(0, acknowledged - SYN) >= len(self._request) > 0:
            return NotTakenError(reason, self._request)
        return ConnectionLostError(reason)
