"""An answer that was not parsed because it was known has the outcome that the parser would have found."""

import random
import select
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest

from capacity.load.arguments import Draw
from capacity.load.connection import CLOSES, OK, PENDING, ConnectionLostError
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
        self._descriptor = self.connection.open()
        self._server = self._listener.accept()[0]

    def outcome(self, pieces: list[bytes]) -> int | str:
        """What the connection makes of an answer in pieces, of which it sees each before the next is sent."""
        code: int | str = PENDING
        for piece in pieces:
            if code == PENDING:
                code = self.after(piece)
            else:
                self._server.sendall(piece)
        while code == PENDING:
            code = self._received()
        return code

    def after(self, piece: bytes) -> int | str:
        self._server.sendall(piece)
        return self._received()

    def _received(self) -> int | str:
        assert select.select([self._descriptor], [], [], 10.0)[0], "the answer is incomplete"
        try:
            return self.connection.receive()
        except ConnectionLostError as error:
            return str(error)

    def reopen(self) -> None:
        self.connection.close()
        self._server.close()
        self.open()

    def close(self) -> None:
        self.connection.close()
        self._server.close()
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
