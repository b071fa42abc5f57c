"""The gateway as a process on the embedded servers, and lines to them that can be cut."""

import contextlib
import http.client
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from capacity.system.addresses import System
from capacity.system.application.database import Dataset, prepare_database

DATASET = Dataset(owners=20, posts_per_owner=25)
START_SECONDS = 20
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Gateway:
    """A gateway process; `ask` sends one request over a connection of its own."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]", system: System) -> None:
        self.port, self.process, self.system = port, process, system
        self.url = f"http://127.0.0.1:{port}"

    def ask(
        self,
        method: str,
        path: str,
        owner: int | str | None = 1,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {} if owner is None else {"X-Owner": str(owner)}
        sent |= {"Content-Type": "application/json"} if content is not None else {}
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, content, sent | (headers or {}))
            response = connection.getresponse()
            text = response.read().decode()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, text, time.monotonic() - began)

    def ask_at_once(self, count: int, *request: Any) -> list[Answer]:
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(lambda _: self.ask(*request), range(count)))

    def ask_for_each(self, method: str, path: str, owners: list[int]) -> list[Answer]:
        with ThreadPoolExecutor(20) as threads:
            return list(threads.map(lambda owner: self.ask(method, path, owner), owners))

    def metric(self, name: str) -> float:
        lines = self.ask("GET", "/metrics", None).text.splitlines()
        return float(dict(line.split() for line in lines)[name])

    def wait_until(self, holds: Callable[[], bool], seconds: float = 5) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it did not come true in time"
            time.sleep(0.02)


class Wire:
    """A line to a server on loopback that can be cut, and can be silent."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._carries = threading.Event()
        self._carries.set()
        self._is_cut = False
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def url(self) -> str:
        port = self._listener.getsockname()[1]
        return self._target._replace(netloc=self._target.netloc.rpartition(":")[0] + f":{port}").geturl()

    def cut(self) -> None:
        self._is_cut = True
        while self._ends:
            with contextlib.suppress(OSError):
                self._ends.pop().shutdown(socket.SHUT_RDWR)

    def be_silent(self) -> None:
        self._carries.clear()

    def restore(self) -> None:
        self._is_cut = False
        self._carries.set()

    def close(self) -> None:
        self._carries.set()
        self.cut()
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                if self._is_cut:
                    near.close()
                    continue
                far = socket.create_connection((self._target.hostname, self._target.port))
                self._ends += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._carries.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def application(system: System) -> System:
    """The system with the tables of `DATASET`, and a Redis database of its own that may be emptied."""
    prepare_database(system.postgres_admin_url, DATASET)
    redis_url = urlsplit(system.redis_url)._replace(path="/7").geturl()
    return replace(system, redis_url=redis_url, queue="capacity")


@pytest.fixture
def wire() -> Iterator[Callable[[str], Wire]]:
    with contextlib.ExitStack() as stack:
        yield lambda url: stack.enter_context(contextlib.closing(Wire(url)))


@pytest.fixture(scope="module")
def start_gateway(application: System) -> Iterator[Callable[..., Gateway]]:
    """A function that starts a gateway with options and other addresses; each has a queue of its own."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*options: str, **addresses: str) -> Gateway:
        system = replace(application, queue_prefix=f"gateway{next(NUMBERS)}", **addresses)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "capacity.system.application.gateway", "--port", str(port), *options]
        process = subprocess.Popen(command, env={**os.environ, **system.as_environment()})
        processes.append(process)
        gateway = Gateway(port, process, system)
        gateway.wait_until(lambda: process.poll() is not None or _answers(gateway), START_SECONDS)
        return gateway

    try:
        yield start
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(gateway: Gateway) -> bool:
    with contextlib.suppress(OSError):
        return gateway.ask("GET", "/api/health", None).status == 200
    return False
