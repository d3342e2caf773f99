"""The command that opens a project in a browser."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Thread

import click

from unweave.cli.options import PROJECT, open_project


@click.command()
@PROJECT
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535),
              help="Port to listen on, or the next one that is free; 0: any.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--allow-other-hosts", "other_hosts", is_flag=True,
              help="Listen on an address that other machines reach: anyone who has the printed address can read the "
              "corpus and change names, and the connection is not encrypted.")  # fmt: skip
@click.option("--open/--no-open", "opens", default=True, show_default=True, help="Open a browser.")
@click.option("--read-only", is_flag=True, help="Refuse whatever would change the project.")
def serve(project: Path, port: int, host: str, other_hosts: bool, opens: bool, read_only: bool) -> None:
    """Open PROJECT in the browser: search it, see why, steer it, and name its concepts.

    The printed address holds a token that nobody else knows. It is served until ctrl-c, and what others change in the
    project meanwhile is seen at once. It needs the extra serve.

    \b
    Examples:
      unweave serve demo
    """
    from unweave.base.extras import require
    from unweave.errors import NotTrusted
    from unweave.project import Project

    require("serving a project", "serve", "fastapi", "uvicorn", "threadpoolctl")
    with suppress(NotTrusted):  # asked for here, where somebody sits; whoever needs it later is told
        open_project(project).confirmed("encoder")
    from unweave.server.serve import serve as serve_project

    def ready(address: str) -> None:
        click.echo(address)
        if opens:
            import webbrowser

            Thread(target=webbrowser.open, args=(address,), daemon=True).start()  # some browsers are waited for

    serve_project(
        Project.open(project), ready, host=host, port=port, other_hosts=other_hosts, read_only=read_only
    )  # fmt: skip
