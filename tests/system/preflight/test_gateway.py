"""What an HTTP API says of itself: an own Starlette API, and raw servers that answer as others may."""

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from capacity.clock import wait_until
from capacity.system.embedded import free_port
from capacity.system.preflight import gateway
from capacity.system.preflight.check import Check, Look
from capacity.system.preflight.gateway import gateway_checks
from capacity.workload import Workload, parse_workload

API = """
import sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

async def order(request):
    return JSONResponse({"id": request.path_params["number"]})

async def old(request):
    return RedirectResponse("/orders/1", 308)

async def closes(request):
    return Response("", headers={"Connection": "close"})

async def pay(request):
    print("paid", flush=True)
    return JSONResponse({})

app = Starlette(routes=[Route("/orders/{number:int}", order), Route("/old", old), Route("/closes", closes),
                        Route("/pay", pay, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
"""
NOT_IMPLEMENTED = b"HTTP/1.0 200 OK\r\nDate: Mon, 03 Mar 2025 10:00:00 GMT\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", API, str(port)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert wait_until(lambda: _listens(port), 20)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            assert server.stdout
            assert server.stdout.read() == ""  # what may change something was not asked


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def workload(*paths: str, rate: float = 10) -> Workload:
    requests = [{"path": path} for path in paths] + [{"method": "POST", "path": "/pay"}]
    number = {"n": {"kind": "uniform", "low": 1, "high": 9}}
    operations = [
        {"name": f"{each.get('method', 'GET')} {each['path'].partition('{')[0]}", "weight": 100 / len(requests)}
        | {"request": each} | ({"parameters": number} if "{n}" in each["path"] else {})
        for each in requests
    ]  # fmt: skip
    shape = {"kind": "rate", "stages": [{"name": "hold", "seconds": 1, "to": rate}]}
    values = {"name": "gateway", "target": "http", "connections": 4, "operations": operations}
    return parse_workload({**values, "shapes": {"smoke": shape}})


def looked(url: str, *paths: str, rate: float = 10) -> dict[str, list[Check]]:
    found: dict[str, list[Check]] = {}
    for each in gateway_checks(url, workload(*paths, rate=rate)):
        found.setdefault(each.name, []).append(each)
    return found


def test_each_get_is_asked_once_with_its_parameters_and_nothing_else_is(url: str) -> None:
    found = looked(url, "/orders/{n}")
    assert found["answer"][0].said == "200 from GET /orders/"
    assert found["not asked"][0].said == "POST /pay: they may change something"
    assert found["reachable"][0].said == "HTTP/1.1"
    assert found["keep-alive"][0].said == "2 requests over 1 connection"
    assert found["clock"][0].fine
    assert all(each.fine for checks in found.values() for each in checks)


def test_answers_that_are_errors_or_redirections_say_what_to_do(url: str) -> None:
    found = looked(url, "/ordres/{n}", "/old", "/nowhere")["answer"]
    assert [(each.said, each.to_do) for each in found] == [
        (
            "404 from GET /ordres/, GET /nowhere",
            "correct the path in the workload's file, or the values of its parameters",
        ),
        ("308 from GET /old: to /orders/1", "put that path into the workload's file"),
    ]
    assert found[0].means == "each such answer is counted as an error"
    assert found[1].means == "no redirection is followed: what is measured is the redirection"


def test_an_api_that_closes_connections_says_what_that_costs_and_whether_ports_will_do(url: str) -> None:
    found = looked(url, "/closes", rate=5000)
    assert found["keep-alive"][0].said == "the connection is closed after GET /closes"
    assert found["ports"][0].said.startswith("5000 new connections a second hold up to 300,000 ports, and ")
    assert "ports" not in looked(url, "/closes")


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that gives one and the same answer to whatever comes, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    if connection.recv(4096):
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_a_clock_that_is_apart_and_an_older_protocol_are_told() -> None:
    with answering(NOT_IMPLEMENTED) as url:
        found = looked(url, "/")
    assert found["reachable"][0].said == "HTTP/1.0"
    assert not found["keep-alive"][0].fine
    assert not found["clock"][0].fine
    assert " behind this machine's" in found["clock"][0].said


def test_what_is_not_http_is_told() -> None:
    with answering(b"+PONG\r\n") as url:
        found = looked(url, "/")
    assert found["reachable"][0].said == "it takes connections, and gives no answer of HTTP"


def test_what_is_down_or_hangs_is_one_line() -> None:
    (check,) = Look("API", "CAPACITY_GATEWAY_URL", lambda: gateway_checks("http://127.0.0.1:1", workload("/"))).found()
    assert (check.part, check.needed) == ("API", True)
    assert check.said == "does not answer: [Errno 111] Connection refused"
    assert check.to_do == "start it, or correct its address in CAPACITY_GATEWAY_URL"
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        look = Look("API", "CAPACITY_GATEWAY_URL", lambda: gateway_checks(url, workload("/")))
        assert look.found(0.5)[0].said == "does not answer within 0.5 s"


def test_a_certificate_that_ends_soon_or_that_nobody_vouches_for_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=localhost"]
    words = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*made, *words], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(4):
                try:
                    with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                        connection.recv(4096)
                        connection.sendall(NOT_IMPLEMENTED)
                except OSError:
                    continue

        threading.Thread(target=serve, daemon=True).start()
        url = f"https://localhost:{listener.getsockname()[1]}"
        (check,) = Look("API", "CAPACITY_GATEWAY_URL", lambda: gateway_checks(url, workload("/"))).found()
        assert "certificate verify failed: self-signed certificate" in check.said
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        (check,) = looked(url, "/")["certificate"]
        assert (check.fine, check.means) == (False, "every connection fails from then on")
        assert check.said in ("it ends in 3.0 days", "it ends in 2.9 days")
        monkeypatch.setattr(gateway, "EXPIRES_DAYS", 1)
        assert looked(url, "/")["certificate"][0].fine
