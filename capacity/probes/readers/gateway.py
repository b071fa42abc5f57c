"""The figures that a gateway exposes about itself as Prometheus text."""

import http
import http.client
import re
from typing import Any
from urllib.parse import urlsplit

from capacity.errors import CapacityError
from capacity.probes.readers import TIMEOUT_S, Reader

LINE = re.compile(r"^([A-Za-z_:][\w:]*) (\S+)$", re.MULTILINE)
PATH = "/metrics"
DOWN = http.client.HTTPException


def gateway_reader(url: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads the lines `name value` of the gateway at `url`, as gauges `gateway.name`.

    Of a name that begins with `gateway_` that is left out.
    A gateway without such a page has none, which the fact `not_given` says; CapacityError where it is down.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc.rpartition("@")[2], timeout=TIMEOUT_S)

    def fetched() -> http.client.HTTPResponse:
        connection.request("GET", PATH)
        return connection.getresponse()

    def read() -> dict[str, float]:
        answer = fetched()
        text = answer.read().decode(errors="replace")
        lines = LINE.findall(text) if answer.status == http.HTTPStatus.OK else []
        return {f"gateway.{name.removeprefix('gateway_')}": float(value) for name, value in lines}

    try:
        answer = fetched()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise CapacityError(f"the gateway does not answer: {error}; start it, or correct its address") from None
    facts: dict[str, Any] = {"server": answer.getheader("server") or "an HTTP server"}
    if answer.status != http.HTTPStatus.OK:
        facts["not_given"] = {"gateway": f"the gateway has no page {PATH}: it answers {answer.status}"}
    return read, facts
