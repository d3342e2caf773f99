"""How much may be asked: bytes of a body, requests at once, seconds of each."""

from __future__ import annotations

import asyncio
import logging

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unweave.server.problems import problem

logger = logging.getLogger(__name__)

LARGEST_BODY = 262_144
MOST_AT_ONCE = 64
"""Requests that are answered, or wait for it."""
PATIENCE = 30.0
"""Seconds after which a request is told that there is no answer."""
SLOWEST_BODY = 5.0
"""Seconds in which a body must have come in."""


class Bounded:
    """Answers what is too much itself.

    What a route computes runs in a thread, which cannot be stopped: one that takes too long goes on, its answer goes
    nowhere, and it counts among the requests at once until it ends.
    """

    def __init__(self, app: ASGIApp, *, most: int = MOST_AT_ONCE, patience: float = PATIENCE) -> None:
        self._app = app
        self._most, self._patience = most, patience
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if len(self._running) >= self._most:
            said = f"{self._most} requests are being answered already; ask again in a moment"
            await problem(503, "Busy", said, headers={"Retry-After": "1"})(scope, receive, send)
            return
        answer = _Answer(send)
        task = asyncio.create_task(self._answered(scope, receive, answer))
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait({task}, timeout=self._patience)
        except asyncio.CancelledError:  # the server stops, and has waited long enough
            task.cancel()
            answer.given_up = True
            if not answer.begun:
                await problem(503, "Stopping", "the server was stopped before it had an answer")(scope, receive, send)
            return
        if task.done():
            task.result()
        elif not answer.begun:
            answer.given_up = True
            said = f"this took longer than {self._patience:g} seconds; ask for less, or again when less is going on"
            await problem(503, "TooSlow", said, headers={"Retry-After": "10"})(scope, receive, send)
        else:  # a large answer on its way to a slow reader
            await task

    async def _answered(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        await self._app(scope, receive, answer.send)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.debug("a request failed", exc_info=task.exception())  # whoever waited for it says so


class _Answer:
    """An answer on its way, or to nobody once it was given up."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = self.given_up = False

    async def send(self, message: Message) -> None:
        if not self.given_up:
            self.begun = True
            await self._send(message)


class ReadWhole:
    """Reads a body before anything else is done with the request, and refuses one that is too large or too slow."""

    def __init__(self, app: ASGIApp, *, largest: int = LARGEST_BODY, slowest: float = SLOWEST_BODY) -> None:
        self._app = app
        self._largest, self._slowest = largest, slowest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "0")
        if not said.isdecimal() or int(said) > self._largest:
            await self._too_large()(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._slowest):
                body = await self._body(receive)
        except TimeoutError:
            told = f"the body did not come in within {self._slowest:g} seconds"
            await problem(408, "TooSlow", told, headers={"Connection": "close"})(scope, receive, send)
            return
        if body is None:
            await self._too_large()(scope, receive, send)
            return
        await self._app(scope, _again(body, receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body; None if it is too large. Of a client that has gone, what came."""
        body, more = bytearray(), True
        while more:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._largest:
                return None
            more = message["type"] == "http.request" and message.get("more_body", False)
        return bytes(body)

    def _too_large(self) -> Response:
        said = f"the body is larger than {self._largest:,} bytes; send less at a time"
        return problem(413, "TooLarge", said, headers={"Connection": "close"})


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, then whatever comes after it."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
