"""A project's report: one HTML file that opens from disk and asks nothing of the network.

Every text of the corpus is escaped by the template engine. What was searched for is drawn by the explorer's own
components, from numbers that stand in the page; a content security policy forbids every other script, and requests.
In a checkout whose pages were never built, the same numbers are tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from unweave.base.artifact import Manifest
from unweave.base.files import write_atomically
from unweave.base.plain import number_of, plain
from unweave.base.records import NO_NAME_HOLDS, RETURNS, Contribution, Explanation, Hit, Trust, marks, traces_of
from unweave.concepts import store
from unweave.concepts.concept import Concept
from unweave.encode.encoders import NoEncoder
from unweave.errors import MissingArtifact, MissingExtra, UnweaveError
from unweave.evaluation.measures import LABELS, MEASURES
from unweave.evaluation.table import KIND, Evaluation
from unweave.explaining.difference import difference
from unweave.explaining.words import PairOfWords
from unweave.stages import accounts, counterfactual
from unweave.stages.workspace import Workspace

FILE = "report.html"
_CONCEPTS_SHOWN = 8
_EXAMPLES_SHOWN = 3
HITS_SHOWN = 3
_ROWS_SHOWN = 6
_PAIRS_SHOWN = 12
_RANKS_SHOWN = 10
_MOST_RANKED = 100_000
"""Passages up to which ranks without a concept are shown: all of them are ranked twice."""
_FEWEST_FOR_RARE = 3


class ConceptCard(NamedTuple):
    """A concept as the page shows it."""

    latent: int
    name: str | None
    trust: Trust
    returns: bool | None
    coverage: float | None
    document_frequency: int
    note: str
    """What earned it its place, e.g. its usefulness."""
    examples: list[tuple[str, float]]
    """Texts that activate it most, and how strongly relative to the strongest."""


class Row(NamedTuple):
    """One part of a score, in a table."""

    label: str
    latent: int | None
    value: float


class ExplainedHit(NamedTuple):
    """A hit with its two accounts."""

    hit: Hit
    concepts: list[Row]
    dense: list[Row]


class Pictures(NamedTuple):
    """What is drawn of a search, as SVG; empty where it cannot be."""

    apart: str
    """Why the first hit is above the second."""
    moved: str
    """How ranks move without the concept that adds most to the first hit."""
    words: str
    """Words of the query against words of the first hit."""
    pairs: list[PairOfWords]
    """The strongest of these, as a table."""


def write_report(project: Workspace, searches: Sequence[tuple[str, Sequence[Hit]]] = ()) -> Path:
    """Write `report.html` into the project's folder and return its path.

    Args:
        searches: queries to show, each with its hits, explained.

    A project that has not been evaluated, perhaps for want of judged queries, gets a report without the table.

    Raises:
        MissingArtifact, StaleArtifact: the project lacks an earlier step, or must do one again.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("the report", "report") from error
    from unweave.report import built, plots

    measured = _evaluation(project)
    fitted = project.manifest("sae")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["plain"] = plain
    page = environment.get_template("page.html").render(
        name=project.path.resolve().name,
        corpus=project.manifest("corpus"),
        embeddings=project.manifest("embeddings/passages").settings["encoder"],
        sae=fitted.settings["sae"],
        fitted=fitted.results,
        shared=project.shared_latents,
        naming=store.summary(project.concepts.database),
        trusts=list(Trust),
        returns=RETURNS,
        no_name_holds=NO_NAME_HOLDS,
        measured=measured,
        measures=MEASURES,
        labels=LABELS,
        best=_best(measured) if measured else {},
        training=_training(fitted),
        histograms=plots.histograms(project.latents),
        concepts=_concepts(project, measured),
        built=built.drawn(searches),
        searches=[(query, _explained(hits), _pictures(project, query, hits)) for query, hits in searches],
    )
    path = project.path / FILE
    write_atomically(path, lambda p: p.write_text(page, encoding="utf-8"))
    return path


def _evaluation(project: Workspace) -> Evaluation | None:
    """The project's evaluation, or None if it has none; one that is out of date is an error."""
    try:
        project.manifest(KIND)
    except MissingArtifact:
        return None
    return Evaluation.load(project.path / KIND)


def _training(fitted: Manifest) -> str:
    """The curve of the training; empty if there was none."""
    from unweave.report import plots

    history = fitted.results["history"]
    return plots.training_curve(history, fitted.settings["sae"]["k"]) if history else ""


def _best(measured: Evaluation) -> dict[str, float]:
    """The highest value of each measure."""
    return {m: max((r.measures[m] for r in measured.rows if r.measures), default=0.0) for m in MEASURES}


def _concepts(project: Workspace, measured: Evaluation | None) -> dict[str, list[ConceptCard]]:
    """What stands out. A concept that is known not to return is no finding: it comes last, if there is room left."""
    names = project.concepts
    by_frequency = [c for c in names.by_document_frequency() if c.document_frequency]
    n = len(project.corpus)
    rare = [c for c in reversed(by_frequency) if c.document_frequency >= _FEWEST_FOR_RARE]
    returning = names.returning()  # sorting keeps the order of equals: those that return, or may, stay as they were
    frequent, rare = (sorted(some, key=lambda c: c.returns is False)[:_CONCEPTS_SHOWN] for some in (by_frequency, rare))
    useful = sorted(measured.usefulness if measured else [], key=lambda one: returning.get(one[0]) is False)
    return {
        "useful": list(
            _cards(project, ((j, f"+{gain:.2f} score to relevant passages") for j, gain in useful[:_CONCEPTS_SHOWN]))
        ),
        "frequent": list(_cards(project, _by_share(frequent, n))),
        "rare": list(_cards(project, _by_share(rare, n))),
    }


def _by_share(concepts: Iterable[Concept], n_passages: int) -> Iterable[tuple[int, str]]:
    return ((c.latent, f"in {c.document_frequency / n_passages:.2%} of passages") for c in concepts)


def _cards(project: Workspace, chosen: Iterable[tuple[int, str]]) -> Iterable[ConceptCard]:
    for latent, note in chosen:
        concept = project.concepts.concept(latent)
        if concept is None:
            continue
        sources = {"passages": project.corpus, "sentences": project.sentences}
        examples: list[tuple[str, float]] = []
        for example in concept.examples:
            if not example.activation:
                continue
            corpus = sources[example.source]
            assert corpus is not None
            passage = corpus[example.position]
            text = plain(passage.text or passage.title, 160)
            # A sentence and the passage it opens begin alike: one of them is enough.
            if not any(text[:40] in shown for shown, _ in examples):
                examples.append((text, example.activation / concept.strongest))
        yield ConceptCard(
            latent,
            concept.name,
            concept.trust,
            concept.returns,
            concept.coverage,
            concept.document_frequency,
            note,
            examples[:_EXAMPLES_SHOWN],
        )


def _explained(hits: Sequence[Hit]) -> list[ExplainedHit]:
    return [ExplainedHit(hit, _rows(hit.explanation), _rows(hit.dense_explanation)) for hit in hits]


def _pictures(project: Workspace, query: str, hits: Sequence[Hit]) -> Pictures:
    """What makes the first two hits' scores differ, what ranks would be without the first hit's first concept, and the
    words of the query against those of the first hit."""
    from unweave.report import pictures

    apart, words, moved = "", "", _moved(project, query, hits)
    pairs: list[PairOfWords] = []
    whys = [hit.explanation for hit in hits[:2] if hit.explanation is not None]
    if len(whys) == 2:
        first, second = (hit.passage.title or hit.passage.passage_id for hit in hits[:2])
        apart = pictures.waterfall(difference(*whys), first, second)
    if hits and hits[0].dense_explanation is not None:
        try:
            found = accounts.by_words(project, query, hits[0].passage.passage_id)
        except UnweaveError:  # there is no encoder, or none whose embeddings are a mean of words
            return Pictures(apart, moved, words, pairs)
        words, pairs = pictures.heat(found), found.strongest_pairs(_PAIRS_SHOWN)
    return Pictures(apart, moved, words, pairs)


def _moved(project: Workspace, query: str, hits: Sequence[Hit]) -> str:
    """How ranks move without the concept that adds most to the first hit's score by concepts; empty without one.

    Empty too where the embeddings came along without their encoder, since the query's text is read anew.
    """
    from unweave.report import pictures

    why = hits[0].explanation if hits else None
    if why is None or why.of != "concepts" or not why.contributions or len(project.corpus) > _MOST_RANKED:
        return ""
    if isinstance(project.encoder, NoEncoder):
        return ""
    first = max(why.contributions, key=lambda c: c.value).latent
    found = counterfactual.in_query(project, query, None, {first: 0.0}, {}, "CL-SR", _RANKS_SHOWN)
    return pictures.slopes(found) if found.hits else ""


def _rows(explanation: Explanation | None) -> list[Row]:
    """The largest contributions, the others together, then bias and residual; none without an explanation."""
    if explanation is None:
        return []
    whole, traces = explanation.folded()
    shown, others = whole[:_ROWS_SHOWN], whole[_ROWS_SHOWN:]
    parts: list[tuple[str, int | None, float]] = [(_label(c), c.latent, c.value) for c in shown]
    if others:
        parts.append((number_of(len(others), "more concept"), None, sum(c.value for c in others)))
    if traces:
        said, value = traces_of(traces)
        parts.append((said, None, value))
    if explanation.of != "concepts":
        parts.append(("shared by all passages (bias)", None, explanation.bias))
    parts.append(("residual", None, explanation.residual))
    return [Row(*part) for part in parts]


def _label(contribution: Contribution) -> str:
    before = marks(contribution.trust or Trust.UNSCORED if contribution.name else None, contribution.returns).strip()
    if contribution.name is None:
        return f"{before} (unnamed)".strip()
    return f"{before} {NO_NAME_HOLDS if contribution.trust is Trust.NONE else plain(contribution.name, 60)}"
