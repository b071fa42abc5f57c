"""One Redis connection over a raw socket: an operation is one command, parsed by hiredis."""

import itertools
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import hiredis

from capacity.load.arguments import argument_values
from capacity.load.connection import OK, PENDING, ConnectionLostError
from capacity.workload import PLACEHOLDER, Operation, Workload

READ_BYTES = 65_536
CLIENT_NAME = "capacity-load"  # as the server's CLIENT LIST shows a connection of ours


class RedisCommands:
    """The packed commands of a workload, endless, one stream an operation."""

    def __init__(self, workload: Workload, shard: int = 0, shards: int = 1) -> None:
        self.streams = [
            packed_commands(operation, workload.seed, shard, shards).__next__ for operation in workload.operations
        ]


def packed_commands(operation: Operation, seed: int, shard: int = 0, shards: int = 1) -> Iterator[bytes]:
    """The operation's command in the Redis protocol with its arguments drawn, endless."""
    places = {name: place for place, name in enumerate(operation.parameters)}
    if not places:
        yield from itertools.repeat(_packed(operation.command))
    words = [_parts(word, places) for word in operation.command]
    for values in argument_values(operation, seed, shard, shards):
        yield _packed([b"".join([values[part] if part.__class__ is int else part for part in word]) for word in words])


def _parts(word: str, places: Mapping[str, int]) -> tuple[Any, ...]:
    """A word as its text, in bytes, and the places of its parameters in between."""
    texts_and_names = PLACEHOLDER.split(word)
    parts = [places[part] if odd % 2 else part.encode() for odd, part in enumerate(texts_and_names)]
    return tuple(part for part in parts if part != b"")


def _packed(words: Iterable[str | bytes]) -> bytes:
    packed: bytes = hiredis.pack_command(tuple(words))  # type: ignore[arg-type]  # its stub knows one word only
    return packed


class RedisConnection:
    """A connection to the server at `url`; `error_code` numbers a class of failure."""

    def __init__(self, url: str, commands: RedisCommands, error_code: Callable[[str], int], timeout_s: float) -> None:
        self._address = urlsplit(url)
        self._streams = commands.streams
        self._error_code: Callable[[str], int] = error_code
        self._timeout_s = timeout_s

    def open(self) -> int:
        """Connect, log in, choose the database and give a name; ConnectionLostError says why not."""
        host, port = self._address.hostname or "127.0.0.1", self._address.port or 6379
        try:
            self._socket = socket.create_connection((host, port), timeout=self._timeout_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._reader = hiredis.Reader(notEnoughData=PENDING)
            for command in self._greeting():
                self._greet(command)
        except OSError as error:
            raise ConnectionLostError(error.strerror or "timed out while connecting") from None
        self._socket.setblocking(False)
        self._receive, self._send = self._socket.recv, self._socket.send
        descriptor: int = self._socket.fileno()
        return descriptor

    def send(self, operation: int) -> None:
        """Send the next command of that operation."""
        command = self._streams[operation]()
        try:
            sent = self._send(command)
            if sent < len(command):
                self._send_rest(command[sent:])
        except OSError as error:
            raise ConnectionLostError(error.strerror or "connection lost") from None

    def receive(self) -> int:
        """Read one reply; an error reply's class is its first word, as OOM or WRONGTYPE."""
        try:
            data = self._receive(READ_BYTES)
        except BlockingIOError:
            return PENDING
        except OSError as error:
            raise ConnectionLostError(error.strerror or "connection lost") from None
        if not data:
            raise ConnectionLostError("connection closed by the server")
        self._reader.feed(data)
        reply = self._reader.gets()
        incomplete = reply is PENDING
        if incomplete:
            return PENDING
        if reply.__class__ is hiredis.ReplyError:
            return self._error_code(str(reply).split(" ", 1)[0])
        return OK

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _greeting(self) -> Iterator[tuple[str, ...]]:
        if self._address.password:
            user = (unquote(self._address.username),) if self._address.username else ()
            yield ("AUTH", *user, unquote(self._address.password))
        if database := self._address.path.strip("/"):
            yield ("SELECT", database)
        yield ("CLIENT", "SETNAME", CLIENT_NAME)

    def _greet(self, command: tuple[str, ...]) -> None:
        self._socket.sendall(_packed(command))
        reply = PENDING
        while reply is PENDING:
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise ConnectionLostError("connection closed by the server")
            self._reader.feed(data)
            reply = self._reader.gets()
        if isinstance(reply, hiredis.ReplyError):
            raise ConnectionLostError(str(reply))

    def _send_rest(self, rest: bytes) -> None:
        """A command larger than the socket's buffer goes out while the loop waits: the server reads as it comes."""
        self._socket.settimeout(self._timeout_s)
        self._socket.sendall(rest)
        self._socket.setblocking(False)
