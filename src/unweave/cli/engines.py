"""The commands that put a project's passages into other engines, one an engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unweave.base.plain import plain
from unweave.cli.options import JSON, PROJECT, opened_with, print_json

if TYPE_CHECKING:
    from unweave.stages.send import Plan, Sent

_SHOWN = 240
"""Characters of a mapping or a request that a terminal shows; --json and the written files have all of it."""
_FILES = {
    "jsonl": "JSON lines of ids, concepts and weights",
    "parquet": "Parquet files of ids, concepts and weights",
    "anserini": "Anserini's JsonVectorCollection, for Lucene",
    "ciff": "one file in the Common Index File Format",
}
_PLACES = {
    "qdrant-edge": ("sparse vectors of Qdrant Edge", "The folder of the shard."),
    "qdrant": (
        "a collection of sparse vectors",
        "Address of the server, or a folder for the client's local mode; the tests ran the local mode, and no server.",
    ),
    "postgresql": ("a table with a sparsevec of pgvector", "Connection string: postgresql://user@host/database."),
    "milvus": ("a collection of sparse vectors", "Address of the server, or a path that ends in .db for Milvus Lite."),
}
_EITHER = {
    "elasticsearch": ("an index with a sparse_vector, which is not pruned", "a server, such as http://localhost:9200"),
    "opensearch": ("an index with rank_features", "a server, such as http://localhost:9200"),
    "vespa": (
        "documents with a tensor of impacts",
        "an application that has the schema, such as http://localhost:8080",
    ),
}
_NOT_RUN = (
    "Without --to, files are written to OUT, to be fed to the engine by hand. The tests ran no such engine, only its "
    "client: what it is asked was checked, and not what it answers."
)
_NO_EMBEDDINGS = {"anserini", "ciff"}
_REST = (
    "Beside it: the names of the concepts, what turns a query's embedding into weights (uw.QueryReader), a query as "
    "the engine is asked it, and how far the engine's best ten passages are the index's, with the reason where they "
    "are not. A killed export goes on where it stopped."
)


def _command(name: str, said: str, to: click.Option | None) -> click.Command:
    def run(
        project: Path, out: Path, profile: str, texts: bool, n_queries: int, dry_run: bool, as_json: bool,
        to: str | None = None, dense: bool = False,
    ) -> None:  # fmt: skip
        with opened_with(project) as opened:
            if dry_run:
                planned = opened.export_plan(name, out, to=to, profile=profile, texts=texts, dense=dense)
                _show_plan(planned, as_json)
            else:
                sent = opened.export_engine(
                    name, out, to=to, profile=profile, texts=texts, dense=dense, n_queries=n_queries
                )
                _show_sent(sent, as_json)
                if name in _EITHER and to is None and not as_json:
                    click.echo(f"{name} was not asked: this is what it will find, by what it makes of the numbers")

    rest = f"{_REST}\n\n\b\nExamples:\n  unweave export {name} demo out --dry-run"
    run.__doc__ = f"Write the passages of PROJECT to the folder OUT as {said}.\n\n{rest}"
    if name in _EITHER:
        run.__doc__ = (
            f"Put the passages of PROJECT into another engine: {said}; OUT is a folder.\n\n{_NOT_RUN}\n\n{rest}"
        )
    elif to is not None:
        run.__doc__ = f"Put the passages of PROJECT into another engine: {said}; OUT is a folder.\n\n{rest}"
    for option in (
        JSON,
        click.option("--dry-run", is_flag=True, help="Say what would be written, and what becomes of the numbers."),
        click.option("--queries", "n_queries", type=click.IntRange(1), default=50, show_default=True,
                     help="Queries that are put to both, to compare what they find."),
        click.option("--texts", is_flag=True, help="Titles, texts and metadata too."),
        click.option("--profile", type=click.Choice(["default", "paper"]), default="default", show_default=True,
                     help="The index whose impacts are written."),
        click.argument("out", type=click.Path(file_okay=False, path_type=Path)),
        PROJECT,
    ):  # fmt: skip
        option(run)
    command = click.command(name)(run)
    if name not in _NO_EMBEDDINGS:
        said_of_dense = "Embeddings too, for the engine's own hybrid query: hybrid.txt."
        command.params.append(click.Option(["--dense"], is_flag=True, help=said_of_dense))
    command.params += [to] if to is not None else []
    return command


def _show_plan(plan: Plan, as_json: bool) -> None:
    found = plan.predicted
    if as_json:
        print_json({**plan._asdict(), "predicted": found and found._asdict()})
        return
    click.echo(f"{plan.engine}: {plan.n_passages:,} passages, about {plan.bytes / 1e6:,.1f} MB without texts")
    click.echo(f"mapping: {plain(plan.mapping, _SHOWN)}")
    click.echo(f"numbers: {plan.numbers}")
    if found is not None:
        click.echo(f"of the index's best ten for {found.n_queries} queries, {found.share:.1%} will be found for that")
    click.echo(f"a query: {plain(plan.request, _SHOWN)}")
    if not plan.ran:
        click.echo("this engine itself was not run by the tests: what it is sent was checked, and read back")


def _show_sent(sent: Sent, as_json: bool) -> None:
    found = sent.agreement
    if as_json:
        print_json({**sent._asdict(), "folder": str(sent.folder), "agreement": found._asdict()})
        return
    resumed = f", {sent.resumed_at:,} of which were there" if sent.resumed_at else ""
    click.echo(f"{plain(str(sent.folder))}: {sent.n_passages:,} passages{resumed}")
    click.echo(
        f"of the index's best ten for {found.n_queries} queries, {found.share:.1%} are among {sent.engine}'s; "
        f"{found.same_order} in the same order"
    )
    click.echo(found.why)


ENGINE_COMMANDS = (
    [_command(name, said, None) for name, said in _FILES.items()]
    + [
        _command(name, said, click.Option(["--to"], required=True, help=where))
        for name, (said, where) in _PLACES.items()
    ]
    + [
        _command(name, said, click.Option(["--to"], help=f"Address of {where}."))
        for name, (said, where) in _EITHER.items()
    ]
)
