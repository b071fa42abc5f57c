"""What a gateway tells of itself is read where it is Prometheus text, and else not given with the cause."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, repeat

import pytest

from capacity.errors import CapacityError
from capacity.probes.readers.gateway import MOST_BYTES, gateway_reader

PLAIN = "text/plain; version=0.0.4"
PAGE = """# HELP gateway_pool_in_use Connections.
# TYPE gateway_pool_in_use gauge
gateway_pool_in_use 3
gateway_pool_limit 1e1
up{job="a"} 1
process_start_time_seconds 1.7e9 1700000000000
empty_labels{} 2
never NaN
"""
OPEN_METRICS = """# TYPE requests counter
requests_total 17.0 # {trace_id="KOO5S4vxi0o"} 1.0 1700000000.1
requests_created 1700000000.1
# EOF
"""
FIGURES = {"pool_in_use": 3, "pool_limit": 10, "process_start_time_seconds": 1.7e9, "empty_labels": 2}


@contextmanager
def page(answer: Callable[[int], Iterable[bytes]]) -> Iterator[str]:
    """A server of one thread; `answer` gives the pieces of the answer to the request with that number."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        number = 0
        with suppress(OSError):
            while True:
                with suppress(ConnectionError), listener.accept()[0] as client:
                    while client.recv(65_536):
                        for piece in answer(number):
                            client.sendall(piece)
                        number += 1

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def whole(text: str | bytes, kind: str = PLAIN, status: str = "200 OK", more: str = "") -> list[bytes]:
    body = text if isinstance(text, bytes) else text.encode()
    head = f"HTTP/1.1 {status}\r\nServer: own\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return [head.encode(), body]


def endless(kind: str = PLAIN) -> Iterator[bytes]:
    return chain([f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode()], repeat(b"name 1\n" * 10_000))


def slowly(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A byte ten times a second: each one comes in time."""
    for each in b"".join(pieces):
        threading.Event().wait(0.1)
        yield bytes([each])


def test_lines_without_labels_are_figures() -> None:
    with page(lambda _: whole(PAGE)) as url:
        read, facts = gateway_reader(url)
        assert [read(), read()] == [{f"gateway.{name}": value for name, value in FIGURES.items()}] * 2
    assert facts == {"server": "own"}


def test_times_and_exemplars_of_open_metrics_are_no_part_of_a_figure() -> None:
    with page(lambda _: whole(OPEN_METRICS, "application/openmetrics-text")) as url:
        read, _ = gateway_reader(url)
        assert read() == {"gateway.requests_total": 17, "gateway.requests_created": 1700000000.1}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (whole("<p>hello</p>", "text/html"), "the gateway's page /metrics is no Prometheus text (text/html)"),
        (whole('{"a": 1}', "application/json"), "the gateway's page /metrics is no Prometheus text (application/json)"),
        (whole("all is well"), "the gateway's page /metrics is no Prometheus text (text/plain)"),
        (whole(""), "the gateway's page /metrics is no Prometheus text (text/plain)"),
        (whole('up{job="a"} 1\n'), "the gateway's page /metrics has no figure without labels"),
        (whole(PAGE, status="404 Not Found"), "the gateway has no page /metrics: it answers 404"),
        (whole(PAGE, status="302 Found"), "the gateway has no page /metrics: it answers 302"),
        (
            whole(gzip.compress(PAGE.encode()), more="Content-Encoding: gzip\r\n"),
            "the gateway's page /metrics is encoded as gzip, which was not asked for",
        ),
        ([b"220 mail.example ESMTP\r\n"], "the gateway has no page /metrics that can be read: 220 mail.example ESMTP"),
    ],
)
def test_what_is_no_prometheus_text_is_not_given_with_the_cause(answer: list[bytes], why: str) -> None:
    with page(lambda _: answer) as url:
        read, facts = gateway_reader(url)
        assert facts["not_given"] == {"gateway": why}
        assert read() == {}


def test_a_page_without_end_is_not_read_to_its_end() -> None:
    with page(lambda _: endless()) as url:
        read, facts = gateway_reader(url)
        assert facts["not_given"] == {"gateway": f"the gateway's page /metrics is over {MOST_BYTES >> 20} MiB long"}
        assert read() == {}


@pytest.mark.parametrize("pieces", [whole(PAGE), [b"HTTP/1.1 200 OK\r\n", *repeat(b"X: y\r\n", 100)]])
def test_a_page_that_comes_slowly_is_not_waited_for(pieces: list[bytes]) -> None:
    with page(lambda _: slowly(pieces)) as url:
        read, facts = gateway_reader(url)
        assert facts["not_given"] == {"gateway": "the gateway's page /metrics takes longer than 1 s"}
        assert read() == {}


def test_a_page_that_fails_once_is_read_again_over_another_connection() -> None:
    answers = {1: [b"HTTP/1.1 500 no\r\nContent-Length: 9\r\n\r\n"], 2: [b"no HTTP\r\n"]}
    with page(lambda number: answers.get(number, whole(PAGE))) as url:
        read, _ = gateway_reader(url)
        assert read() == {}
        with pytest.raises(Exception, match="no HTTP"):
            read()
        assert read()["gateway.pool_in_use"] == 3


def test_a_gateway_that_is_down_is_one_sentence() -> None:
    with pytest.raises(CapacityError, match=r"^the gateway does not answer: .*; start it, or correct its address$"):
        gateway_reader("http://127.0.0.1:1")
