"""One Redis connection over a raw socket: an operation is one command, parsed by hiredis."""

import itertools
import math
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from urllib.parse import unquote, urlsplit

import hiredis

from capacity.load.arguments import argument_streams
from capacity.load.connection import OK, PENDING, ConnectionLostError
from capacity.workload import PLACEHOLDER, Operation, Parameter, Uniform, Workload, Zipf

READ_BYTES = 65_536
KEPT = 100_000  # packed commands of one operation, some 10 MB
CLIENT_NAME = "capacity-load"  # as the server's CLIENT LIST shows a connection of ours


class RedisCommands:
    """The packed commands of a workload, endless, one stream an operation."""

    def __init__(self, workload: Workload, shard: int = 0, shards: int = 1) -> None:
        self.streams = [
            packed_commands(operation, workload.seed, shard, shards).__next__ for operation in workload.operations
        ]


def packed_commands(operation: Operation, seed: int, shard: int = 0, shards: int = 1) -> Iterator[bytes]:
    """The operation's command in the Redis protocol with its arguments drawn, endless."""
    if not operation.parameters:
        return itertools.repeat(_packed(tuple(operation.command)))
    split = [PLACEHOLDER.split(word) for word in operation.command]
    uses = [name for word in split for name in word[1::2]]
    if len(uses) == 1 and _values_of(operation.parameters[uses[0]]) <= KEPT:
        (values,) = argument_streams(operation, uses, seed, shard, shards)
        return map(_KeptCommands([text.encode() for text in word[::2]] for word in split).__getitem__, values)
    streams = argument_streams(operation, uses, seed, shard, shards)
    words = [_word(word[::2], [next(streams) for _ in word[1::2]]) for word in split]
    return map(_packed, zip(*words, strict=True))


class _KeptCommands(dict[bytes, bytes]):
    """Commands with one argument by its value, packed when it is first wanted; a word is its texts around the value."""

    def __init__(self, words: Iterable[list[bytes]]) -> None:
        self._words = list(words)

    def __missing__(self, value: bytes) -> bytes:
        self[value] = command = _packed(tuple(value.join(texts) for texts in self._words))
        return command


def _values_of(parameter: Parameter) -> float:
    """How many values a parameter can have."""
    if isinstance(parameter, Uniform):
        return parameter.high - parameter.low + 1
    return parameter.count if isinstance(parameter, Zipf) else math.inf


def _word(texts: Sequence[str], streams: Sequence[Iterator[bytes]]) -> Iterator[bytes]:
    """The values of a word: its texts with the streams' values in between."""
    if not streams:
        return itertools.repeat(texts[0].encode())
    template = b"%b".join(text.encode().replace(b"%", b"%%") for text in texts)
    if template == b"%b":
        return streams[0]
    return map(template.__mod__, streams[0] if len(streams) == 1 else zip(*streams, strict=True))


# Its stub knows a tuple of one word only.
_packed: Callable[[tuple[str | bytes, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]


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
