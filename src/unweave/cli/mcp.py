"""The command that lets agents ask a project."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from unweave.cli.options import PROJECT, open_project


@click.command()
@PROJECT
@click.option("--http", is_flag=True, help="Serve over HTTP on this machine, at an address that is printed, not over "
              "stdin and stdout.")  # fmt: skip
@click.option("--port", default=8766, show_default=True, type=click.IntRange(0, 65535),
              help="With --http, the port to listen on; 0: any that is free.")  # fmt: skip
def mcp(project: Path, http: bool, port: int) -> None:
    """Serve PROJECT to agents by the Model Context Protocol: search, explain, compare, concepts, audit.

    An agent's host starts this command itself, as its configuration says: the command unweave, with the arguments mcp
    and the path of PROJECT. Nothing is changed by it. It needs the extra mcp.

    \b
    Examples:
      unweave mcp demo
    """
    from unweave.base.extras import require
    from unweave.errors import NotTrusted

    require("serving agents", "mcp", "mcp", "uvicorn")
    opened = open_project(project)
    with suppress(NotTrusted):  # asked for here, where somebody may sit; a tool that needs it says so
        opened.confirmed("encoder")
    if http:
        from unweave.adapters.mcp_http import serve_http

        serve_http(opened, click.echo, port)
        return
    from unweave.adapters.mcp import server_of

    server_of(opened).run("stdio")
