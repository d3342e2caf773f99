"""A store's server that can be out of reach, a Ray cluster whose workers can be killed, and a driver that can be.

The server is moto's, which speaks S3 and keeps objects in this process; what talks to it goes through a proxy that can
refuse connections. The cluster is two nodes on this machine, each with a folder for temporary files of its own.
"""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

HERE = Path(__file__).parent
CODE = Path(os.environ.get("UNWEAVE_CODE") or HERE.parents[1] / "src")
BUCKET = "corpus"
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip
ENCODER = """

def open_encoder(config):
    from unweave.encode.static import StaticEncoder

    return StaticEncoder()
"""


def with_a_fast_encoder(folder: Path) -> Path:
    """A copy of the library, to be put on PYTHONPATH, whose encoder is the mean of word vectors.

    An encoder of sentence-transformers takes longer to import in a new worker than all that is tested here.
    """
    import shutil

    shutil.copytree(CODE / "unweave", folder / "unweave", ignore=shutil.ignore_patterns("node_modules"))
    encoders = folder / "unweave" / "encode" / "encoders.py"
    encoders.write_text(encoders.read_text(encoding="utf-8") + ENCODER, encoding="utf-8")
    return folder


class Proxy:
    """Passes connections on to a port of this machine, unless it is down."""

    def __init__(self, to: int, port: int = 0) -> None:
        """Listen.

        Args:
            port: to listen on; 0: any.
        """
        self._to = to
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._changing = threading.Lock()
        self.n_writes = 0
        """Requests so far that write."""
        self._listener: socket.socket | None = self._listen(port)
        self.port = int(self._listener.getsockname()[1])

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._to))
                except OSError:
                    near.close()
                    continue
                thread = threading.Thread(target=self._serve, args=(near, far), daemon=True)
                with self._changing:
                    self._connections[near] = self._connections[far] = thread
                    thread.start()  # before anybody can wait for its end

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        with near, far:
            back = threading.Thread(target=self._pass_on, args=(far, near), daemon=True)
            back.start()
            self._pass_on(near, far)
            back.join()
            with self._changing:
                del self._connections[near], self._connections[far]

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while some := source.recv(1 << 16):
                self.n_writes += some.startswith((b"PUT ", b"POST "))
                target.sendall(some)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Break off all connections and refuse new ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._changing:
            threads = set(self._connections.values())
            for one in self._connections:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)

    def start(self) -> None:
        """Listen again."""
        if self._listener is None:
            self._listener = self._listen(self.port)


class S3:
    """A server of objects with one bucket, behind a proxy."""

    def __init__(self, port: int = 0) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.proxy = Proxy(self._server.get_host_and_port()[1], port)
        self._backend.create_bucket(BUCKET, "us-east-1")

    @property
    def _backend(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends["123456789012"]["aws"]

    def address(self, prefix: str) -> str:
        """Where a store is, for a process whose environment has KEYS."""
        server = quote(f"127.0.0.1:{self.proxy.port}", safe="")
        return f"s3://{BUCKET}/{prefix}?scheme=http&endpoint_override={server}&region=us-east-1"

    def objects(self, prefix: str) -> dict[str, bytes]:
        """All objects below a prefix, but for the empty ones that pyarrow puts in the place of folders."""
        keys = self._backend.buckets[BUCKET].keys
        return {
            name.removeprefix(f"{prefix}/"): keys[name].value
            for name in list(keys) if name.startswith(prefix) and not name.endswith("/")
        }  # fmt: skip

    def put(self, name: str, content: bytes | None) -> None:
        """Make this an object's content; None: take it away. Nobody is asked."""
        if content is None:
            self._backend.delete_object(BUCKET, name)
        else:
            self._backend.put_object(BUCKET, name, content)

    def close(self) -> None:
        self.proxy.stop()
        listening: Any = self._server._server
        self._server.stop()
        listening.server_close()


class Gone(Exception):
    """The cluster is gone, which was not meant."""


class Driver:
    """A process that runs commands, one after another."""

    def __init__(self, environment: Mapping[str, str], log: Path, is_alive: Callable[[], bool] = lambda: True) -> None:
        """Begin it.

        Args:
            is_alive: whether there is any sense in waiting for it.
        """
        self._is_alive = is_alive
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, __file__], env={**os.environ, **environment}, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
        )  # fmt: skip
        self.pid = self._process.pid

    def begin(self, **asked: Any) -> None:
        """Have something done; see `_done`."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it is gone, which `end` says
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()

    def end(self) -> dict[str, Any] | None:
        """What came of it; None if the process is gone.

        Raises:
            Gone: it is not alive what it needs.
        """
        assert self._process.stdout is not None
        while not select.select([self._process.stdout], [], [], 1.0)[0]:
            if not self._is_alive():
                self.kill()
                raise Gone
        line = self._process.stdout.readline()
        if not line and not self._is_alive():
            raise Gone
        found: dict[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
        return found

    def ask(self, **asked: Any) -> dict[str, Any] | None:
        """Have something done, and wait for it."""
        self.begin(**asked)
        return self.end()

    def command(self, *words: object) -> dict[str, Any] | None:
        """Run a command: its exit `code`, its output `out` and `err`, and the `traceback` of what was not foreseen."""
        return self.ask(command=[str(word) for word in words])

    def kill(self) -> None:
        """Kill it, as a machine that fails would."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
        self._log.close()


class Nodes:
    """A Ray cluster of two nodes on this machine, with a worker each."""

    def __init__(self, environment: Mapping[str, str], temporary: list[Path]) -> None:
        """Args: temporary: where each node's workers keep temporary files."""
        os.environ.update(environment)
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        self._nodes = []
        for folder in temporary:
            more = {"include_dashboard": False} if not self._nodes else {}
            env = {**environment, "TMPDIR": str(folder)}
            self._nodes.append(self._cluster.add_node(num_cpus=1, env_vars=env, **more))
        self.address = str(self._cluster.address)

    def workers(self, node: int | None = None) -> list[int]:
        """Processes that do work, of one node or of all."""
        nodes = self._nodes if node is None else [self._nodes[node]]
        raylets = {one.process.pid for of in nodes for one in of.all_processes["raylet"]}
        return [
            pid for pid, parent, title in _processes()
            if parent in raylets and title.startswith("ray::") and not title.endswith("Agent")
        ]  # fmt: skip

    def busy(self, node: int | None = None) -> list[int]:
        """Those of them that are at work."""
        return [pid for pid in self.workers(node) if _title(pid) not in ("", "ray::IDLE")]

    def is_alive(self) -> bool:
        """Whether all nodes are there."""
        return all(one.process.poll() is None for of in self._nodes for one in of.all_processes["raylet"])

    def close(self) -> None:
        self._cluster.shutdown()


def _processes() -> list[tuple[int, int, str]]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                found.append((int(folder.name), parent, _title(int(folder.name))))
    return found


def _title(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    return ""


def wait_until(true: Any, seconds: float, pause: float = 0.02) -> bool:
    """Whether something came true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(pause)
    return False


# --- the driver's side ------------------------------------------------------------------------------------------------


def _command(words: list[str]) -> dict[str, Any]:
    import traceback

    from click.testing import CliRunner

    from unweave.cli import main

    done = CliRunner().invoke(main, words)
    raised = done.exception is not None and not isinstance(done.exception, SystemExit)
    said = "".join(traceback.format_exception(*done.exc_info)) if raised and done.exc_info else ""
    return {"code": done.exit_code, "out": done.stdout, "err": done.stderr, "traceback": said}


class _Searching:
    """A project's shards, held by workers, and asked again and again."""

    def __init__(self, project: str, holders: int, deadline: float) -> None:
        from unweave.project import Project

        self._project = Project.open(project)
        self._sharded = self._project.sharded("cluster")
        self._searcher = self._sharded.searcher(holders=holders, deadline=deadline)

    def ask(self, text: str, cutoff: int) -> dict[str, Any]:
        query = self._searcher.read(self._sharded._latents_of(text, "CL-SR"))
        answer = self._searcher.search(query, cutoff)
        return {"hits": [[hit.shard, hit.passage_id, hit.score] for hit in answer.hits], "missing": answer.missing}

    def close(self) -> None:
        self._searcher.close()


def main() -> None:
    """Do what each line of the input asks, and say what came of it in one line."""
    sys.path.remove(str(HERE))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    searching: _Searching | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if "command" in asked:
                found = _command(asked["command"])
            elif "open" in asked:
                if searching is not None:
                    searching.close()
                searching = _Searching(asked["open"], asked["holders"], asked["deadline"])
                found = {}
            else:
                assert searching is not None
                found = searching.ask(asked["query"], asked["cutoff"])
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(found) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
