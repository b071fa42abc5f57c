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
from capacity.load.connection import (
    CLOSED,
    CLOSES,
    NOT_NOW,
    OK,
    PENDING,
    ConnectionLostError,
    Opens,
    SocketConnection,
    why_lost,
)
from capacity.operation import Operation, Request
from capacity.workload import Workload

READ_BYTES = 16_384
FINAL, REDIRECTS = 200, 300  # the first statuses of an answer to a request, and of one that names another place
FAILED = 400  # the first status that is a failure; a redirection is an answer, and is not followed
NOT_MODIFIED = 304
SWITCHES = 101  # a status below FINAL after which nothing of HTTP comes
MOST_READS = 64  # at a time: an answer without end must not hold up the others
RETRY_AFTER = re.compile(rb"\nretry-after:", re.IGNORECASE)
HEAD_END = re.compile(rb"\r?\n\r?\n")
MOST_HEAD_BYTES = 1 << 20
LENGTH_KNOWN = re.compile(rb"\n(content-length:|transfer-encoding:[^\n]*chunked)", re.IGNORECASE)
# What RFC 9112 lets a client accept: header lines that are folded, and lines that end without CR.
ACCEPTED = {"lenient_headers": True, "lenient_optional_cr_before_lf": True}
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
        self._parse = self._answer.parser.feed_data
        self._known: bytes | None = None
        return self._socket.fileno()

    def receive(self) -> int:
        """Read what has arrived, to the end of the answer; see CLOSES for one that ends the connection.

        The same bytes as those of the answer before are the same answer: they need not be parsed again, which takes
        longer than all else here. They are known only while the parser stands where an answer begins.
        """
        receive, end, reads = self._receive, self._end, 0
        try:
            data = receive(end, READ_BYTES)
            if data == self._known:
                return OK
            self._known, answer = None, self._answer
            self._parse(data)
            while not answer.complete:
                if not data:
                    return self._closed()
                answer.keep(data)
                reads += 1
                if reads >= MOST_READS and not (isinstance(end, ssl.SSLSocket) and end.pending()):
                    return PENDING
                data = receive(end, READ_BYTES)
                self._parse(data)
        except NOT_NOW:
            return PENDING
        except OSError as error:
            raise self._lost(why_lost(error), self._answer.head) from None
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not answer.complete:
                raise ConnectionLostError(f"not HTTP: {error}") from None
            answer.ended = False  # what follows the answer is none, or of another protocol
        answer.complete = False
        if answer.status < REDIRECTS and answer.keeps_alive and answer.ended:
            if answer.head or answer.interim:
                answer.head, answer.interim = b"", 0
            else:
                self._known = data
            return OK
        return self._unusual(answer.status, data)

    def _unusual(self, status: int, data: bytes) -> int:
        """The outcome of a failure, a redirection, or an answer after which the connection is of no use any more."""
        answer = self._answer
        answer.head += data
        head = HEAD_END.split(answer.final_head, 1)[0]
        answer.head, answer.interim = b"", 0
        self.redirected += REDIRECTS <= status < FAILED and status != NOT_MODIFIED
        retry = ", retry after" if RETRY_AFTER.search(head) else ""
        code = OK if status < FAILED else self._error_code(f"{status}{retry}")
        return code if answer.keeps_alive and answer.ended else CLOSES - code

    def _closed(self) -> int:
        """The outcome of an answer that ends with the connection; ConnectionLostError where it ends too early."""
        answer = self._answer
        head, *body = HEAD_END.split(answer.final_head, 1)
        if not body or LENGTH_KNOWN.search(head):
            raise self._lost(CLOSED, answer.head)
        answer.keeps_alive = False
        return self._unusual(answer.parser.get_status_code(), b"")

    def _secured(self, plain: socket.socket) -> ssl.SSLSocket:
        try:
            return ssl.create_default_context().wrap_socket(plain, server_hostname=self._address.hostname)
        except OSError:
            plain.close()
            raise


class _Answer:
    """What the parser calls: notes that an answer is complete, and whether the connection stays open after it.

    An interim answer (1xx) comes before the one that is waited for, and its head has nothing after it.
    """

    def __init__(self) -> None:
        self.complete = False
        self.ended = True  # nothing of a further answer has been read
        self.keeps_alive = True
        self.status = 0
        self.interim = 0  # answers before this one
        self.head = b""  # what was read first of an answer that came in pieces, at least its head
        self.parser = httptools.HttpResponseParser(self)
        self.parser.set_dangerous_leniencies(**ACCEPTED)
        self._stays_open, self._status = self.parser.should_keep_alive, self.parser.get_status_code

    @property
    def final_head(self) -> bytes:
        """What was read first, without interim answers."""
        return HEAD_END.split(self.head, self.interim)[-1] if self.interim else self.head

    def keep(self, data: bytes) -> None:
        """Keep what was read first, up to the head's end; ConnectionLostError where that does not come."""
        if not HEAD_END.search(self.final_head):
            self.head += data
            if len(self.head) > MOST_HEAD_BYTES:
                raise ConnectionLostError(f"not HTTP: a head of over {MOST_HEAD_BYTES >> 20} MiB")

    def on_message_begin(self) -> None:
        """The first byte of an answer has been read."""
        self.ended = False

    def on_message_complete(self) -> None:
        """The last byte of an answer has been read."""
        if self.complete:  # one more than was asked for
            return
        status = self._status()
        if status < FINAL and status != SWITCHES:
            self.interim += 1
            return
        stays_open = self._stays_open
        self.complete = self.ended = True
        self.status, self.keeps_alive = status, stays_open()
