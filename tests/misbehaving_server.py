"""A server like OpenAI's that times out, limits, breaks its answers and drops connections, by a plan.

    python tests/misbehaving_server.py --journal FILE [--port 0] [--trouble 0.5] [--seed 0]

It prints its address. Each answer that would be billed is a line of the journal: the concept that it is about.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TROUBLES = ("time-out", "limit", "error", "not-json", "not-the-form", "cut", "drop")
Plan = Callable[[dict[str, Any]], str]
"""What becomes of a request: `fine`, one of `TROUBLES`, or a status as digits."""


def subject(request: dict[str, Any]) -> str:
    """What a request is about: the concept that its passages name, as `concept-17`."""
    return re.search(r"concept-\d+|$", request["messages"][-1]["content"]).group()


class Server(ThreadingHTTPServer):
    """Answers each request as a plan says."""

    daemon_threads = True

    def __init__(self, plan: Plan, journal: Path | None = None, answer: Callable[[dict[str, Any]], str] | None = None,
                 port: int = 0) -> None:  # fmt: skip
        super().__init__(("127.0.0.1", port), _Handler)
        self.plan = plan
        self.journal = journal
        self.answer = answer or (lambda request: json.dumps({"name": f"about {subject(request)}", "description": "d"}))
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed leave broken pipes; that is what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(request)
            self.server.headers.append(dict(self.headers))
            what = self.server.plan(request)
        if what == "fine":
            self._answer(request, self.server.answer(request))
        elif what == "time-out":
            time.sleep(1.5)
        elif what == "limit":
            self._send(429, b'{"error": {"message": "slow down"}}', {"Retry-After": "0"})
        elif what == "error":
            self._send(500, b"<html>Internal Server Error</html>")
        elif what == "not-json":
            self._send(200, b'{"choices": [{"message"')
        elif what == "not-the-form":
            self._answer(request, "Sure! The passages are about <b>many</b> things.")
        elif what == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": ')
            self.close_connection = True
        elif what == "drop":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif what == "huge":
            self._send(200, b" " * (3 << 20))
        elif what == "not-gzip":
            self._send(200, b"\x1f\x8b no more", {"Content-Encoding": "gzip"})
        elif what == "redirect":
            self._send(307, b"", {"Location": self.server.base_url + "/elsewhere"})
        elif what == "no-schema":
            self._send(400, b'{"error": {"message": "response_format json_schema is not supported"}}')
        elif what.startswith("echo"):
            self._echo(what, self.headers.get("Authorization", "").removeprefix("Bearer "))
        elif what == "broken-gzip":
            self._send(200, b"\x1f\x8b\x08\x00 and then none", {"Content-Encoding": "gzip"})
        else:
            self._send(int(what), b'{"error": {"message": "no"}}')

    def _echo(self, how: str, key: str) -> None:
        """Repeat the key in an error: as it is, disguised, or in a header that is none."""
        said = {
            "echo": key,
            "echo-capitals": key.upper(),
            "echo-zero-width": "\u200b".join(key),
            "echo-blanks": " ".join(key),
            "echo-full-width": "".join(chr(ord(c) + 0xFEE0) for c in key),
            "echo-json": json.dumps({"error": {"message": key}}).replace(key, "".join(f"\\u{ord(c):04x}" for c in key)),
            "echo-html": "".join(f"&#{ord(c)};" for c in key),
            "echo-percent": "".join(f"%{ord(c):02X}" for c in key),
            "echo-base64": base64.b64encode(f"Bearer {key}".encode()).decode(),
            "echo-hex": key.encode().hex(),
            "echo-late": "." * (2000 - len(key) // 2) + key,
            "echo-most": key[: len(key) * 3 // 4],
        }
        if how == "echo-header":
            self.wfile.write(f"HTTP/1.1 200 OK\r\n{key} is no header\r\n\r\n".encode())
            self.close_connection = True
        elif how == "echo-status":
            self.wfile.write(f"HTTP/1.1 {key}\r\n\r\n".encode())
            self.close_connection = True
        else:
            self._send(400, f"bad header: {said[how]}".encode())

    def _answer(self, request: dict[str, Any], content: str) -> None:
        if self.server.journal is not None:  # before it is sent: who does not wait for it pays too
            with self.server.lock, self.server.journal.open("a") as file:
                file.write(f"{subject(request)}\n")
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        message = {"role": "assistant", "content": content}
        self._send(200, json.dumps({"choices": [{"index": 0, "message": message}], "usage": usage}).encode())

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name that the library gives it
        pass


@contextmanager
def serving(plan: Plan | str = "fine", **options: Any) -> Iterator[Server]:
    """A server in a thread; a plan that is a word is the same for every request."""
    server = Server((lambda _: plan) if isinstance(plan, str) else plan, **options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def in_turn(*what: str) -> Plan:
    """One after the other, and the last for ever."""
    left = list(what)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def troubled(share: float, seed: int) -> Plan:
    """So often something goes wrong."""
    rng = random.Random(seed)
    return lambda _: rng.choice(TROUBLES) if rng.random() < share else "fine"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--trouble", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    server = Server(troubled(options.trouble, options.seed), options.journal, port=options.port)
    sys.stdout.write(server.base_url + "\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
