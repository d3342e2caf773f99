"""The command `unweave`: its group, and errors as one line."""

from __future__ import annotations

import logging
import sys
from typing import Any

import click

from unweave import __version__
from unweave.base.plain import plain
from unweave.errors import UnweaveError


class _Group(click.Group):
    """Turns errors that a user can act on into one line on stderr and exit 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of the pipeline, not of the alphabet

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UnweaveError as error:
            raise click.ClickException(_one_line(error)) from error
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            where = f" ({error.filename})" if error.filename else ""
            raise click.ClickException(
                f"{error.strerror or error}{where}; nothing half-written was left, so the command can be run again"
            ) from error
        except KeyboardInterrupt:
            click.echo("stopped; what was finished is kept, and the same command goes on from there", err=True)
            ctx.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="unweave")
def main() -> None:
    """Make dense retrieval readable.

    A project folder goes through init, embed, fit, name and index; then search, explain, evaluate and report use it.
    """
    notes = logging.StreamHandler(sys.stderr)
    notes.setFormatter(logging.Formatter("note: %(message)s"))
    logging.getLogger("unweave").handlers = [notes]  # other libraries' logs are not ours to show


def _one_line(error: Exception) -> str:
    return plain(str(error))
