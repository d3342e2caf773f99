"""What was answered before is not sent again: a tag for each answer of the API, a digest of what it says."""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEPT = {"Cache-Control": "private, no-cache"}
"""A browser may keep the answer, and asks each time whether it still holds."""


class Tagged:
    """Tags answers to GET below /api, and answers 304 where the client has the same."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        known = _tags(Headers(scope=scope).get("if-none-match", ""))
        held: list[Message] = []

        async def tagging(message: Message) -> None:
            held.append(message)
            if message["type"] != "http.response.body" or message.get("more_body", False):
                return
            start, *parts = held
            if start["status"] == 200:
                tag = _tag(parts)
                if tag in known or "*" in known:
                    await Response(status_code=304, headers={"ETag": tag, **_KEPT})(scope, receive, send)
                    return
                headers = MutableHeaders(scope=start)
                headers["ETag"] = tag
                headers.update(_KEPT)
            for one in held:
                await send(one)

        await self._app(scope, receive, tagging)


def _tag(parts: list[Message]) -> str:
    """Weak: the same answer is sent compressed to one client and as it is to another."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.get("body", b""))
    return f'W/"{digest.hexdigest()}"'


def _tags(given: str) -> set[str]:
    """The tags that a client has; whether each is called weak does not matter."""
    tags = {tag.strip() for tag in given.split(",")}
    return {tag if tag == "*" or tag.startswith("W/") else f"W/{tag}" for tag in tags}
