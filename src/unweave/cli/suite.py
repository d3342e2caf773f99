"""The command that evaluates every collection of a suite and compares the systems over all of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from unweave.cli.evaluation import leaderboard
from unweave.cli.steps import Steps

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("suite")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="An unweave.toml for every collection: the encoder, k, fusions …")  # fmt: skip
@click.option("--tokens", is_flag=True, help="Learn concepts of tokens, too.")
@click.option("--drop-unknown", is_flag=True, help="Leave out judgements of passages that a corpus does not have.")
@click.option("--measure", default="nDCG@10", show_default=True, help="A measure, as ir_measures names it.")
@click.option("--latex", type=_FILE, help="Write a table for a paper, too.")
@click.option("--plot", type=_FILE, help="Draw bytes against quality, as PNG.")
@click.pass_context
def suite(
    ctx: click.Context, suite: str, folder: Path, settings: Path | None, tokens: bool, drop_unknown: bool,
    measure: str, latex: Path | None, plot: Path | None,
) -> None:  # fmt: skip
    """Evaluate all systems on every collection of SUITE, a project each in FOLDER, and compare them.

    SUITE is beir-small, beir, trec-dl or classic, which ir_datasets downloads, or a folder of judged collections in
    BEIR's layout. Steps that are done are not done again; a stopped run goes on where it was.

    \b
    Examples:
      unweave suite beir-small suites
    """
    from unweave.evaluation.measures import parse
    from unweave.project import Project
    from unweave.settings import FILE, Settings
    from unweave.texts.suites import collections_of

    parse(measure)  # what is wrong is said before anything is made
    if settings is not None:
        Settings.read(settings)
    projects = []
    for name, source in collections_of(suite).items():
        projects.append(folder / name)
        steps = Steps(ctx, folder / name)
        if not (folder / name / FILE).exists():
            steps.run("init", f"--corpus={source}", *(["--drop-unknown"] if drop_unknown else []))
        if settings is not None:  # also after a run that was stopped before this
            shutil.copyfile(settings, folder / name / FILE)
            Project.open(folder / name).trust()  # the file is the user's
        for command in ("embed", "fit", *(["tokens"] if tokens else []), "index build", "evaluate"):
            steps.run(command)
    ctx.invoke(
        leaderboard, projects=tuple(projects), measure=measure, against="dense", latex=latex, plot=plot, as_json=False
    )
