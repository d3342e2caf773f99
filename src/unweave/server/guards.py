"""Who may ask: whoever has the token, through an address of this server's own, from pages of its own.

Other pages in the same browser reach 127.0.0.1 too, and a name of theirs can be made to mean it (DNS rebinding). So a
request must have the token, as a cookie that other sites' requests do not carry, and name this server as its host; one
that changes something must come from its own pages or from no page at all.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unweave.server.problems import problem

HEALTH = "/healthz"
"""Says that the server is up, to anyone who asks."""
TOKEN = "token"  # noqa: S105 - the name of a parameter
LONGEST_ADDRESS = 16_384
"""Bytes of a request's path and query."""
_ASKING = frozenset({"GET", "HEAD", "OPTIONS"})
_ASKED_WITH_A_BODY = frozenset({"/api/try"})
"""Paths that take a text too long for an address, and change nothing."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_ON_EVERYTHING = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Gate:
    """What a request must show to be let in."""

    token: str
    host: str
    """The address that the server is bound to."""
    port: int
    read_only: bool = False

    @property
    def cookie(self) -> str:
        """Cookies know no ports, and several servers may run: each has one of its own."""
        return f"unweave-{self.port}"

    @property
    def address(self) -> str:
        """What is opened in a browser, token and all."""
        return f"http://{_in_address(self.host)}:{self.port}/?{TOKEN}={self.token}"

    def is_this(self, host: str) -> bool:
        """Whether a request's Host header means this server.

        A server that listens on all of a machine's addresses knows none by name; an address in figures is what a
        stranger's name cannot be made to look like.
        """
        known = {f"{name}:{self.port}" for name in (_in_address(self.host), "localhost", "127.0.0.1")}
        if host.lower() in known:
            return True
        name, _, port = host.rpartition(":")
        return _is_wildcard(self.host) and port == str(self.port) and _is_address(name.strip("[]"))

    def knows(self, headers: Headers) -> bool:
        """Whether a request has the token: a browser in its cookie, a script in its `Authorization`."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        shown = [given.strip()] if scheme.lower() == "bearer" else []
        for line in headers.getlist("cookie"):
            try:
                found = SimpleCookie(line).get(self.cookie)
            except CookieError:
                continue
            shown += [found.value] if found else []
        return any(self.is_token(one) for one in shown)

    def is_token(self, given: str) -> bool:
        """Compared in constant time."""
        return compare_digest(given.encode("utf-8", "replace"), self.token.encode())


class Guarded:
    """Lets in what the gate lets in, and puts the headers on every answer that keep pages to themselves."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no sockets here
            await send({"type": "websocket.close", "code": 1008})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ON_EVERYTHING.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = self._refused(scope)
        await (self._app if refused is None else refused)(scope, receive, with_headers)

    def _refused(self, scope: Scope) -> Response | None:
        """The answer to a request that is not let in; None lets it in."""
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        if len(scope.get("raw_path") or path.encode()) + len(scope["query_string"]) > LONGEST_ADDRESS:
            return problem(
                414, "TooLong", f"the address is longer than {LONGEST_ADDRESS:,} bytes; ask for less at a time"
            )
        if not self._gate.is_this(headers.get("host", "")):
            return problem(403, "WrongHost", "this server is not called so; open the address that it printed")
        if path == HEALTH:
            return None
        if method == "GET" and (redirect := self._taking_the_token(scope)):
            return redirect
        if not self._gate.knows(headers):
            return _without_token(headers, path)
        return None if method in _ASKING else self._refused_write(headers, path, method)

    def _taking_the_token(self, scope: Scope) -> Response | None:
        """From an address with the right token to the same without it, which is what history and bookmarks keep."""
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if not any(name == TOKEN and self._gate.is_token(value) for name, value in asked):
            return None
        rest = urlencode([(name, value) for name, value in asked if name != TOKEN])
        path = "/" + quote(scope["path"].lstrip("/\\"))  # "//host/" would be another server's address
        response = RedirectResponse(f"{path}?{rest}" if rest else path, status_code=303)
        response.set_cookie(self._gate.cookie, self._gate.token, httponly=True, samesite="strict")
        return response

    def _refused_write(self, headers: Headers, path: str, method: str) -> Response | None:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        own = origin is None or origin.lower() == f"http://{headers['host'].lower()}"
        if not own or site not in ("same-origin", "none"):
            return problem(
                403, "ForeignOrigin", "another site's page asked for this change; only this server's own may"
            )
        if self._gate.read_only and path not in _ASKED_WITH_A_BODY:
            return problem(403, "ReadOnly", "this server only shows; to change something, start it without --read-only")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method == "POST" and kind != "application/json":
            return problem(415, "NoJSON", f"a body of the type {kind or '(none)'} came in; expected application/json")
        return None


def _without_token(headers: Headers, path: str) -> Response:
    said = "this address needs a token: open the whole address that unweave serve printed in its terminal"
    if path.startswith("/api/") or "text/html" not in headers.get("accept", ""):
        return problem(401, "NoToken", said, headers={"WWW-Authenticate": "Bearer"})
    return PlainTextResponse(f"{said[0].upper()}{said[1:]}.\n", status_code=401)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_wildcard(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _in_address(host: str) -> str:
    """A host as addresses have it; one that stands for all is called by the machine's own."""
    if _is_wildcard(host):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
