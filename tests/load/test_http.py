"""An HTTP connection reads whole answers, names failures, and opens again where the server closes."""

import itertools
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from capacity.clock import monotonic_ns
from capacity.load.arguments import Draw
from capacity.load.arrivals import arrivals_of
from capacity.load.engine import Engine
from capacity.load.http import HttpConnection, packed_requests
from capacity.load.schedule import Schedule
from capacity.operation import Operation
from capacity.recording import create_recording, finish_recording, open_recording
from capacity.samples import check_samples
from capacity.streams import MOST_ERRORS, OTHER, GaugeWriter, SampleWriter
from capacity.workload import parse_workload

OWNER = {"owner": {"kind": "uniform", "low": 7, "high": 7}}
Answer = Callable[[bytes], list[bytes]]


def operation(**request: Any) -> Operation:
    return Operation.model_validate({"name": "a", "weight": 100, "parameters": OWNER, "request": request})


@contextmanager
def server(answer: Answer, context: ssl.SSLContext | None = None, idle_s: float | None = None) -> Iterator[str]:
    """A server of one thread a connection; `answer` gives the pieces for a request, and b"" closes after them.

    It closes a connection that is idle for `idle_s`.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(plain: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(plain, server_side=True) if context else plain as client:
            client.settimeout(idle_s)
            while request := client.recv(65536):
                for piece in answer(request):
                    if not piece:
                        return
                    client.sendall(piece)

    def accept() -> None:
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"{'https' if context else 'http'}://localhost:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def drive(
    url: str, path: Path, kind: str = "rate", to: float = 100, seconds: float = 0.5, **request: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    stages = [{"name": "sustain", "seconds": seconds, "to": to}]
    values = {"name": "w", "target": "http", "connections": 2, "timeout_ms": 2000}
    values |= {"operations": [operation(**{"path": "/{owner}", **request}).model_dump()]}
    values |= {"shapes": {"test": {"kind": kind, "arrivals": "uniform", "stages": stages}}}
    workload = parse_workload(values)
    create_recording(path, {"operations": ["a"]})
    samples, gauges = SampleWriter(path, 0), GaugeWriter(path, "generator")
    requests = [packed_requests(each, url, Draw(workload.seed)) for each in workload.operations]
    pool = [HttpConnection(url, requests, samples.error_code, 2.0) for _ in range(2)]
    engine = Engine(arrivals_of(Schedule(workload, workload.shape("test"))), pool, samples, gauges, 2.0)
    assert engine.connect() == 2, engine.refused
    engine.run(monotonic_ns())
    samples.close()
    gauges.close()
    finish_recording(path, {})
    recording = open_recording(path)
    return check_samples(recording.samples), recording.gauges


def ok(*headers: str, body: bytes = b"hello") -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_a_request_is_written_whole_with_its_arguments() -> None:
    made = next(packed_requests(operation(path="/a/{owner}", headers={"X-Owner": "{owner}"}), "http://h:1", Draw(1)))
    assert made == b"GET /a/7 HTTP/1.1\r\nHost: h:1\r\nX-Owner: 7\r\n\r\n"
    posted = operation(method="POST", path="/b", body='{"owner": {owner}}')
    assert next(packed_requests(posted, "http://h:1", Draw(1))) == (
        b'POST /b HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"owner": 7}'
    )


def test_answers_in_pieces_and_in_chunks_are_read_to_their_end(tmp_path: Path) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    turns = iter(range(1_000_000))

    def answer(_: bytes) -> list[bytes]:
        whole = ok(body=b"x" * 100_000) if next(turns) % 2 else chunked
        return [whole[:10], whole[10:60], whole[60:]]

    with server(answer) as url:
        samples, gauges = drive(url, tmp_path / "r")
    assert set(samples["outcome"]) == {"ok"}
    assert len(samples) == 50
    assert "generator.reconnection_ms" not in set(gauges["gauge"])


def test_a_failure_is_its_status_and_one_that_sheds_load_is_a_class_of_its_own(tmp_path: Path) -> None:
    busy = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 30\r\nContent-Length: 4\r\n\r\n"
    broken = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
    turns = iter(range(1_000_000))
    with server(lambda _: [busy, b"busy"] if next(turns) % 2 else [broken]) as url:
        samples, _ = drive(url, tmp_path / "r")
    assert set(samples["outcome"]) == {"error"}
    assert set(samples["error"]) == {"500", "503, retry after"}


def test_dates_and_texts_of_an_answer_make_no_classes(tmp_path: Path) -> None:
    turns = iter(range(1_000_000))

    def answer(_: bytes) -> list[bytes]:
        turn = next(turns)
        when = f"Wed, 02 Dec 2026 10:{turn // 60 % 60:02d}:{turn % 60:02d} GMT" if turn % 2 else str(turn)
        head = b"HTTP/1.1 503 Busy %d\r\nRetry-After: %b\r\n" % (turn, when.encode())
        return [head + b"Content-Length: 14\r\n\r\nfailure %06d" % turn]

    with server(answer) as url:
        samples, _ = drive(url, tmp_path / "r", to=1000)
    assert len(samples) == pytest.approx(500, abs=1)
    assert set(samples["error"]) == {"503, retry after"}


def test_ever_new_classes_of_failure_end_as_one_and_the_load_goes_on(tmp_path: Path) -> None:
    statuses = itertools.cycle(range(400, 1000))
    with server(lambda _: [b"HTTP/1.1 %d no\r\nContent-Length: 0\r\n\r\n" % next(statuses)]) as url:
        samples, _ = drive(url, tmp_path / "r", to=2000)
    assert set(samples["outcome"]) == {"error"}
    assert len(samples) == pytest.approx(1000, abs=1)
    named = samples["error"] != OTHER
    assert samples.loc[named, "error"].nunique() == MOST_ERRORS == 200
    assert (~named).sum() == pytest.approx(1000 - 2 * 200, abs=10)  # in both rounds the first 200 have their own


def test_a_server_that_closes_after_each_answer_is_opened_again_and_nothing_is_lost(tmp_path: Path) -> None:
    with server(lambda _: [ok("Connection: close"), b""]) as url:
        samples, gauges = drive(url, tmp_path / "r")
    assert set(samples["outcome"]) == {"ok"}
    assert (gauges["gauge"] == "generator.reconnection_ms").sum() >= len(samples) - 2


def test_idle_connections_that_the_server_closes_cost_no_request_and_are_no_new_connection_of_one(
    tmp_path: Path,
) -> None:
    with server(lambda _: [ok()], idle_s=0.06) as url:
        samples, gauges = drive(url, tmp_path / "r", to=4, seconds=1.5)
    assert samples["outcome"].tolist() == ["ok"] * 6
    names = gauges["gauge"].value_counts()
    assert names["generator.reconnection_ms"] > names["generator.reconnection_of_unused"] > 6
    assert gauges.loc[gauges["gauge"] == "generator.cpu_share", "value"].mean() < 0.5


@pytest.mark.thorough
def test_a_request_that_meets_the_close_of_an_idle_connection_goes_over_another_one(tmp_path: Path) -> None:
    """Each connection is used again when its time limit is just over."""
    with server(lambda _: [ok()], idle_s=0.02) as url:
        samples, gauges = drive(url, tmp_path / "r", to=99, seconds=1.5)
    assert len(samples) == pytest.approx(148, abs=1)
    assert (samples["outcome"] != "ok").sum() <= 2  # which the server had taken in, and closed without a look
    assert (gauges["gauge"] == "generator.reconnection_ms").sum() > 5


@pytest.mark.parametrize("secured", [False, True])
def test_an_answer_that_comes_before_the_end_of_the_request_counts(
    certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secured: bool
) -> None:
    """The server reads 64 kB of 8 MB, says that this is too much, and closes; the loop goes on meanwhile.

    Below TLS a write that fails can end the session with what had not been read of it.
    """
    key, file = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    much = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
    with server(lambda _: [much, b""], context if secured else None) as url:
        samples, _ = drive(url, tmp_path / "r", to=20, method="POST", body="x" * 8_000_000)
    assert len(samples) == 10
    cut = {"connection closed by the server", "Broken pipe", "Connection reset by peer"}
    assert {"413"} <= set(samples["error"]) <= {"413", *(cut if secured else ())}


def test_a_connection_that_is_cut_is_an_error_with_its_reason(tmp_path: Path) -> None:
    turns = iter(range(1_000_000))
    with server(lambda _: [ok()[:20], b""] if next(turns) % 10 == 9 else [ok()]) as url:
        samples, _ = drive(url, tmp_path / "r")
    failed = samples[samples["outcome"] == "error"]
    assert len(failed) == pytest.approx(len(samples) / 10, abs=1)
    assert set(failed["error"]) == {"connection closed by the server"}


def test_users_whose_connections_are_cut_go_on_and_every_operation_is_accounted_for(tmp_path: Path) -> None:
    turns = iter(range(1_000_000))
    with server(lambda _: [ok()[:20], b""] if next(turns) % 50 == 49 else [ok()]) as url:
        samples, _ = drive(url, tmp_path / "r", "users", to=2)
    assert sorted(samples["seq"]) == list(range(len(samples)))
    failed = samples[samples["outcome"] == "error"]
    assert len(failed) == pytest.approx(len(samples) / 50, abs=1)
    assert set(failed["error"]) == {"connection closed by the server"}


def test_what_is_not_http_is_said_so(tmp_path: Path) -> None:
    with server(lambda _: [b"220 mail.example ESMTP\r\n"]) as url:
        samples, _ = drive(url, tmp_path / "r")
    assert all(str(error).startswith("not HTTP: ") for error in samples["error"])


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=DNS:localhost"]
    key, file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(["openssl", *words, "-keyout", key, "-out", file], check=True, capture_output=True)
    return key, file


def test_tls_is_spoken_and_an_unknown_certificate_is_refused(
    certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, file = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    with server(lambda _: [ok(body=b"x" * 50_000)], context) as url:
        with pytest.raises(AssertionError, match="certificate verify failed"):
            drive(url, tmp_path / "refused")
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        samples, _ = drive(url, tmp_path / "r")
    assert set(samples["outcome"]) == {"ok"}
