"""Situations of HTTP APIs that are somebody's own."""

import itertools
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from capacity.findings import Finding
from capacity.probes.gateway import measure_gateway, read_gateway_findings
from capacity.system.addresses import System
from tests.planted.stand import Situation, Stand

GET = {"name": "get", "request": {"path": "/items"}}
PAGE = "gateway_pool_limit 10\ngateway_pool_in_use {used}\ngateway_pool_errors_total {errors}\n"


@dataclass
class Api:
    """Counts what it is asked, and answers by a request's number of all, and of its connection, from 1 on."""

    answer: Callable[[int, int], tuple[bytes, bool]]  # and whether the connection ends after it
    metrics: Callable[[int], bytes] = lambda _: answer(404)
    asked: int = 0
    opened: int = 0
    read: int = 0
    held: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, client: socket.socket) -> None:
        """One connection."""
        with client, suppress(OSError):
            for mine in itertools.count(1):
                text = b""
                while b"\r\n\r\n" not in text:
                    if not (data := client.recv(65_536)):
                        return
                    text += data
                if text.startswith(b"GET /metrics"):
                    self.read += 1
                    client.sendall(self.metrics(self.read))
                    continue
                with self.held:
                    self.asked, self.opened = self.asked + 1, self.opened + (mine == 1)
                    said, last = self.answer(self.asked, mine)
                client.sendall(said)
                if last:
                    return


def answer(status: int, body: str = "", more: str = "", version: str = "1.1") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if "Transfer-Encoding" not in more and status not in (204, 304) else ""
    return f"HTTP/{version} {status} said\r\n{length}{more}\r\n{body}".encode()


@contextmanager
def served(api: Api, host: str = "127.0.0.1") -> Iterator[str]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family, backlog=200)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=api.serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def measured(
    stand: Stand, api: Api, host: str = "127.0.0.1", operation: Mapping[str, object] = GET
) -> Mapping[str, Finding]:
    """The findings by their names without `gateway.`; each request was asked once."""
    workloads = stand.workloads("gateway", "http", [dict(operation)], seconds=3)
    with served(api, host) as url:
        made = measure_gateway(System(gateway_url=url), workloads, "smoke", stand.folder / "recording")
    stand.counted |= {"volume": api.asked}
    return {each.name.removeprefix("gateway."): each for each in read_gateway_findings(made)}


def no_bodies(stand: Stand) -> Mapping[str, Finding]:
    """204, 304 and 200 with chunks and trailers take turns."""
    chunks = answer(200, "5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n")
    said = [answer(204), answer(304, more='ETag: "a"\r\n'), chunks]
    return measured(stand, Api(lambda asked, _: (said[asked % 3], False)))


def five_each(stand: Stand) -> Mapping[str, Finding]:
    """A connection has five answers, of which the last one says that it is."""
    api = Api(lambda _, mine: (answer(200, "ok", "Connection: close\r\n" if mine == 5 else ""), mine == 5))
    found = measured(stand, api)
    opened = api.opened - 4  # and up to four at the end that nothing came over
    stand.counted["keep_alive_reuse"] = (100 * (1 - (opened + 4) / api.asked), 100 * (1 - opened / api.asked))
    return found


def old_protocol(stand: Stand) -> Mapping[str, Finding]:
    """HTTP/1.0 without a length: each answer ends with its connection."""
    said = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nok"
    return measured(stand, Api(lambda *_: (said, True)))


def restarted(stand: Stand) -> Mapping[str, Finding]:
    """It had 50 errors, is started anew in mid-run, and has 3 since."""
    counted = itertools.chain([47, 48, 49, 50, 50, 50], itertools.repeat(3))
    api = Api(
        lambda *_: (answer(200, "ok"), False),
        lambda _: answer(200, PAGE.format(used=5, errors=next(counted)), "Content-Type: text/plain\r\n"),
    )
    return measured(stand, api)


def metrics_go(stand: Stand) -> Mapping[str, Finding]:
    """Its page of figures is not answered any more from the middle on."""
    api = Api(
        lambda *_: (answer(200, "ok"), False),
        lambda read: (
            answer(200, PAGE.format(used=5, errors=0), "Content-Type: text/plain\r\n") if read < 7 else answer(503)
        ),
    )
    return measured(stand, api)


def no_pool(stand: Stand) -> Mapping[str, Finding]:
    """It tells of a pool of connections that has none."""
    text = "gateway_pool_limit 0\ngateway_pool_in_use 0\ngateway_pool_errors_total 0\n"
    api = Api(lambda *_: (answer(200, "ok"), False), lambda _: answer(200, text, "Content-Type: text/plain\r\n"))
    return measured(stand, api)


def newer_internet(stand: Stand) -> Mapping[str, Finding]:
    """At an address of IPv6, with a tenth of the answers turned away on purpose."""
    shed = answer(429, "later", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n")
    return measured(stand, Api(lambda asked, _: (shed if asked % 10 == 0 else answer(200, "ok"), False)), "::1")


FINE = {"success_rate": 100, "error_rate": 0, "no_answer_rate": 0}
SITUATIONS = [
    Situation(
        "answers have no body, or chunks and trailers", {**FINE, "keep_alive_reuse": 100, "redirected": 0}, no_bodies
    ),
    Situation("an API ends a connection after five answers", FINE, five_each),
    Situation("an API speaks HTTP/1.0", {**FINE, "keep_alive_reuse": (0, 1)}, old_protocol),
    Situation("an API is started anew in mid-run", {**FINE, "pool_errors": "started anew"}, restarted),
    Situation(
        "the page of figures goes away in mid-run",
        {**FINE, "pool_errors": "no reading of it from", "pool_utilisation": "no reading of it from"},
        metrics_go,
    ),
    Situation("an API tells of a pool that has no connections", {**FINE, "pool_utilisation": "limit"}, no_pool),
    Situation(
        "an API at an address of IPv6 sheds load",
        {"success_rate": (88, 91), "error_rate": 0, "shed_rate": (9, 11)},
        newer_internet,
    ),
]
