"""Requests per second of this generator against nginx, writing every raw sample, beside wrk."""

import contextlib
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.generators import SECONDS, compared, own_rate
from capacity.system.embedded import free_port

# A generator need not parse an answer that it knows, so answers of which none is like another are measured as well.
PATHS = {"GET": "/", "GET, each answer different": "/different"}
CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "hello, world"; }}
        location /different {{ add_header X-Request-Id $request_id; return 200 "hello, world"; }}
    }}
}}
"""


@contextlib.contextmanager
def running_nginx(program: str, folder: Path) -> Iterator[str]:
    """The address of an nginx with one worker process, for the time of a with-block."""
    folder.mkdir()
    port = free_port()
    (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder, port=port), encoding="utf-8")
    server = subprocess.Popen([program, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(url, timeout=1):
                break
            time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait()


def compared_with_wrk(wrk: str, url: str, scratch: Path) -> Iterator[dict[str, Any]]:
    """GET of a small answer over connections that are kept alive: a row for each kind of answer and number of them."""
    for name, path in PATHS.items():
        operation = {"name": "GET", "weight": 100, "request": {"path": path}}
        for connections in (16, 100):
            command = [wrk, "-t", "1", "-c", str(connections), "-d", f"{SECONDS:.0f}s", url + path]
            yield compared(
                f"{name}, {connections} connections",
                "wrk",
                lambda place, each=operation, n=connections: own_rate("http", each, n, url, place),
                lambda command=command: _wrk_rate(command),
                scratch / f"http-{path.strip('/')}-{connections}",
            )


def _wrk_rate(command: list[str]) -> float:
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0])
