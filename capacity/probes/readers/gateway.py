"""The figures that a gateway exposes about itself as Prometheus text."""

import contextlib
import http
import http.client
import math
import re
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

from capacity.errors import CapacityError
from capacity.probes.readers import TIMEOUT_S, Reader

# A line without labels: name, value, and then a time, or an exemplar as OpenMetrics has it.
LINE = re.compile(
    r"^([A-Za-z_:][\w:]*)(?:\{\})?[ \t]+([-+]?(?:[0-9.][-+.\w]*|Inf|NaN))(?:[ \t]+[-+.\w]+)?(?:[ \t]+#.*)?\r?$", re.M
)
LABELLED = re.compile(r"^[A-Za-z_:][\w:]*\{.+\}[ \t]+[-+]?[0-9.INn]", re.M)
PATH = "/metrics"
DOWN = http.client.HTTPException
PAGE_S = 1.0  # longer, it would hold up the figures of the other servers, which are read in turn
MOST_BYTES = 1 << 20
PART_BYTES = 1 << 16


class NoPageError(Exception):
    """The gateway has no page of its figures, or none that can be read; its text says why."""


def gateway_reader(url: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads the lines `name value` of the gateway at `url`, as gauges `gateway.name`.

    Of a name that begins with `gateway_` that is left out. What is no finite number is left out too.
    A gateway without such a page has none, which the fact `not_given` says, and it is not asked again; CapacityError
    where it is down.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc.rpartition("@")[2], timeout=TIMEOUT_S)
    facts: dict[str, Any] = {"server": "an HTTP server"}

    def read() -> dict[str, float]:
        try:
            return _figures(_page(connection, facts))
        except NoPageError:
            return {}
        except (OSError, http.client.HTTPException):
            connection.close()  # the next reading asks over another one
            raise

    try:
        connection.connect()
    except OSError as error:
        raise CapacityError(f"the gateway does not answer: {error}; start it, or correct its address") from None
    why = ""
    try:
        if not _figures(_page(connection, facts)):
            why = f"the gateway's page {PATH} has no figure without labels"
    except NoPageError as error:
        why = str(error)
    except (OSError, http.client.HTTPException) as error:
        why = f"the gateway has no page {PATH} that can be read: {str(error).strip()[:80] or type(error).__name__}"
    if why:
        connection.close()
        return dict, {**facts, "not_given": {"gateway": why}}
    return read, facts


def _page(connection: http.client.HTTPConnection, facts: dict[str, Any]) -> str:
    """The text of the page; `facts` learn what server it is. NoPageError where there is none, or none in time."""
    if connection.sock is None:
        connection.connect()
    late, used = threading.Event(), connection.sock

    def end() -> None:
        late.set()
        with contextlib.suppress(OSError):
            used.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(PAGE_S, end)  # a time limit of the socket would begin anew with each byte
    timer.start()
    try:
        return _asked(connection, facts)
    except NoPageError:
        connection.close()
        raise
    finally:
        timer.cancel()
        if late.is_set():
            connection.close()
            raise NoPageError(f"the gateway's page {PATH} takes longer than {PAGE_S:g} s")


def _asked(connection: http.client.HTTPConnection, facts: dict[str, Any]) -> str:
    connection.request("GET", PATH)
    answer = connection.getresponse()
    facts["server"] = answer.getheader("server") or facts["server"]
    if answer.status != http.HTTPStatus.OK:
        raise NoPageError(f"the gateway has no page {PATH}: it answers {answer.status}")
    if encoding := answer.getheader("content-encoding"):
        raise NoPageError(f"the gateway's page {PATH} is encoded as {encoding[:20]}, which was not asked for")
    read = bytearray()
    while part := answer.read(PART_BYTES):
        read += part
        if len(read) > MOST_BYTES:
            raise NoPageError(f"the gateway's page {PATH} is over {MOST_BYTES >> 20} MiB long")
    text = read.decode(errors="replace")
    if not LINE.search(text) and not LABELLED.search(text):
        kind = (answer.getheader("content-type") or "no type given").partition(";")[0][:40]
        raise NoPageError(f"the gateway's page {PATH} is no Prometheus text ({kind})")
    return text


def _figures(text: str) -> dict[str, float]:
    found = {}
    for name, written in LINE.findall(text):
        with contextlib.suppress(ValueError):
            value = float(written)
            if math.isfinite(value):
                found[f"gateway.{name.removeprefix('gateway_')}"] = value
    return found
