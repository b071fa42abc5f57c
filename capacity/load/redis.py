"""One Redis connection over a raw socket: an operation is one command, parsed by hiredis."""

import functools
import itertools
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from os import write
from typing import Any
from urllib.parse import unquote

import hiredis

from capacity.load.arguments import Draw, argument_streams, template
from capacity.load.connection import CLOSED, CLOSES, OK, PENDING, ConnectionLostError, Opens, SocketConnection, why_lost
from capacity.operation import Operation
from capacity.streams import one_line, without_values
from capacity.workload import Workload

READ_BYTES = 16_384
ERROR_CODE = re.compile("[A-Z][A-Z_]{1,29}")  # as Redis has them; a script of the caller's may begin with anything
NOT_REDIS = "not the protocol of Redis"
INCOMPLETE = object()  # no number, which a reply may be
CLIENT_NAME = "capacity-load"  # as the server's CLIENT LIST shows a connection of ours
NAMING = ("CLIENT", "SETNAME", CLIENT_NAME)
NO_VALUES = ("NOPERM", "OOM", "WRONGTYPE", "READONLY", "MISCONF", "LOADING", "NOAUTH")  # their messages name no data
LAST = "QUIT"  # the command after whose answer the server ends the connection
WORDS = ", with args"  # what an unknown command was given follows


def connection_of(workload: Workload, url: str, draw: Draw, _: Mapping[str, Any]) -> Opens:
    """What opens a connection that sends the workload's commands."""
    streams = [packed_commands(each, draw) for each in workload.operations]
    last = {number for number, each in enumerate(workload.operations) if each.command[0].upper() == LAST}
    if last:
        return functools.partial(EndingConnection, last, url, streams)
    return functools.partial(RedisConnection, url, streams)


def packed_commands(operation: Operation, draw: Draw) -> Iterator[bytes]:
    """The operation's command in the Redis protocol with its arguments drawn, endless."""
    words = _words(operation.command)
    if not words:
        return itertools.repeat(packed_command(operation.command))
    uses = [(name, word.written if word.is_single else None) for word in words for name in word.names]
    streams = argument_streams(operation, uses, draw)
    return functools.reduce(functools.partial(map, operator.add), [word.stream(streams) for word in words])


@dataclass(frozen=True, slots=True)
class _Word:
    """A word with parameters, of which it is the template; `before` and `after` are constant parts of the command.

    These are written together with a value, which happens once for each that is kept.
    """

    before: bytes
    template: bytes
    names: list[str]
    after: bytes = b""

    @property
    def is_single(self) -> bool:
        return len(self.names) == 1

    def stream(self, streams: Iterator[Iterator[bytes]]) -> Iterator[bytes]:
        """Its part of the commands: the next of the streams where it was written there, else made of the next few."""
        mine = [next(streams) for _ in self.names]
        return mine[0] if self.is_single else itertools.starmap(self.written, zip(*mine, strict=True))

    def written(self, *values: bytes) -> bytes:
        """The word with its values."""
        return self.before + _bulk(self.template % values) + self.after


def _words(command: Sequence[str]) -> list[_Word]:
    """The words that have parameters, with the constant ones around them."""
    words: list[_Word] = []
    constant = b"*%d\r\n" % len(command)
    for text in command:
        word, names = template(text)
        if names:
            words.append(_Word(constant, word, names))
            constant = b""
        else:
            constant += _bulk(text.encode())
    return [*words[:-1], replace(words[-1], after=constant)] if words else []


def packed_command(words: Sequence[str | bytes]) -> bytes:
    """A command in the Redis protocol."""
    encoded = (word if isinstance(word, bytes) else word.encode() for word in words)
    return b"*%d\r\n" % len(words) + b"".join(map(_bulk, encoded))


def _bulk(word: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word)


class RedisConnection(SocketConnection):
    """A connection to a Redis."""

    _failed = ""

    def open(self) -> int:
        """Connect, log in, choose the database and give a name; ConnectionLostError says why not."""
        try:
            self._socket = self._connected(6379)
            self._reader = hiredis.Reader(notEnoughData=INCOMPLETE)
            for command in self._greeting():
                self._greet(command)
        except OSError as error:
            raise ConnectionLostError(error.strerror or "timed out while connecting") from None
        except hiredis.ProtocolError:
            raise ConnectionLostError(NOT_REDIS) from None
        self._socket.setblocking(False)
        self._buffer = bytearray(READ_BYTES)
        self._receive = self._socket.recv_into
        self._gets = self._reader.gets
        self._feed: Callable[..., object] = self._reader.feed  # its stub does not know a bytearray
        self._end, self._send = self._socket.fileno(), write
        return self._end

    def receive(self) -> int:
        """Read one reply; an error reply's class is its code, as OOM or WRONGTYPE, and ERR where it has none."""
        receive, feed, gets, buffer = self._receive, self._feed, self._gets, self._buffer
        try:
            length = receive(buffer)
        except BlockingIOError:
            return PENDING
        except OSError as error:
            raise self._lost(why_lost(error), self._reader.has_data()) from None
        if not length:
            raise self._lost(CLOSED, self._reader.has_data())
        feed(buffer, 0, length)
        try:
            reply = gets()
        except hiredis.ProtocolError:
            raise ConnectionLostError(NOT_REDIS) from None
        if reply is INCOMPLETE:
            return PENDING
        if reply.__class__ is hiredis.ReplyError:
            self._failed = str(reply)
            code = self._failed.split(" ", 1)[0]
            return self._error_code(code if ERROR_CODE.fullmatch(code) else "ERR")
        return OK

    def said(self) -> str:
        """The message of the last error reply after its code; without values where it may have some."""
        code, _, rest = self._failed.partition(WORDS)[0].partition(" ")
        return one_line(rest) if code in NO_VALUES else without_values(rest)

    def _greeting(self) -> Iterator[tuple[str, ...]]:
        if self._address.password:
            user = (unquote(self._address.username),) if self._address.username else ()
            yield ("AUTH", *user, unquote(self._address.password))
        if (database := self._address.path.strip("/")) not in ("", "0"):  # the first is chosen without being asked for
            yield ("SELECT", database)
        yield NAMING

    def _greet(self, command: tuple[str, ...]) -> None:
        self._socket.sendall(packed_command(command))
        reply: object = INCOMPLETE
        while reply is INCOMPLETE:
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise ConnectionLostError(CLOSED)
            self._reader.feed(data)
            reply = self._reader.gets()
        if isinstance(reply, hiredis.ReplyError) and command != NAMING:  # a user without that right loads all the same
            raise ConnectionLostError(one_line(str(reply)))


class EndingConnection(RedisConnection):
    """A connection that the server ends after the answer to one of the operations with the codes `last`."""

    _ends = False

    def __init__(
        self,
        last: Set[int],
        url: str,
        streams: Sequence[Iterator[bytes]],
        error_code: Callable[[str], int],
        limit: float,
    ) -> None:
        super().__init__(url, streams, error_code, limit)
        self._last = last

    def send(self, operation: int) -> None:
        """Send the next command of that operation."""
        self._ends = operation in self._last
        super().send(operation)

    def receive(self) -> int:
        """Read one reply; what ends the connection ended ok by its answer, unless that is an error."""
        code = super().receive()
        return CLOSES - OK if self._ends and code == OK else code
