"""The command line: one command a stage of the pipeline. Each parses, makes one call and shows what came back."""

from __future__ import annotations

import json
import logging
import sys
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from unweave import __version__, progress
from unweave.artifact import write_atomically
from unweave.errors import UnweaveError
from unweave.processes import is_helper
from unweave.records import plain

if TYPE_CHECKING:
    from unweave.concepts.language_model_namer import Forecast
    from unweave.pipeline import Outcome
    from unweave.project import Project
    from unweave.records import Hit

_PROJECT = click.argument("project", type=click.Path(file_okay=False, path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")


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


@main.command()
@_PROJECT
@click.option("--corpus", required=True, help="BEIR folder, .jsonl, .csv, .tsv or .parquet file, folder of text "
              "files, irds:beir/scifact/test, mteb:SciFact, or the built-in 'vital-articles'.")  # fmt: skip
@click.option("--queries", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Queries of your own: .jsonl as BEIR has them, or lines of an id, a tab and a text.")  # fmt: skip
@click.option("--qrels", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Judgements of your own, in TREC's or BEIR's format.")  # fmt: skip
@click.option("--drop-unknown", is_flag=True, help="Leave out judgements of passages that the corpus does not have.")
@_JSON
def init(
    project: Path, corpus: str, queries: Path | None, qrels: Path | None, drop_unknown: bool, as_json: bool
) -> None:
    """Make a PROJECT folder from a corpus, with its queries and judgements if it has any."""
    from unweave.collections import open_collection
    from unweave.project import Project

    made = Project.create(project, open_collection(corpus, queries, qrels), drop_unknown=drop_unknown)
    counts = {**made.corpus.manifest.results, **made.queries.manifest.results}
    if as_json:
        _print_json({"project": str(project), **counts})
        return
    judged = ", ".join(f"{n:,} judged in {split}" for split, n in counts["judged_queries"].items())
    click.echo(
        f"{project}: {counts['n_passages']:,} passages, {counts['n_queries']:,} queries" + (judged and f" ({judged})")
    )
    click.echo(f"settings: {project / 'unweave.toml'}")


def _stage_options(stage: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """One option for each of a stage's settings. What is given is kept in the project's `unweave.toml`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        from unweave import settings

        config = typing.get_type_hints(settings.Settings)[stage]
        for field in reversed(fields(config)):
            kind = settings.value_type(config, field.name)
            flag = field.name.replace("_", "-")
            command = click.option(
                f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}",
                field.name,
                type=None if kind is bool else kind,
                default=None,
                help=settings.documentation(config)[field.name],
            )(command)
        return command

    return decorate


@contextmanager
def _opened(project: Path, **stages: dict[str, Any]) -> Iterator[Project]:
    """A project with the options that were given for some stages; they are kept if the command succeeds."""
    from unweave import settings
    from unweave.project import Project

    Project.open(project)
    file = project / settings.FILE
    before = file.read_bytes()
    if is_helper():  # the first process writes and speaks
        yield Project.open(project, {stage: _given(options) for stage, options in stages.items()})
        return
    try:
        for stage, options in stages.items():
            settings.update(file, stage, _given(options))
        with progress.shown():
            yield Project.open(project)
    except (UnweaveError, OSError):
        if file.read_bytes() != before:
            write_atomically(file, lambda path: path.write_bytes(before))
        raise


def _by_stage(options: dict[str, Any], *stages: str) -> dict[str, dict[str, Any]]:
    """Options of several stages apart, each by the fields of its settings."""
    from unweave import settings

    configs = typing.get_type_hints(settings.Settings)
    return {stage: {f.name: options[f.name] for f in fields(configs[stage])} for stage in stages}


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given a value."""
    return {name: value for name, value in options.items() if value is not None}


def _show(outcomes: Sequence[Outcome], as_json: bool) -> None:
    from unweave.cli import show

    if as_json:
        _print_json({done.artifact: {**done._asdict(), "artifact": done.artifact} for done in outcomes})
        return
    for done in outcomes:
        click.echo(show.outcome(done))


@main.command()
@_PROJECT
@click.option("--passages", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Bring embeddings: a .npy file, one row a passage.")  # fmt: skip
@click.option("--passage-ids", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The id of each row of --passages, one a line.")  # fmt: skip
@click.option("--queries", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Bring embeddings: a .npy file, one row a query.")  # fmt: skip
@click.option("--query-ids", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The id of each row of --queries, one a line.")  # fmt: skip
@_stage_options("encoder")
@_stage_options("embed")
@_JSON
def embed(
    project: Path,
    passages: Path | None,
    passage_ids: Path | None,
    queries: Path | None,
    query_ids: Path | None,
    sentences: int | None,
    language: str | None,
    as_json: bool,
    **encoder: Any,
) -> None:
    """Embed the corpus, its sentences and its queries, or bring embeddings made elsewhere."""
    from unweave import pipeline
    from unweave.encoders import PRECOMPUTED

    if passages is not None and encoder["model"] is None:
        encoder["model"] = PRECOMPUTED
    with _opened(project, encoder=encoder, embed={"sentences": sentences, "language": language}) as opened:
        if passages is None and queries is None:
            _show(pipeline.embed(opened), as_json)
            return
        brought = [("passages", passages, passage_ids), ("queries", queries, query_ids)]
        _show([pipeline.bring_embeddings(opened, of, file, ids) for of, file, ids in brought if file], as_json)


@main.command()
@_PROJECT
@_stage_options("fit")
@_JSON
def fit(project: Path, as_json: bool, **options: Any) -> None:
    """Train the sparse autoencoder, and encode the passages with it.

    On several GPUs or machines: torchrun --nproc-per-node 2 -m unweave fit PROJECT
    """
    from unweave import fitting

    with _opened(project, fit=options) as opened:
        _show(fitting.fit(opened), as_json)


@main.command()
@_PROJECT
@click.option("--namer", type=click.Choice(["keyphrases", "lexicon", "vocabulary", "language-model"]),
              default="keyphrases", show_default=True,
              help="What makes the names; every concept has one by keyphrases anyhow.")  # fmt: skip
@click.option("--most", type=click.IntRange(min=1), help="With another namer, name so many concepts at most, the most "
              "frequent.")  # fmt: skip
@click.option("--below", type=click.FloatRange(0, 1), help="With another namer, name only concepts whose shown name "
              "has a detection below this, or was not judged.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="With a language model, say how many requests and tokens it would take, "
              "at what price and in what time; nothing is sent.")  # fmt: skip
@_stage_options("evidence")
@_stage_options("name")
@_stage_options("lexicon")
@_stage_options("model")
@click.option("--discard", is_flag=True, help="Name the concepts of another SAE although people edited the old ones.")
@_JSON
def name(
    project: Path,
    namer: str,
    most: int | None,
    below: float | None,
    dry_run: bool,
    discard: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Gather the evidence for every live concept, name it, and work out how concepts relate.

    Names of several namers stand side by side; the one that detection trusts most is shown. See: unweave judge
    """
    from unweave.concepts import stages

    if dry_run and namer != "language-model":
        raise click.BadParameter("only a language model costs anything; give --namer language-model")
    with _opened(project, **_by_stage(options, "evidence", "name", "lexicon", "model")) as opened:
        outcomes = [stages.name(opened, discard=discard)]
        latents = stages.chosen(opened, most, below)
        if namer == "language-model":
            model = stages.language_model_namer(opened)
            if dry_run:
                _show_forecast(model.forecast(latents), as_json)
                return
            outcomes.append(stages.name_by(opened, model, latents))
        elif namer == "lexicon":
            outcomes.append(stages.name_by(opened, stages.lexicon_namer(opened), latents))
        elif namer == "vocabulary":
            outcomes.append(stages.name_by(opened, stages.vocabulary_namer(opened), latents))
        _show(outcomes, as_json)


def _show_forecast(forecast: Forecast, as_json: bool) -> None:
    from unweave.cli import show

    if as_json:
        _print_json(forecast._asdict())
        return
    for line in show.forecast(forecast):
        click.echo(line)


@main.group()
def index() -> None:
    """Build the concept index, and look after it."""


@index.command()
@_PROJECT
@_JSON
def build(project: Path, as_json: bool) -> None:
    """Build the concept index, once for each scoring profile."""
    from unweave import pipeline

    with _opened(project) as opened:
        _show(pipeline.index(opened), as_json)


@index.command()
@_PROJECT
@_JSON
def verify(project: Path, as_json: bool) -> None:
    """Read every byte of the indexes, and say which file is not what was written."""
    from unweave.project import Project

    indexes = Project.open(project).indexes()
    for found in indexes.values():
        found.verify()
    if as_json:
        _print_json({name: {"whole": True, "bytes": found.manifest.bytes} for name, found in indexes.items()})
        return
    for name, found in indexes.items():
        click.echo(f"{name}: whole ({found.n_passages:,} passages, {found.manifest.bytes:,} bytes)")


@index.command()
@_PROJECT
@_JSON
def compact(project: Path, as_json: bool) -> None:
    """Merge the segments of the indexes, without their deleted passages. Others may search meanwhile."""
    from unweave.index.writer import IndexWriter
    from unweave.project import Project

    indexes = Project.open(project).indexes()
    compacted = {name: IndexWriter(found.folder).compact(fully=True) for name, found in indexes.items()}
    if as_json:
        _print_json({n: {"n_passages": to.n_passages, "n_segments": len(to.segments)} for n, to in compacted.items()})
        return
    for name, to in compacted.items():
        click.echo(f"{name}: {to.n_passages:,} passages in {len(to.segments)} segment(s)")


@index.command()
@_PROJECT
@click.option("--effort", "efforts", type=click.FloatRange(0, 1, min_open=True), multiple=True,
              default=(0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0), show_default=True,
              help="Shares of a query's postings to read.")  # fmt: skip
@click.option("--profile", type=click.Choice(["default", "paper"]), default="default", show_default=True,
              help="Which index.")  # fmt: skip
@_JSON
def recall(project: Path, efforts: tuple[float, ...], profile: str, as_json: bool) -> None:
    """Measure approximate search: what share of the exact results it finds, and its time, over the queries."""
    from unweave.cli import show
    from unweave.evaluation.recall import measure
    from unweave.project import Project

    rows = measure(Project.open(project), efforts, profile)
    if as_json:
        _print_json([vars(row) for row in rows])
        return
    for line in show.recall(rows):
        click.echo(line)


@main.command()
@_PROJECT
@_stage_options("tokens")
@_JSON
def tokens(project: Path, as_json: bool, **options: Any) -> None:
    """Learn concepts of single tokens, name them by their words, and index them beside those of whole texts.

    They keep the words that one vector a text cannot: unweave search PROJECT QUERY --fuse tokens --fuse "concept codes"
    """
    from unweave import token_fitting

    with _opened(project, tokens=options) as opened:
        _show(token_fitting.fit_tokens(opened), as_json)


@main.command()
@_PROJECT
@click.argument("query")
@click.option("--cutoff", "-k", default=10, show_default=True, type=click.IntRange(min=1), help="Passages to show.")
@click.option("--explain", is_flag=True, help="Show which concepts make up each score.")
@click.option("--rescore", is_flag=True, help="Order the best thousand anew by the dense query and stored codes.")
@click.option("--boost", "boosts", multiple=True, metavar="CONCEPT=FACTOR", help="Multiply a concept's weight in the "
              "query: 0 leaves it out, below 0 pushes it away. May be given several times.")  # fmt: skip
@click.option("--ban", "banned", multiple=True, type=int, metavar="CONCEPT",
              help="Leave out passages with this concept. May be given several times.")  # fmt: skip
@click.option("--where", multiple=True, metavar="KEY=VALUE",
              help="Find only passages with this metadata. May be given several times.")  # fmt: skip
@click.option("--query-k", type=click.IntRange(min=1), help="Use only so many concepts of the query, its strongest.")
@click.option("--passage-k", type=click.IntRange(min=1), help="Count only so many of each passage, its strongest.")
@click.option("--effort", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
              help="Share of the query's postings to read; below 1, the search is approximate.")  # fmt: skip
@click.option("--profile", type=click.Choice(["default", "paper", "tokens"]), default="default", show_default=True,
              help="Scoring formula; tokens: by concepts of single tokens, see unweave tokens.")  # fmt: skip
@click.option("--fuse", "fused", multiple=True, metavar="SYSTEM", help="Search by several systems in one call, named "
              "as by unweave evaluate: BM25, dense, tokens, 'concept codes' … To be given at least twice.")  # fmt: skip
@click.option("--by", type=click.Choice(["score", "rank"]), default="score", show_default=True,
              help="Fuse scores, each system's stretched to 0 to 1, or reciprocal ranks.")  # fmt: skip
@_JSON
def search(
    project: Path,
    query: str,
    cutoff: int,
    explain: bool,
    rescore: bool,
    boosts: tuple[str, ...],
    banned: tuple[int, ...],
    where: tuple[str, ...],
    query_k: int | None,
    passage_k: int | None,
    effort: float,
    profile: str,
    fused: tuple[str, ...],
    by: str,
    as_json: bool,
) -> None:
    """Search PROJECT for QUERY by concepts. A concept is given by its number, as --explain shows it."""
    from unweave.project import Project
    from unweave.retrieval import Steering

    opened = Project.open(project)
    if fused:
        _refuse_steering()
        _show_hits(query, opened.search_fused(query, fused, cutoff, by=by, explain=explain), as_json)
        return
    allowed = opened.where(dict(_pair(given, "KEY=VALUE") for given in where), profile) if where else None
    steering = Steering(
        boosts=_boosts(boosts), banned=banned, allowed=allowed, query_k=query_k, passage_k=passage_k, effort=effort
    )
    _show_hits(
        query,
        opened.search(query, cutoff, explain=explain, profile=profile, rescore=rescore, steering=steering),
        as_json,
    )


def _refuse_steering() -> None:
    """Options of a search by one index mean nothing to systems that have no concepts."""
    context = click.get_current_context()
    for name in ("rescore", "boosts", "banned", "where", "query_k", "passage_k", "effort", "profile"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            (given,) = (p.opts[0] for p in context.command.params if p.name == name)
            raise click.UsageError(f"{given} is for a search by one index; it does not go with --fuse")


def _show_hits(query: str, hits: Sequence[Hit], as_json: bool) -> None:
    from unweave.cli import show

    if as_json:
        _print_json({"query": query, "hits": [hit.to_dict() for hit in hits]})
        return
    for hit in hits:
        for line in show.hit(hit):
            click.echo(line)
    if not hits:
        click.echo("no passage shares anything with this query", err=True)


def _pair(given: str, form: str) -> tuple[str, str]:
    left, sign, right = given.partition("=")
    if not sign or not left:
        raise click.BadParameter(f"{plain(given, 60)!r} is not of the form {form}")
    return left, right


def _boosts(given: tuple[str, ...]) -> dict[int, float]:
    boosts = {}
    for one in given:
        concept, factor = _pair(one, "CONCEPT=FACTOR")
        try:
            boosts[int(concept)] = float(factor)
        except ValueError:
            raise click.BadParameter(f"{plain(one, 60)!r} is not a concept's number = a factor") from None
    return boosts


@main.command()
@_PROJECT
@click.argument("query")
@click.argument("passage_id")
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), help="Concepts to show.")
@_JSON
def explain(project: Path, query: str, passage_id: str, top: int, as_json: bool) -> None:
    """Explain the dense score of QUERY and the passage PASSAGE_ID as named concepts, bias and residual."""
    from unweave.cli import show
    from unweave.project import Project

    explanation = Project.open(project).explain(query, passage_id)
    explanation.check()
    if as_json:
        _print_json({"query": query, "passage_id": passage_id, **explanation.to_dict()})
        return
    for line in show.explain(explanation, top):
        click.echo(line)


@main.command()
@_PROJECT
@_stage_options("evaluate")
@_JSON
def evaluate(project: Path, as_json: bool, **options: Any) -> None:
    """Compare BM25, dense search and CL-SR on the project's judged queries."""
    from unweave.cli import show
    from unweave.evaluation import evaluate as evaluation

    with _opened(project, evaluate=options) as opened:
        evaluation.evaluate(opened)
    measured = evaluation.Evaluation.load(project / evaluation.KIND)
    if as_json:
        _print_json({"split": measured.split, "n_queries": measured.n_queries, "systems": evaluation.table(measured),
                     "sae": measured.sae})  # fmt: skip
        return
    for line in show.evaluation(measured):
        click.echo(line)


@main.command()
@_PROJECT
@click.option("--query", "queries", multiple=True, help="A search to show explained; give it several times.")
@_JSON
def report(project: Path, queries: tuple[str, ...], as_json: bool) -> None:
    """Write PROJECT/report.html: one file that opens from disk."""
    from unweave.report import write_report

    with _opened(project) as opened:
        path = write_report(opened, queries)
    if as_json:
        _print_json({"report": str(path)})
    else:
        click.echo(path)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=True))


def _one_line(error: Exception) -> str:
    return plain(str(error))


# Registered last, so that it stands last in the help.
from unweave.cli import evaluation, families, judge  # noqa: E402
from unweave.cli.concepts import concepts  # noqa: E402
from unweave.cli.demo import demo  # noqa: E402
from unweave.cli.reproduce import reproduce  # noqa: E402
from unweave.cli.sae import sae  # noqa: E402
from unweave.cli.serve_model import serve_model  # noqa: E402
from unweave.cli.suite import suite  # noqa: E402

for command in (*evaluation.COMMANDS, *families.COMMANDS, *judge.COMMANDS):
    main.add_command(command)
main.add_command(concepts)
main.add_command(suite)
main.add_command(reproduce)
main.add_command(serve_model)
main.add_command(sae)
main.add_command(demo)
