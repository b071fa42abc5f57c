"""One HTTP/1.1 connection over a raw socket, kept alive: an operation is one request, parsed by httptools."""

import itertools
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httptools

from capacity.load.arguments import Draw, argument_streams, template
from capacity.load.connection import CLOSES, OK, PENDING, ConnectionLostError, Opens, SocketConnection
from capacity.operation import Operation, Request
from capacity.workload import Workload

READ_BYTES = 16_384
FAILED = 400  # the first status that is a failure; a redirection is an answer
RETRY_AFTER = re.compile(rb"\r\nretry-after:", re.IGNORECASE)
HEAD_END = b"\r\n\r\n"
JSON = "application/json"


def connection_of(workload: Workload, url: str, draw: Draw, _: Mapping[str, Any]) -> Opens:
    """What opens a connection that sends the workload's requests."""
    return partial(HttpConnection, url, [packed_requests(each, url, draw) for each in workload.operations])


def packed_requests(operation: Operation, url: str, draw: Draw) -> Iterator[bytes]:
    """The operation's request to the gateway at `url` as it goes over the wire with its arguments drawn, endless."""
    if operation.request is None:
        raise ValueError(f"the operation {operation.name!r} has no request")
    names, written = _writer(operation.request, url)
    if not names:
        return itertools.repeat(written())
    if len(names) == 1:
        return next(argument_streams(operation, [(names[0], written)], draw))
    streams = argument_streams(operation, [(name, None) for name in names], draw)
    return itertools.starmap(written, zip(*streams, strict=True))


def _writer(request: Request, url: str) -> tuple[list[str], Callable[..., bytes]]:
    """The names of a request's parameters, and what writes the request with their values."""
    given = {name.lower() for name in request.headers}
    headers = {} if "host" in given else {"Host": urlsplit(url).netloc.rpartition("@")[2]}
    headers |= {"Content-Type": JSON} if request.body and "content-type" not in given else {}
    lines = [f"{request.method} {request.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in (headers | request.headers).items()]
    (head, in_head), (body, in_body) = template("\r\n".join(lines)), template(request.body)
    has_body = bool(request.body) or request.method in ("POST", "PUT", "PATCH")

    def written(*values: bytes) -> bytes:
        filled = body % values[len(in_head) :]
        length = b"\r\nContent-Length: %d" % len(filled) if has_body else b""
        return b"%b%b\r\n\r\n%b" % (head % values[: len(in_head)], length, filled)

    return [*in_head, *in_body], written


class HttpConnection(SocketConnection):
    """A connection to an HTTP gateway.

    A failure's class is its status, as `500`. One that says when to come again, as a gateway that sheds load does, is
    a class of its own, as `503, retry after`: when, is a number or a date, and a date is another one each second.
    """

    _receive: Callable[..., bytes]

    def open(self) -> int:
        """Connect, with TLS where the address says https; ConnectionLostError says why not."""
        try:
            if self._address.scheme == "https":
                self._socket = self._end = self._secured(self._connected(443))
                self._receive, self._send = ssl.SSLSocket.recv, ssl.SSLSocket.send
            else:
                self._socket = self._connected(80)
                self._end, self._receive, self._send = self._socket.fileno(), os.read, os.write
        except OSError as error:
            raise ConnectionLostError(error.strerror or str(error) or "timed out while connecting") from None
        self._socket.setblocking(False)
        self._answer = _Answer()
        self._parse, self._status = self._answer.parser.feed_data, self._answer.parser.get_status_code
        self._known: bytes | None = None
        return self._socket.fileno()

    def receive(self) -> int:
        """Read what has arrived, to the end of the answer; see CLOSES for one that ends the connection.

        The same bytes as those of the answer before are the same answer: they need not be parsed again, which takes
        longer than all else here. They are known only while the parser stands where an answer begins.
        """
        receive, end = self._receive, self._end
        try:
            data = receive(end, READ_BYTES)
            if data == self._known:
                return OK
            self._known, answer = None, self._answer
            self._parse(data)
            while not answer.complete:
                if not data:
                    raise ConnectionLostError("connection closed by the server")
                answer.head += b"" if HEAD_END in answer.head else data
                data = receive(end, READ_BYTES)
                self._parse(data)
        except (BlockingIOError, ssl.SSLWantReadError):
            return PENDING
        except OSError as error:
            raise ConnectionLostError(error.strerror or "connection lost") from None
        except httptools.HttpParserError as error:
            raise ConnectionLostError(f"not HTTP: {error}") from None
        answer.complete = False
        status = self._status()
        if status < FAILED and answer.keeps_alive:
            if answer.head:
                answer.head = b""
            elif answer.ended:
                self._known = data
            return OK
        return self._unusual(status, answer.head + data)

    def _unusual(self, status: int, head: bytes) -> int:
        """The outcome of a failure, or of an answer after which the server ends the connection."""
        self._answer.head = b""
        retry = ", retry after" if RETRY_AFTER.search(head.partition(HEAD_END)[0]) else ""
        code = OK if status < FAILED else self._error_code(f"{status}{retry}")
        return code if self._answer.keeps_alive else CLOSES - code

    def _secured(self, plain: socket.socket) -> ssl.SSLSocket:
        try:
            return ssl.create_default_context().wrap_socket(plain, server_hostname=self._address.hostname)
        except OSError:
            plain.close()
            raise


class _Answer:
    """What the parser calls: notes that an answer is complete, and whether the connection stays open after it."""

    def __init__(self) -> None:
        self.complete = False
        self.ended = True  # nothing of a further answer has been read
        self.keeps_alive = True
        self.head = b""  # what was read first of an answer that came in pieces, at least its head
        self.parser = httptools.HttpResponseParser(self)
        self._stays_open = self.parser.should_keep_alive

    def on_message_begin(self) -> None:
        """The first byte of an answer has been read."""
        self.ended = False

    def on_message_complete(self) -> None:
        """The last byte of an answer has been read."""
        stays_open = self._stays_open
        self.complete = self.ended = True
        self.keeps_alive = stays_open()
