"""The MCP server over HTTP, for this machine alone, at an address that nobody can guess."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from unweave.adapters.mcp import server_of
from unweave.adapters.needed import needed
from unweave.errors import BadData
from unweave.project import Project

with needed("the MCP server over HTTP", "mcp"):
    import uvicorn
    from mcp.server.transport_security import TransportSecuritySettings


def serve_http(source: Project | Path | str, ready: Callable[[str], None], port: int = 8766) -> None:
    """Serve a project, or the project in a folder, until SIGINT or SIGTERM.

    Args:
        ready: is given the address.
        port: 0: any that is free.

    Raises:
        BadData: the port is taken.
    """
    listening = socket.socket()
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen()
    except OSError as error:
        raise BadData(f"port {port} cannot be had ({error.strerror}); give another by --port, or 0 for any") from error
    host, path = f"127.0.0.1:{listening.getsockname()[1]}", f"/{secrets.token_urlsafe(32)}/mcp"
    security = TransportSecuritySettings(allowed_hosts=[host])
    app = server_of(source).streamable_http_app(streamable_http_path=path, transport_security=security)
    ready(f"http://{host}{path}")
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[listening])
