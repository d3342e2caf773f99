"""The whole path on real text: every command of the pipeline, one after the other, as a user would type them."""

from __future__ import annotations

from pathlib import Path

import click

from unweave.base.plain import plain
from unweave.base.typed import as_typed, shown
from unweave.cli.steps import Steps

SEARCHES = {
    "vital-articles": (
        "Device to generate electricity from wind",
        "Supernatural beings from Japanese folklore",
        "Deliberate use of someone else's identity",
    )
}
"""Held-out queries to show, by corpus."""


@click.command()
@click.argument("project", type=click.Path(file_okay=False, path_type=Path), default="demo")
@click.option("--corpus", default="vital-articles", show_default=True, help="What to run on, as for init.")
@click.pass_context
def demo(ctx: click.Context, project: Path, corpus: str) -> None:
    """Run the main job from corpus to report in the folder PROJECT, on Wikipedia's vital articles.

    Steps that are done are not done again; a stopped run goes on where it was.

    \b
    Examples:
      unweave demo
      unweave demo mine --corpus my_folder
    """
    steps = Steps(ctx, project)
    if not (project / "unweave.toml").exists():
        steps.run("init", f"--corpus={corpus}")
    for command in ("embed", "fit", "name", "index build"):
        steps.run(command)
    if _judged_queries(project):
        steps.run("evaluate")
    queries = SEARCHES.get(corpus) or _queries_to_show(project, 3)
    for query in queries:
        steps.run("search", "--explain", "--cutoff", "3", arguments=[query])
    steps.run("report", *(f"--query={query}" for query in queries))
    click.echo("time of each step: " + ", ".join(f"{name} {taken:.0f} s" for name, taken in steps.seconds.items()))
    click.echo(f"together: {sum(steps.seconds.values()):.0f} s\n")
    click.echo("the report, to open in a browser:")
    click.echo(f"  {plain(str((project / 'report.html').resolve()))}\n")
    click.echo("next, for example:")
    folder, query = str(project), queries[0]
    again = as_typed(folder, ["--explain", "--system", "CL-SR rescored"], [query])
    click.echo(f"  unweave search {shown(again)}")
    click.echo(f"  unweave explain {shown(as_typed(folder, arguments=[query, _best_passage(project, query)]))}")
    click.echo("  unweave demo mine --corpus YOUR_FOLDER_OR_FILE")


def _judged_queries(project: Path) -> list[str]:
    """The queries to evaluate on; none, if the corpus came without judgements."""
    from unweave.project import Project

    opened = Project.open(project)
    split = opened.settings.evaluate.split
    judged = opened.queries.judged(split) if split in opened.queries.splits else []
    return [opened.queries.all[position].text for position in judged]


def _queries_to_show(project: Path, most: int) -> tuple[str, ...]:
    """Judged queries or, of a corpus without any, what its first passages are about."""
    from unweave.project import Project

    passages = Project.open(project).corpus[:most]
    judged = [query for query in _judged_queries(project) if plain(query)]
    about = [plain(p.title, 60) or plain(p.text, 60) or p.passage_id for p in passages]
    return tuple((judged or about)[:most])


def _best_passage(project: Path, query: str) -> str:
    from unweave.project import Project

    opened = Project.open(project)
    hits = opened.search(query, 1)
    return hits[0].passage.passage_id if hits else opened.corpus[0].passage_id
