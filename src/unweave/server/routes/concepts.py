"""Concepts: the table, the card of one, texts that are tried, and what people change."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from unweave.base.records import Trust
from unweave.concepts import edits
from unweave.concepts.listing import Filter, activated, in_order
from unweave.errors import BadData
from unweave.server import shapes
from unweave.server.asked import Latent, Limit, Offset
from unweave.server.card import LONGEST_TEXT, card_of, edit_shape, family_shape
from unweave.server.changes import make
from unweave.server.held import Held
from unweave.server.marked import marked
from unweave.server.shapes import LONGEST_QUERY
from unweave.server.table import sparks_of, table_of
from unweave.stages.active import concept_of

router = APIRouter(prefix="/api", tags=["concepts"])
Sort = Literal["latent", "name", "trust", "df", "strongest", "holds", "detection", "returns", "activation"]


@router.get("/concepts")
def table(
    held: Held,
    words: Annotated[
        str, Query(max_length=1_000, description="In a name that is not known to fail; or #253, a number.")
    ] = "",
    text: Annotated[str, Query(max_length=LONGEST_QUERY, description="Only concepts that this text activates.")] = "",
    trust: Annotated[list[Trust], Query(max_length=len(Trust))] = [],
    returns: bool | None = None,
    flag: Annotated[str | None, Query(max_length=1_000, description="This remark.")] = None,
    flagged: Annotated[bool | None, Query(description="Any remark, or none.")] = None,
    sort: Annotated[Sort | None, Query(description="By default df, or activation where a text is given.")] = None,
    descending: bool = True,
    offset: Offset = 0,
    limit: Limit = 100,
    sparks: bool = False,
) -> shapes.ConceptTable:
    """Some rows of the table of concepts, sorted and filtered; those without a value in the column stand last."""
    every = table_of(held.project).rows
    rows = list(every.values())
    if text:
        rows = activated(rows, held.project.activated(text))
    rows = Filter(words, frozenset(trust), returns, flag, flagged).rows(rows)
    rows = in_order(rows, sort or ("activation" if text else "df"), descending=descending)
    shown = rows[offset : offset + limit]
    counts = sparks_of(held.project) if sparks else None
    return shapes.ConceptTable(
        rows=[
            shapes.ConceptRow(**row._asdict(), spark=[] if counts is None else counts[row.latent].tolist())
            for row in shown
        ],
        total=len(rows), n_concepts=len(every),
    )  # fmt: skip


@router.get("/concepts/{latent}")
def card(held: Held, latent: Latent) -> shapes.ConceptCard:
    """All that is known of one concept."""
    return card_of(held.project, latent)


@router.get("/concepts/{latent}/words")
def example_words(held: Held, latent: Latent) -> shapes.WordsResult:
    """The words of a concept's examples that activate it, by the examples' numbers."""
    language = held.project.settings.embed.language
    found = enumerate(held.project.words_of(latent))
    return shapes.WordsResult(marked=[marked(str(n), latent, words, language=language) for n, words in found])


@router.get("/concepts/{latent}/passages")
def passages(held: Held, latent: Latent, offset: Offset = 0, limit: Limit = 100) -> shapes.ActivePassages:
    """The passages that activate a concept, the strongest first."""
    found, corpus = held.project.active_in(latent), held.project.corpus
    some = slice(offset, offset + limit)
    shown = zip(found.passages[some].tolist(), found.activations[some].tolist(), strict=True)
    rows = [
        shapes.ActivePassage(
            passage_id=corpus[at].passage_id, title=corpus[at].title, text=corpus[at].text[:LONGEST_TEXT],
            activation=activation,
        )
        for at, activation in shown
    ]  # fmt: skip
    return shapes.ActivePassages(rows=rows, total=len(found.passages))


@router.post("/try")
def try_text(held: Held, asked: shapes.TryText) -> shapes.Tried:
    """What a text of one's own activates, embedded as a passage would be."""
    project = held.project
    known = table_of(project)
    activations = [known.activation(*one) for one in project.activated(asked.text).items()]
    words = []
    if asked.latent is not None:
        concept_of(project, asked.latent)
        with suppress(BadData):  # not every encoder shows words
            found = project.words_in(asked.text, asked.latent)
            words = [marked("", asked.latent, found, language=project.settings.embed.language)]
    return shapes.Tried(activations=activations, marked=words)


@router.get("/families")
def families(held: Held) -> shapes.Families:
    """The families of concepts that are active together."""
    known = table_of(held.project)
    return shapes.Families(families=[family_shape(known, family) for family in held.project.families()])


@router.get("/edits")
def history(held: Held, latent: Annotated[Latent | None, Query()] = None) -> shapes.Edits:
    """What people changed, the last change first."""
    made = edits.history(held.project.concepts.database, latent)
    return shapes.Edits(edits=[edit_shape(edit) for edit in reversed(made)])


@router.post("/edits")
def edit(held: Held, asked: shapes.MakeEdit) -> shapes.Edits:
    """Change concepts: all of them, or none. An edit that changes nothing is not there."""
    return shapes.Edits(edits=[edit_shape(made) for made in make(held.project, asked)])


@router.post("/edits/undo")
def undo(held: Held, asked: shapes.UndoEdit) -> shapes.Edits:
    """Take an edit back, the last one that stands if none is named."""
    return shapes.Edits(edits=[edit_shape(edits.undo(held.project.concepts.database, asked.number))])
