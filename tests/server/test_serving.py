"""`unweave serve` as a user starts it: a process of its own, asked over real sockets, stopped by signals."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from invoked import refused, unweave
from unweave.base.records import Passage
from unweave.project import Project
from unweave.server.serve import serve
from unweave.texts.collection import Collection

KEPT = Path(__file__).parents[1] / "kept" / "project"


class Server(NamedTuple):
    """A running server."""

    process: subprocess.Popen
    address: str

    @property
    def port(self) -> int:
        return int(urlsplit(self.address).port or 0)

    @property
    def token(self) -> str:
        return self.address.partition("token=")[2]

    def asked(self, request: str | bytes, *, whole: bool = True) -> str:
        """What comes back to bytes that are sent as they are; the token and the host are filled in."""
        written = request if isinstance(request, bytes) else request.encode("latin-1")
        written = written.replace(b"TOKEN", self.token.encode()).replace(b"HOST", f"127.0.0.1:{self.port}".encode())
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as opened:
            opened.sendall(written)
            answer = b""
            while whole and (piece := opened.recv(65_536)):
                answer += piece
        return answer.decode("utf-8", "replace")

    def told(self, method: str, path: str, body: str = "") -> Any:
        """The JSON that is answered to what changes something."""
        answer = self.asked(
            f"{method} {path} HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        return json.loads(answer.partition("\r\n\r\n")[2])

    def got(self, path: str, **headers: str) -> str:
        """What is answered to a GET with the token."""
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        return self.asked(
            f"GET {path} HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\nConnection: close\r\n{more}\r\n"
        )


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Iterator[Callable[..., Server]]:
    """Starts `unweave serve` on a copy of the kept project."""
    folder = tmp_path_factory.mktemp("serving") / "project"
    shutil.copytree(KEPT, folder)
    running: list[subprocess.Popen] = []

    def starting(*options: str, project: Path = folder) -> Server:
        command = [sys.executable, "-m", "unweave", "serve", str(project), "--no-open", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        line = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", line), line + process.stderr.read()
        return Server(process, line)

    yield starting
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.fixture(scope="module")
def server(start) -> Server:
    return start("--port", "0")


def status(answer: str) -> int:
    return int(answer.split(" ", 2)[1])


def test_the_printed_address_lets_a_browser_in(server):
    path = server.address.split(str(server.port), 1)[1]
    first = server.asked(f"GET {path} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n")
    assert status(first) == 303
    assert "\r\nlocation: /\r\n" in first
    cookie = re.search(r"set-cookie: ([^;]+); HttpOnly; Path=/; SameSite=strict", first)
    assert cookie and cookie[1] == f"unweave-{server.port}={server.token}"
    asked = "GET /api/project HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n{}\r\n".format
    assert status(server.asked(asked(f"Cookie: {cookie[1]}\r\n"))) == 200
    assert status(server.asked(asked(""))) == 401
    assert status(server.asked(asked(f"Cookie: {cookie[1][:-1]}x\r\n"))) == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1"])
def test_a_rebound_name_is_refused(server, host):
    asked = f"GET /api/project HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer TOKEN\r\nConnection: close\r\n\r\n"
    assert status(server.asked(asked)) == 403
    two = f"GET /healthz HTTP/1.1\r\nHost: HOST\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert status(server.asked(two)) == 400
    assert status(server.asked("GET /healthz HTTP/1.0\r\n\r\n")) == 403


def test_another_sites_page_writes_nothing(server):
    body = '{"action": "lock", "latents": [3]}'
    asked = (
        "POST /api/edits HTTP/1.1\r\nHost: HOST\r\nCookie: unweave-{port}=TOKEN\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: {length}\r\nOrigin: {origin}\r\n\r\n{body}"
    ).format
    foreign = asked(port=server.port, length=len(body), origin="http://evil.example", body=body)
    assert status(server.asked(foreign)) == 403
    assert '"edits":[]' in server.got("/api/edits")


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "//etc/passwd",
     "/..\\..\\etc\\passwd", "/%5c..%5c..%5cetc%5cpasswd", "/%00", "/etc/passwd%00.html",
     "/assets/../../../../etc/passwd", "/api/../etc/passwd",
     "/api/concepts/..%2f..%2fetc%2fpasswd", "/api/passage?id=../../etc/passwd", "/api/passage?id=%00",
     "/api/jobs/..%2f..", "http://evil.example/etc/passwd", "/%ff%fe", "/api/search?q=%ff%00&where=%00=%00"],
)  # fmt: skip
def test_no_path_leads_anywhere(server, path):
    for accept in ("*/*", "text/html"):
        answer = server.got(path, Accept=accept)
        assert "root:" not in answer
        assert status(answer) < 500


def test_what_is_no_request_is_refused(server):
    for nonsense in (b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET /" + b"x" * 70_000):
        assert status(server.asked(nonsense)) == 400
    assert status(server.got("/api/search?q=" + "x" * 20_000)) == 414
    large = "POST /api/try HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\n"
    assert status(server.asked(f"{large}Content-Length: 999999999\r\nConnection: close\r\n\r\n")) == 413
    piece = "10000\r\n" + "x" * 0x10000 + "\r\n"
    chunked = f"{large}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{piece * 5}0\r\n\r\n"
    assert status(server.asked(chunked)) == 413


def test_a_slow_client_keeps_nobody_waiting(server):
    with socket.create_connection(("127.0.0.1", server.port)) as headers, \
         socket.create_connection(("127.0.0.1", server.port)) as body:  # fmt: skip
        headers.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
        begun = f"POST /api/try HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\n"
        body.sendall(f"{begun}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{{".encode())
        assert status(server.got("/api/project")) == 200
        body.settimeout(30)
        assert body.recv(65_536).startswith(b"HTTP/1.1 408 ")


def test_answers_come_compressed_and_without_delay(server):
    answer = server.got("/api/search?q=concepts", Accept_Encoding="gzip")
    assert "\r\ncontent-encoding: gzip\r\n" in answer
    began = time.monotonic()
    for _ in range(10):
        server.got("/healthz")
    assert time.monotonic() - began < 10 * 0.04  # as long as a late acknowledgement takes, each


def test_a_second_server_takes_the_next_port_and_a_cookie_of_its_own(server, start):
    second = start("--port", str(server.port))
    assert second.port > server.port
    assert second.token != server.token
    assert (
        status(second.asked(f"GET /?token={server.token} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n")) == 401
    )
    second.process.send_signal(signal.SIGINT)
    assert second.process.wait(20) == 0


def test_it_ends_when_it_is_told_to_and_answers_what_was_asked_before(start):
    server = start("--port", "0", "--read-only")
    assert '"read_only":true' in server.got("/api/project")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as opened:
        asked = "GET /api/search?q=sea&system=codes HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n"
        opened.sendall(asked.format(f"127.0.0.1:{server.port}", server.token).encode())
        time.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        assert opened.recv(65_536).startswith(b"HTTP/1.1 200 ")
    assert server.process.wait(20) == 0
    assert server.process.stdout.read() == ""  # the address, and nothing else
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_while_it_serves_products_of_matrices_have_one_thread_each(kept_copy):
    def threads_of_blas() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    class Ready(Exception):
        pass

    seen = []

    def ready(address: str) -> None:
        seen.append(threads_of_blas())
        raise Ready

    with threadpool_limits(2, user_api="blas"), pytest.raises(Ready):
        serve(Project.open(kept_copy), ready, port=0)
    assert seen == [{1}]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this machine has no second address of its own")
def test_nothing_but_this_machines_own_address_is_listened_to(server):
    # 127.0.0.2 is this machine too: who listens on all addresses answers there, who listens on 127.0.0.1 does not.
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", 0))
        everywhere.listen()
        socket.create_connection(("127.0.0.2", everywhere.getsockname()[1]), timeout=5).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", server.port), timeout=5)


def test_other_machines_are_let_in_only_on_purpose(kept_copy):
    said = refused(unweave("serve", kept_copy, "--host", "0.0.0.0", "--no-open"))
    assert "anyone who has the address with its token could read the whole corpus" in said
    assert "--allow-other-hosts" in said
    assert "nowhere.invalid is no address of this machine" in refused(
        unweave("serve", kept_copy, "--host", "nowhere.invalid", "--allow-other-hosts", "--no-open")
    )


def test_long_work_is_cancelled_between_texts_and_the_server_goes_on(start, tmp_path):
    texts = [f"The {i}th stone lies by the sea, and the wind of the {i + 1}th day goes over it." for i in range(2_000)]
    Project.create(tmp_path / "p", Collection(passages=[Passage(f"p{i}", "", text) for i, text in enumerate(texts)]))
    server = start("--port", "0", project=tmp_path / "p")
    job = server.told("POST", "/api/jobs", '{"kind": "embed"}')
    while not job["steps"]:
        assert job["ended"] is None, job
        time.sleep(0.05)
        job = server.told("GET", f"/api/jobs/{job['id']}")
    server.told("DELETE", f"/api/jobs/{job['id']}")
    while job["ended"] is None:
        time.sleep(0.05)
        job = server.told("GET", f"/api/jobs/{job['id']}")
    assert (job["state"], job["error"]) == ("cancelled", None)
    assert [(step["label"], step["done"]) for step in job["steps"]] == [("embedding passages", 0)]  # of 2,000 at once
    assert status(server.got("/api/project")) == 200
    assert (
        server.told("POST", "/api/jobs", '{"kind": "embed"}')["state"] == "running"
    )  # nothing of it stands in the way
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = "import sys, unweave.cli.serve; print(sorted({'numpy', 'fastapi', 'uvicorn', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "[]\n"
