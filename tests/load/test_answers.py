"""Each answer is one operation and has its own outcome, also where it was not parsed because it was known."""

import random
import select
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from capacity.clock import wait_until
from capacity.load.arguments import Draw
from capacity.load.connection import CLOSES, OK, PENDING, ConnectionLostError, NotTakenError, SendsOnError
from capacity.load.http import HttpConnection, packed_requests
from capacity.workload import parse_workload

SAME = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(SAME), SAME, b"\r\n0\r\n\r\n"]
OTHERS = [
    SAME.replace(b"hello", b"world"),
    SAME.replace(b"5", b"100000") + b"x" * 99_995,
    SAME + SAME[:20],  # the server begins an answer that nobody asked for
    SAME.replace(b"200 OK", b"500 no"),
    SAME.replace(b"200 OK", b"503 no\r\nRetry-After: 30"),
    b"HTTP/1.1 429 no\r\nContent-Length: 18\r\n\r\n\r\nretry-after: 30\n",
    SAME.replace(b"1.1", b"1.0"),
    SAME.replace(b"OK", b"OK\r\nConnection: close"),
    b"HTTP/1.1 204 none\r\n\r\n",
    b"".join(CHUNKED),
    b"220 mail.example ESMTP\r\n",
]
ANSWERS = 300
AGAIN = 0.6  # how often an answer is the one before


class Pair:
    """A connection of ours to a server whose every byte the test sends; `names` are the classes of failures seen."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        operation = {"name": "a", "weight": 100, "request": {"path": "/"}}
        values = {"name": "w", "target": "http", "connections": 1, "operations": [operation]}
        stages = [{"name": "sustain", "seconds": 1.0, "to": 1}]
        workload = parse_workload({**values, "shapes": {"test": {"kind": "users", "stages": stages}}})
        requests = [packed_requests(each, url, Draw(workload.seed)) for each in workload.operations]
        self.connection = HttpConnection(url, requests, self._error_code, 5.0)
        self.open()

    def open(self) -> None:
        self.descriptor = self.connection.open()
        self.server = self._listener.accept()[0]

    def outcome(self, pieces: list[bytes]) -> int | str:
        """What the connection makes of an answer in pieces, of which it sees each before the next is sent."""
        code: int | str = PENDING
        for piece in pieces:
            if code == PENDING:
                code = self.after(piece)
            else:
                self.server.sendall(piece)
        while code == PENDING:
            code = self.received()
        return code

    def after(self, piece: bytes) -> int | str:
        """What it makes of what it has seen then; an empty piece is the server's end of the connection."""
        if piece:
            self.server.sendall(piece)
        else:
            self.server.shutdown(socket.SHUT_WR)
        return self.received()

    def send(self) -> None:
        with suppress(SendsOnError):
            self.connection.send(0)

    def received(self) -> int | str:
        assert select.select([self.descriptor], [], [], 10.0)[0], "the answer is incomplete"
        try:
            return self.connection.receive()
        except ConnectionLostError as error:
            return str(error)

    def reopen(self) -> None:
        self.connection.close()
        self.server.close()
        self.open()

    def close(self) -> None:
        self.connection.close()
        self.server.close()
        self._listener.close()

    def _error_code(self, name: str) -> int:
        self.names += [] if name in self.names else [name]
        return self.names.index(name) + 1


@pytest.fixture
def pairs() -> Iterator[tuple[Pair, Pair]]:
    with closing(Pair()) as knowing, closing(Pair()) as parsing:
        yield knowing, parsing


def in_pieces(answer: bytes, draw: random.Random) -> list[bytes]:
    cuts = sorted(draw.choices(range(len(answer)), k=draw.choice([0, 0, 0, 1, 2])))
    return [answer[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(answer)], strict=True) if end > begin]


@pytest.mark.parametrize("seed", range(4))
def test_every_mixture_of_answers_in_pieces_ends_as_the_parser_alone_ends_it(
    pairs: tuple[Pair, Pair], seed: int
) -> None:
    knowing, parsing = pairs
    draw, seen, answer = random.Random(seed), Counter[int | str](), SAME
    for number in range(ANSWERS):
        answer = answer if draw.random() < AGAIN else draw.choice([SAME, *OTHERS])
        pieces = in_pieces(answer, draw)
        found = knowing.outcome(pieces)
        parsing.connection._known = None
        expected = parsing.outcome(pieces)
        assert (number, pieces, found, knowing.names) == (number, pieces, expected, parsing.names)
        seen[found] += 1
        if isinstance(found, str) or found <= CLOSES:
            knowing.reopen()
            parsing.reopen()
    assert seen[OK] > ANSWERS / 3
    assert set(knowing.names) == {"429", "500", "503, retry after"}
    assert seen[CLOSES] > 0
    assert any(str(each).startswith("not HTTP: ") for each in seen)


def test_the_same_answer_is_parsed_once_until_another_comes(pairs: tuple[Pair, Pair]) -> None:
    pair, _ = pairs
    parse, parsed = pair.connection._parse, []

    def noted(data: bytes) -> None:
        parsed.append(data)
        parse(data)

    pair.connection._parse = noted
    assert [pair.outcome([answer]) for answer in [SAME, SAME, SAME, OTHERS[0], SAME, SAME]] == [OK] * 6
    assert parsed == [SAME, OTHERS[0], SAME]


def test_a_piece_that_looks_like_the_last_answer_is_a_piece(pairs: tuple[Pair, Pair]) -> None:
    pair, _ = pairs
    assert [pair.after(piece) for piece in [SAME, *CHUNKED, SAME]] == [OK, PENDING, PENDING, OK, OK]


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BUSY = b"HTTP/1.1 503 no\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
SENT_ELSEWHERE = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
FAILS = 1  # the code of the only class of failure that was seen
TO_ITS_END = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello"
CLOSED = "connection closed by the server"


@pytest.mark.parametrize(
    ("pieces", "outcome", "name"),
    [
        ([CONTINUE + HINTS + SAME], OK, ""),
        ([CONTINUE, HINTS, SAME[:9], SAME[9:]], OK, ""),
        ([HINTS[:30], HINTS[30:] + SAME], OK, ""),
        ([HINTS + BUSY], FAILS, "503, retry after"),
        ([HINTS, BUSY[:20], BUSY[20:]], FAILS, "503, retry after"),
        ([HINTS.replace(b"Link", b"Retry-After"), BUSY.replace(b"Retry-After", b"X")], FAILS, "503"),
        ([HINTS, b""], CLOSED, ""),
        ([b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n\0hello"], CLOSES - OK, ""),
        ([b"HTTP/1.1 101 Switching Protocols\r\n\r\n"], CLOSES - OK, ""),
        ([TO_ITS_END, b" world", b""], CLOSES - OK, ""),
        ([TO_ITS_END, b""], CLOSES - OK, ""),
        ([HINTS, TO_ITS_END.replace(b"1.1", b"1.0"), b""], CLOSES - OK, ""),
        ([b"HTTP/1.0 500 no\r\n\r\n", b"body", b""], CLOSES - FAILS, "500"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", b"body", b""], CLOSES - OK, ""),
        ([SAME[:-1], b""], CLOSED, ""),
        ([*CHUNKED[:2], b""], CLOSED, ""),
        ([TO_ITS_END[:30], b""], CLOSED, ""),
        ([CHUNKED[0], SAME, b"\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"], OK, ""),
        ([b"HTTP/1.1 204 none\r\nContent-Length: 7\r\n\r\n"], OK, ""),
        ([b"HTTP/1.1 304 same\r\nContent-Length: 7\r\n\r\n"], OK, ""),
        ([SAME.replace(b"OK", b"OK\r\nConnection: close") + b"more"], CLOSES - OK, ""),
        ([SAME.replace(b"1.1", b"1.0").replace(b"OK", b"OK\r\nConnection: keep-alive")], OK, ""),
        ([SENT_ELSEWHERE], OK, ""),
        ([SAME + SAME], CLOSES - OK, ""),
        ([SAME + BUSY], CLOSES - OK, ""),
        ([BUSY + SAME], CLOSES - FAILS, "503, retry after"),
        ([SAME + b"@@@"], CLOSES - OK, ""),
        ([bytes([each]) for each in SAME], OK, ""),
        ([SAME.replace(b" OK", b"")], OK, ""),
        ([SAME.replace(b" OK", b" ")], OK, ""),
        ([SAME.replace(b"OK", b"OK\r\nX-Folded: a\r\n  b")], OK, ""),
        ([SAME.replace(b"\r", b"")], OK, ""),
        ([BUSY.replace(b"\r", b"")], FAILS, "503, retry after"),
        ([SAME.replace(b"OK", b"OK\r\nX: " + b"x" * 300_000)], OK, ""),
        ([b"HTTP/1.1 200 OK\r\nX: ", *[b"x" * 100_000] * 12], "not HTTP: a head of over 1 MiB", ""),
        ([b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\0"], OK, ""),
        ([b"\0\0\x12\4\0\0\0\0\0"], "not HTTP: Expected HTTP/, RTSP/ or ICE/", ""),
    ],
)
def test_each_answer_is_one_operation(
    pairs: tuple[Pair, Pair], pieces: list[bytes], outcome: int | str, name: str
) -> None:
    pair, _ = pairs
    pair.send()
    assert pair.outcome(pieces) == outcome
    assert pair.names == ([name] if name else [])
    assert pair.connection.redirected == (pieces == [SENT_ELSEWHERE])
    if outcome in (OK, FAILS):  # the connection is good for more
        assert [pair.outcome([SAME]), pair.outcome([HINTS + SAME])] == [OK, OK]


def test_an_answer_without_end_does_not_hold_up_the_others(pairs: tuple[Pair, Pair]) -> None:
    """A server that sends faster than it is read gives the loop its turn again and again."""
    pair, _ = pairs
    ending = threading.Event()

    def pour() -> None:
        with suppress(OSError):
            pair.server.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not ending.is_set():
                pair.server.sendall(b"x" * 1_000_000)

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        assert [pair.received() for _ in range(20)] == [PENDING] * 20
    finally:
        ending.set()
        pair.connection.close()
        thread.join()


def test_a_request_that_the_server_had_not_taken_is_told_from_one_that_failed(pairs: tuple[Pair, Pair]) -> None:
    pair, _ = pairs
    assert pair.outcome([SAME]) == OK
    pair.server.close()
    assert wait_until(lambda: select.select([pair.descriptor], [], [], 0)[0] != [], 5)
    pair.send()
    with pytest.raises(NotTakenError):
        pair.connection.receive()
    pair.reopen()
    pair.send()
    assert pair.server.recv(65_536)
    pair.server.close()
    assert wait_until(lambda: select.select([pair.descriptor], [], [], 0)[0] != [], 5)
    with pytest.raises(ConnectionLostError) as lost:
        pair.connection.receive()
    assert not isinstance(lost.value, NotTakenError)
