"""The commands that make a project: init, add, embed, fit, name, index, tokens; and pretrain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unweave.base import progress
from unweave.base.plain import plain
from unweave.cli.bars import Bars
from unweave.cli.options import (
    APPLIES_ALL,
    JSON,
    KEPT,
    ON,
    PROJECT,
    by_stage,
    given,
    open_project,
    opened_with,
    print_json,
    show_outcomes,
    stage_options,
)

if TYPE_CHECKING:
    from unweave.concepts.namers.language_model import Forecast


def _collection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Where a collection comes from: init and add read the same."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option("--drop-unknown", is_flag=True,
                     help="Leave out judgements of passages that the corpus does not have."),
        click.option("--qrels", type=file, help="Judgements of your own, in TREC's or BEIR's format."),
        click.option("--queries", type=file,
                     help="Queries of your own: .jsonl as BEIR has them, or lines of an id, a tab and a text."),
        click.option("--corpus", required=True, help="BEIR folder, .jsonl, .csv, .tsv or .parquet file, folder of text "
                     "files, irds:beir/scifact/test, mteb:SciFact, or the built-in 'vital-articles'."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@PROJECT
@_collection_options
@stage_options("shards")
@ON
@JSON
def init(
    project: Path, corpus: str, queries: Path | None, qrels: Path | None, drop_unknown: bool, on: str, as_json: bool,
    **shards: Any,
) -> None:  # fmt: skip
    """Make a PROJECT folder from a corpus, with its queries and judgements if it has any.

    A text, a line and a row may have 67,108,864 characters, an id 4,096, a table 10,000 columns; grades lie from -1,000
    to 1,000. Beyond that, and where something of a file would be lost, nothing is made.

    With --store the corpus is cut into shards, which many machines can work on; --corpus then names files or a folder
    of files, such as 'FOLDER/*.parquet'.

    \b
    Examples:
      unweave init mine --corpus my_folder
      unweave init mine --corpus texts.jsonl --queries queries.jsonl --qrels test.qrels
      unweave init scifact --corpus irds:beir/scifact/test
    """
    from unweave.project import Project
    from unweave.texts.open import open_collection

    if any(value is not None for value in shards.values()):
        if shards["store"] is None or queries or qrels:
            raise click.UsageError("a corpus in shards takes --store, and neither --queries nor --qrels")
        _cut(project, corpus, given(shards), on, as_json)
        return
    made = Project.create(project, open_collection(corpus, queries, qrels), drop_unknown=drop_unknown)
    counts = {**made.corpus.manifest.results, **made.queries.manifest.results}
    if as_json:
        print_json({"project": str(project), **counts})
        return
    judged = ", ".join(f"{n:,} judged in {plain(split)}" for split, n in counts["judged_queries"].items())
    click.echo(
        f"{plain(str(project))}: {counts['n_passages']:,} passages, {counts['n_queries']:,} queries"
        + (judged and f" ({judged})")
    )
    click.echo(f"settings: {plain(str(project / 'unweave.toml'))}")


def _cut(project: Path, corpus: str, shards: dict[str, Any], on: str, as_json: bool) -> None:
    """Make a project whose corpus lies in shards."""
    from unweave.cluster.sharded import create

    with opened_with(project, shards=create(project, shards)) as opened:
        show_outcomes(opened.sharded(on).cut([corpus]), as_json)


@click.command()
@PROJECT
@_collection_options
@ON
@JSON
def add(
    project: Path, corpus: str, queries: Path | None, qrels: Path | None, drop_unknown: bool, on: str, as_json: bool
) -> None:
    """Add passages, queries and judgements to those of PROJECT.

    New passages stand after the old ones. One whose id is there already takes the old one's place, as in a search
    engine, and is counted. A query or a judgement that says something else than the one that is there is refused. Then
    embed, fit, name and index again: each does what is new, and names and edits of concepts stay.

    \b
    Examples:
      unweave add mine --corpus more.jsonl
    """
    from unweave.cli import show
    from unweave.texts.open import open_collection

    opened = open_project(project)
    if opened.is_sharded:
        with progress.watched(Bars()):
            show_outcomes(opened.sharded(on).cut([corpus]), as_json)
        return
    added = opened.add(open_collection(corpus, queries, qrels), drop_unknown=drop_unknown)
    if as_json:
        print_json({"project": str(project), **added._asdict()})
        return
    for line in show.added(str(project), added):
        click.echo(line)


@click.command(epilog=KEPT)
@PROJECT
@click.option("--passages", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Bring embeddings: a .npy file, one row a passage.")  # fmt: skip
@click.option("--passage-ids", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The id of each row of --passages, one a line.")  # fmt: skip
@click.option("--queries", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Bring embeddings: a .npy file, one row a query.")  # fmt: skip
@click.option("--query-ids", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The id of each row of --queries, one a line.")  # fmt: skip
@stage_options("encoder")
@stage_options("embed")
@ON
@JSON
def embed(
    project: Path,
    passages: Path | None,
    passage_ids: Path | None,
    queries: Path | None,
    query_ids: Path | None,
    sentences: int | None,
    language: str | None,
    on: str,
    as_json: bool,
    **encoder: Any,
) -> None:
    """Embed the corpus, its sentences and its queries, or bring embeddings made elsewhere.

    With --model, brought embeddings are checked to be that model's, and texts can be searched for. Without it, it is
    not known what made them: search by --query-id or --query-vector. A row may have 65,536 numbers, and the largest of
    each lies between 1e-15 and 1e15.

    \b
    Examples:
      unweave embed mine
      unweave embed mine --model intfloat/e5-small-v2 --query-prefix "query: " --passage-prefix "passage: "
      unweave embed mine --passages vectors.npy --passage-ids ids.txt
    """
    by_encoder = encoder["model"] is not None
    with opened_with(project, encoder=encoder, embed={"sentences": sentences, "language": language}) as opened:
        if passages is None and queries is None:
            show_outcomes(opened.embed(on=on), as_json)
            return
        brought = [("passages", passages, passage_ids), ("queries", queries, query_ids)]
        show_outcomes(
            [opened.bring_embeddings(of, file, ids, by_encoder=by_encoder) for of, file, ids in brought if file],
            as_json,
        )


@click.command(epilog=KEPT)
@PROJECT
@stage_options("fit")
@ON
@JSON
def fit(project: Path, on: str, as_json: bool, **options: Any) -> None:
    """Train the sparse autoencoder, and encode the passages with it.

    On several GPUs or machines: torchrun --nproc-per-node 2 -m unweave fit PROJECT

    \b
    Examples:
      unweave fit mine
      unweave fit mine --n-latents 4096 --k 32 --twin
      unweave fit mine --dictionary pretrained
    """
    with opened_with(project, fit=options) as opened:
        show_outcomes(opened.fit(on=on), as_json)


@click.command(epilog=KEPT)
@PROJECT
@click.option("--namer", type=click.Choice(["keyphrases", "lexicon", "vocabulary", "language-model"]),
              default="keyphrases", show_default=True,
              help="What makes the names; every concept has one by keyphrases anyhow.")  # fmt: skip
@click.option("--most", type=click.IntRange(min=1), help="With another namer, name so many concepts at most, the most "
              "frequent.")  # fmt: skip
@click.option("--below", type=click.FloatRange(0, 1), help="With another namer, name only concepts whose shown name "
              "has a detection below this, or was not judged.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="With a language model, say how many requests and tokens it would take, "
              "at what price and in what time; nothing is sent.")  # fmt: skip
@stage_options("evidence")
@stage_options("keyphrases")
@stage_options("lexicon")
@stage_options("language_model")
@click.option("--discard", is_flag=True, help="Name the concepts of another SAE although people edited the old ones.")
@click.option("--anew", is_flag=True, help="Make the namer's names anew that were kept when the SAE was trained on.")
@ON
@JSON
def name(
    project: Path,
    namer: str,
    most: int | None,
    below: float | None,
    dry_run: bool,
    discard: bool,
    anew: bool,
    on: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Gather the evidence for every live concept, name it, and work out how concepts relate.

    Names of several namers stand side by side; the one that detection trusts most is shown. See: unweave judge. When
    the SAE was trained on, a concept keeps its names, their judgement and people's edits unless its latent moved.

    \b
    Examples:
      unweave name mine
      unweave name mine --namer language-model --dry-run
    """
    if dry_run and namer != "language-model":
        raise click.BadParameter("only a language model costs anything; give --namer language-model")
    with opened_with(project, **by_stage(options, "evidence", "keyphrases", "lexicon", "language_model")) as opened:
        if dry_run:
            _show_forecast(opened.forecast(most=most, below=below, discard=discard), as_json)
            return
        show_outcomes(opened.name(namer, most=most, below=below, discard=discard, anew=anew, on=on), as_json)


def _show_forecast(forecast: Forecast, as_json: bool) -> None:
    if as_json:
        print_json(forecast._asdict())
        return
    for line in forecast.said():
        click.echo(line)


@click.command(epilog=KEPT)
@PROJECT
@click.option("--texts", multiple=True, type=click.Path(exists=True, path_type=Path),
              help="A .jsonl, .csv, .tsv or .parquet file of texts, or a folder of such files; may be repeated. "
              "Without it, PROJECT is there already.")  # fmt: skip
@click.option("--most", type=click.IntRange(min=1), help="Texts to take, at most, drawn evenly from all files.")
@click.option("--dry-run", is_flag=True, help="Say how long it would take, by a sample, and stop.")
@stage_options("encoder", without=("device", "batch_size"))
@stage_options("fit")
@JSON
def pretrain(
    project: Path, texts: tuple[Path, ...], most: int | None, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Make a dictionary that reads any text, from many texts: embed, train, name, and pack.

    The dictionary lies in PROJECT/dictionary, a folder that `unweave decompose`, `unweave fit --dictionary` and
    `unweave sae push` take. What was broken off goes on where it stopped when the same command is run again. How long
    it takes is said before it begins. The project that --texts makes begins with --consensus 3 and --least-cosine 0.95.

    \b
    Examples:
      unweave pretrain dictionary --texts texts.jsonl --dry-run
    """
    from unweave.cli import show
    from unweave.stages import pretrain as stage

    stages = by_stage(options, "encoder", "fit")
    del stages["encoder"]["batch_size"]  # --batch-size is that of training, --device that of both
    if texts:
        stage.prepare(project, texts, most)
    click.get_current_context().meta[APPLIES_ALL] = True
    with opened_with(project, **stages) as opened:
        if dry_run and as_json:
            print_json(opened.pretraining_cost()._asdict())
        elif not as_json:
            for line in show.cost(opened.pretraining_cost()):
                click.echo(line)
        if not dry_run:
            show_outcomes(opened.pretrain(), as_json)


@click.group()
def index() -> None:
    """Build the concept index, and look after it."""


@index.command()
@PROJECT
@ON
@JSON
def build(project: Path, on: str, as_json: bool) -> None:
    """Build the concept index, once for each scoring profile.

    \b
    Examples:
      unweave index build mine
    """
    with opened_with(project) as opened:
        show_outcomes(opened.index(on=on), as_json)


@index.command()
@PROJECT
@JSON
def compact(project: Path, as_json: bool) -> None:
    """Merge the segments of the indexes, without their deleted passages. Others may search meanwhile.

    \b
    Examples:
      unweave index compact mine
    """

    compacted = open_project(project).compact()
    if as_json:
        print_json({n: {"n_passages": to.n_passages, "n_segments": len(to.segments)} for n, to in compacted.items()})
        return
    for name, to in compacted.items():
        click.echo(f"{name}: {to.n_passages:,} passages in {len(to.segments)} segment(s)")


@index.command()
@PROJECT
@click.option("--effort", "efforts", type=click.FloatRange(0, 1, min_open=True), multiple=True,
              default=(0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0), show_default=True,
              help="Shares of a query's postings to read.")  # fmt: skip
@click.option("--system", type=click.Choice(["CL-SR", "CL-SR paper"]), default="CL-SR", show_default=True,
              help="Which index is searched.")  # fmt: skip
@JSON
def recall(project: Path, efforts: tuple[float, ...], system: str, as_json: bool) -> None:
    """Measure approximate search: what share of the exact results it finds, and its time, over the queries.

    \b
    Examples:
      unweave index recall mine
    """
    from unweave.cli import show

    rows = open_project(project).recall(efforts, system=system)
    if as_json:
        print_json([vars(row) for row in rows])
        return
    for line in show.recall(rows):
        click.echo(line)


@click.command(epilog=KEPT)
@PROJECT
@stage_options("tokens")
@ON
@JSON
def tokens(project: Path, on: str, as_json: bool, **options: Any) -> None:
    """Learn concepts of single tokens, name them by their words, and index them beside those of whole texts.

    They keep the words that one vector a text cannot: unweave search PROJECT QUERY --system "tokens + codes"

    \b
    Examples:
      unweave tokens mine
    """
    with opened_with(project, tokens=options) as opened:
        show_outcomes(opened.tokens(on=on), as_json)
