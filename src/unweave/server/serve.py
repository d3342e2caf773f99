"""A project served over HTTP until it is stopped: a port that is free, a token, a graceful end."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

import uvicorn
from threadpoolctl import threadpool_limits

from unweave.base.plain import printable
from unweave.errors import BadData
from unweave.project import Project
from unweave.server.app import serving
from unweave.server.guards import Gate, is_loopback
from unweave.server.held import HeldProject
from unweave.server.jobs import jobs_of
from unweave.server.warm import warm_up

logger = logging.getLogger(__name__)

_LOG_OF_BUGS = "uvicorn.error"
_PORTS_TRIED = 100
_MOST_CONNECTIONS = 512
_KEPT_OPEN = 60
"""Seconds that a connection may be silent: a page looks at the jobs every ten, and a request that meets a connection as
it is closed is lost."""
_TO_FINISH = 3
"""Seconds that requests under way have when the server is stopped."""
_OF_OUR_POOLS = "unweave_"
"""How the names of threads begin that wait for work; they end by themselves."""
_AFTER = 2.0
"""Seconds that threads have after that: what they do is either written whole or not at all."""


def serve(
    project: Project, ready: Callable[[str], None], *, host: str = "127.0.0.1", port: int = 8765,
    other_hosts: bool = False, read_only: bool = False,
) -> None:  # fmt: skip
    """Serve a project until SIGINT or SIGTERM.

    Args:
        ready: is given the address to open, with the token, once it answers.
        port: the first to try; those after it if it is taken. 0: any that is free.
        other_hosts: other machines may reach the server, so that `host` need not be this one alone.
        read_only: refuse whatever changes the project.

    Raises:
        BadData: the address can be reached from elsewhere and that is not allowed, it is none of this machine's, or no
            port is free.
    """
    if not is_loopback(host) and not other_hosts:
        raise BadData(
            f"on {host} other machines can reach the server: anyone who has the address with its token could read the "
            "whole corpus and change names, over a connection that is not encrypted; if that is meant, add "
            "--allow-other-hosts"
        )
    listening = _listening(host, port)
    gate = Gate(secrets.token_urlsafe(32), host, listening.getsockname()[1], read_only)
    config = uvicorn.Config(
        serving(HeldProject(project, read_only), gate), http="h11", ws="none", lifespan="on", log_config=None,
        access_log=False, server_header=False, proxy_headers=False, limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_KEPT_OPEN, timeout_graceful_shutdown=_TO_FINISH,
    )  # fmt: skip

    stopped = threading.Event()

    def answers() -> None:
        ready(gate.address)
        threading.Thread(target=warm_up, args=(project, stopped.is_set), name="warm-up", daemon=True).start()

    shown = _show_bugs()
    # uvicorn raises the signal that stopped it again, once it has stopped: that is no failure here.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        # Several requests compute at once, and each has a core as it is. Threads of BLAS would wait for each other by
        # spinning: on two busy cores what takes a second took more than half a minute. Jobs have one thread of BLAS
        # too, for the limit is the process's; torch, which embeds and trains, keeps all of its own.
        with threadpool_limits(1, user_api="blas"):
            asyncio.run(_Server(config, answers).serve(sockets=[listening]))
    finally:
        stopped.set()
        listening.close()
        logging.getLogger(_LOG_OF_BUGS).removeHandler(shown)
        for number, handler in before.items():
            signal.signal(number, handler)
    _leave_no_thread_behind(project)


class _Server(uvicorn.Server):
    """uvicorn's, which says when it answers."""

    def __init__(self, config: uvicorn.Config, answers: Callable[[], None]) -> None:
        super().__init__(config)
        self._answers = answers

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._answers()


class _Lines(logging.Formatter):
    """A record and its traceback without what could move a terminal's cursor: both may quote a corpus."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).splitlines()))


def _show_bugs() -> logging.Handler:
    """Have the tracebacks of failed requests printed on stderr, whatever other libraries' records come to."""
    shown = logging.StreamHandler(sys.stderr)
    shown.setLevel(logging.ERROR)
    shown.addFilter(lambda record: record.exc_info is not None)
    shown.setFormatter(_Lines())
    logging.getLogger(_LOG_OF_BUGS).addHandler(shown)
    return shown


def _listening(host: str, port: int) -> socket.socket:
    """A socket on the first port from there on that is free."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise BadData(f"{host} is no address of this machine ({error.strerror}); try 127.0.0.1") from error
    for tried in range(port, min(port + _PORTS_TRIED, 65_536)) if port else [0]:
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # unsaid, asyncio would send with delays
        try:
            if os.name != "nt":  # there it would share a port that another server has
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((address[0], tried, *address[2:]))
            found.listen()
        except OSError as error:
            found.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise BadData(f"{host} is no address of this machine ({error.strerror}); try 127.0.0.1") from error
            continue
        return found
    raise BadData(f"no port from {port} on is free on {host}; give another by --port, or 0 for any")


def _leave_no_thread_behind(project: Project) -> None:
    """End the process if something is still computed: Python would wait for some threads, and cut others off midway."""
    jobs_of(project).stop(_AFTER)
    end = time.monotonic() + _AFTER
    own = threading.current_thread()
    others = [one for one in threading.enumerate() if one is not own and not one.name.startswith(_OF_OUR_POOLS)]
    for one in others:
        one.join(max(0.0, end - time.monotonic()))
    if any(one.is_alive() for one in others):
        logger.warning("stopped while something was still being worked on; what it had finished is kept")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
