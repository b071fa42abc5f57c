"""What an HTTP API says before it is loaded: its answers to one request each, its connections, and its clock."""

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from capacity.clock import unix_s
from capacity.load.arguments import Draw
from capacity.load.http import FAILED, packed_requests
from capacity.operation import Operation
from capacity.system.preflight.check import ANSWER_S, Check, fact, note, one_line
from capacity.system.preflight.clocks import ClockOffset, clock_check
from capacity.system.preflight.this_machine import ephemeral_ports
from capacity.workload import Workload

EXPIRES_DAYS = 14
DAY_S = 86_400
DATE_S = 1.0
REDIRECTS = 300
LOOK = "look into its log"
REMEDIES = {
    401: "give the header Authorization in the workload's file",
    403: "give the headers that let it in, in the workload's file",
    404: "correct the path in the workload's file, or the values of its parameters",
    405: "correct the method in the workload's file",
    429: "raise its limit for this load, or expect to measure the limit",
}
KEPT_S = 60.0  # a closed connection's port is not used again for so long


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer of an API."""

    operation: str
    status: int
    version: str
    closes: bool
    date: str
    location: str
    at_s: float
    seconds: float


class Client:
    """A connection to an API, opened anew where it was closed; as the load's are, it goes by no proxy."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._socket: socket.socket | None = None
        self.opened = 0
        self.expires_s: float | None = None

    def ask(self, operation: Operation, request: bytes) -> HttpAnswer:
        """Send a request and read the whole answer; OSError or HTTPException where that fails."""
        connection, asked = self.open(), unix_s()
        connection.sendall(request)
        with closing(http.client.HTTPResponse(connection)) as told:
            told.begin()
            told.read()
            answered = unix_s()
            date, location = (told.getheader(name) or "" for name in ("Date", "Location"))
            version, between = f"{told.version // 10}.{told.version % 10}", (asked + answered) / 2
            times = between, answered - asked
            answer = HttpAnswer(operation.name, told.status, version, told.will_close, date, location, *times)
        if answer.closes:
            self.close()
        return answer

    def close(self) -> None:
        """Close the connection."""
        if self._socket:
            self._socket.close()
        self._socket = None

    def open(self) -> socket.socket:
        """The connection, opened where there is none; OSError where that fails."""
        if self._socket is None:
            secure = self._address.scheme == "https"
            place = self._address.hostname or "127.0.0.1", self._address.port or (443 if secure else 80)
            plain = socket.create_connection(place, timeout=ANSWER_S)
            self.opened += 1
            self._socket = self._secured(plain) if secure else plain
        return self._socket

    def _secured(self, plain: socket.socket) -> socket.socket:
        try:
            secured = ssl.create_default_context().wrap_socket(plain, server_hostname=self._address.hostname)
        except OSError:
            plain.close()
            raise
        until = (secured.getpeercert() or {}).get("notAfter")
        self.expires_s = ssl.cert_time_to_seconds(until) if isinstance(until, str) else None
        return secured


def gateway_checks(url: str, workload: Workload) -> list[Check]:
    """What is to be known of the API at `url` before this workload; OSError where it does not answer.

    Each GET of the workload is asked once, and the first once more over the same connection; what may change something
    is not asked.
    """
    read = [each for each in workload.operations if each.request and each.request.method == "GET"]
    left_out = [each.name for each in workload.operations if each not in read]
    with closing(Client(url)) as client:
        client.open()
        answers: list[HttpAnswer] = []
        failures: dict[str, str] = {}
        for operation in [*read, *read[:1]]:
            try:
                answers.append(client.ask(operation, next(packed_requests(operation, url, Draw(workload.seed)))))
            except (OSError, http.client.HTTPException) as error:
                failures[operation.name] = one_line(error)
                client.close()
        checks = [*_answers(answers, failures, left_out), *_kept(client, answers, workload)]
        return [*checks, *_certificate(client), *_clock(answers)]


def _answers(answers: Sequence[HttpAnswer], failures: Mapping[str, str], left_out: Sequence[str]) -> Iterator[Check]:
    if not failures or answers:
        version = f"HTTP/{answers[0].version}" if answers else "it takes connections"
        yield fact("reachable", version)
    else:
        yield note("reachable", "it takes connections, and gives no answer of HTTP", "no request is answered", LOOK)
    for name, said in failures.items():
        yield note("answer", f"{name}: {said}", "each of these requests is counted as an error", LOOK)
    alike: dict[tuple[int, str], list[str]] = {}
    for operation, each in {answer.operation: answer for answer in answers}.items():
        alike.setdefault((each.status, each.location), []).append(operation)
    for (status, location), names in alike.items():
        said = f"{status} from {', '.join(names)}"
        if status >= FAILED:
            yield note("answer", said, "each such answer is counted as an error", REMEDIES.get(status, LOOK))
        elif status >= REDIRECTS:
            means = "no redirection is followed: what is measured is the redirection"
            yield note("answer", f"{said}: to {location}", means, "put that path into the workload's file")
        else:
            yield fact("answer", said)
    if left_out:
        yield fact("not asked", f"{', '.join(left_out)}: they may change something")


def _kept(client: Client, answers: Sequence[HttpAnswer], workload: Workload) -> Iterator[Check]:
    """Whether connections stay open, and whether there are ports enough where they do not."""
    if not answers:
        return
    if not any(each.closes for each in answers):
        yield fact("keep-alive", f"{len(answers)} requests over {client.opened} connection")
        return
    closing_names = ", ".join(dict.fromkeys(each.operation for each in answers if each.closes))
    means = "each such request opens a connection anew: that, and TLS where there is, is part of its response time"
    to_do = "nothing, where its clients find it so too; else let it keep connections alive"
    yield note("keep-alive", f"the connection is closed after {closing_names}", means, to_do)
    ports = ephemeral_ports()
    most = max(
        (stage.to for shape in workload.shapes.values() if shape.kind == "rate" for stage in shape.stages), default=0
    )
    if ports and most * KEPT_S > ports:
        said = f"{most:g} new connections a second hold up to {most * KEPT_S:,.0f} ports, and {ports:,} are there"
        means = "connections fail (Cannot assign requested address) once the ports are used up"
        yield note("ports", said, means, "lower the rate, or let the API keep connections alive")


def _certificate(client: Client) -> Iterator[Check]:
    if client.expires_s is None:
        return
    days = (client.expires_s - unix_s()) / DAY_S
    if days > EXPIRES_DAYS:
        yield fact("certificate", f"valid for {days:,.0f} days more")
    else:
        means = "every connection fails from then on"
        yield note("certificate", f"it ends in {days:.1f} days", means, "renew it")


def _clock(answers: Sequence[HttpAnswer]) -> Iterator[Check]:
    """Its clock by the header Date, in whole seconds; some servers write it anew each second only."""
    told = [each for each in answers if each.date]
    with suppress(ValueError, TypeError):
        for each in told[:1]:
            offset = parsedate_to_datetime(each.date).timestamp() + 0.5 - each.at_s
            yield clock_check(ClockOffset(offset, 0.5 + each.seconds), DATE_S)
