"""Commands that look after a project: verify and doctor."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from unweave.base.plain import plain
from unweave.cli.options import JSON, ON, PROJECT, open_project, print_json


@click.command()
@PROJECT
@ON
@JSON
def verify(project: Path, on: str, as_json: bool) -> None:
    """Read every byte of PROJECT, and say which artefact is not what was written.

    It ends with 1 if one is damaged.

    \b
    Examples:
      unweave verify demo
    """
    opened = open_project(project)
    found = opened.verify(on=on)
    if as_json:
        print_json([one._asdict() for one in found])
    else:
        from unweave.cli.show import table

        rows = [{"artefact": one.artifact, "state": one.state, "bytes": f"{one.n_bytes:,}"} for one in found]
        for line in table(rows):
            click.echo(line)
    damaged = [one for one in found if one.state == "damaged"]
    if damaged:
        verb = "is" if len(damaged) == 1 else "are"
        raise click.ClickException(
            f"{len(damaged)} of {len(found)} artefacts {verb} damaged; first: {plain(damaged[0].said)}"
            + ("" if opened.is_sharded else f"; for what to do, run: unweave doctor {project}")
        )


@click.command()
@click.argument("project", type=click.Path(file_okay=False, path_type=Path), required=False)
@JSON
@click.pass_context
def doctor(ctx: click.Context, project: Path | None, as_json: bool) -> None:
    """Say what to do about PROJECT, or without one about this installation: what is damaged, missing or out of date.

    Nothing is changed. Of a project, every artefact is read to the last byte. Of the installation, versions, extras,
    devices, caches and the current folder are shown, and it ends with 1 if something is missing that every command
    needs.

    \b
    Examples:
      unweave doctor
      unweave doctor demo
    """
    if project is None:
        _doctor_of_the_installation(ctx, as_json)
        return
    advice = open_project(project).doctor()
    if as_json:
        print_json([one._asdict() for one in advice])
        return
    if not advice:
        click.echo("all is well: nothing is damaged, out of date, left over or missing")
    for about, run in advice:
        click.echo(plain(about))
        if run:
            click.echo(f"  run: {plain(run)}")


def _doctor_of_the_installation(ctx: click.Context, as_json: bool) -> None:
    from unweave.cli import installed
    from unweave.installation.whole import installation

    found = installation()
    if as_json:
        print_json(asdict(found) | {"advice": [one._asdict() for one in found.advice]})
    else:
        click.echo("\n".join(installed.lines(found)).lstrip())
    ctx.exit(0 if found.works else 1)
