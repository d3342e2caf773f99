"""All that is known of one concept: names, examples, relatives, how strongly it is active, and what people changed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, cast

import numpy as np

from unweave.base.records import Passage
from unweave.concepts import edits
from unweave.concepts.concept import GIVEN_BY, Concept, Naming, holds_from, trust_of
from unweave.concepts.edit import Edit, in_words
from unweave.concepts.relations.stored import FAMILY, Family, stored_families
from unweave.errors import CorruptArtifact
from unweave.project import Project
from unweave.server import shapes
from unweave.server.table import Table, table_of
from unweave.stages.active import concept_of

LONGEST_TEXT = 1_200
"""Characters of an example, or of a passage in a list, that are sent."""
_BINS = 40
"""Of a histogram."""
_ROUND = (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8, 10)
"""Ends of axes, times a power of ten."""


def card_of(project: Project, latent: int) -> shapes.ConceptCard:
    """The card of one concept.

    Raises:
        BadData: there is no such concept.
    """
    concept, table = concept_of(project, latent), table_of(project)
    row = table.rows.get(latent) or table_of(project).rows[latent]
    agreement = None if project.sae.twin is None else float(project.sae.twin[latent])
    return shapes.ConceptCard(
        row=shapes.ConceptRow(**row._asdict()),
        names=[_named(concept, naming) for naming in concept.namings],
        examples=list(_examples(project, concept)),
        related=[table.related(*one) for one in concept.related if one.relation != FAMILY],
        family=_family_of(project, table, latent),
        histogram=_histogram(project, concept, row.holds_from),
        edits=[edit_shape(edit) for edit in reversed(edits.history(project.concepts.database, latent))],
        agreement=None if agreement is None or math.isnan(agreement) else agreement,
    )


def family_shape(table: Table, family: Family) -> shapes.FamilyShape:
    """A family with the names of its concepts.

    Raises:
        CorruptArtifact: its head is no concept.
    """
    if family.head not in table.family_trust:
        raise CorruptArtifact(
            f"a family is headed by {family.head}, which is no concept; work out the relations again: unweave name"
        )
    return shapes.FamilyShape(
        head=table.related(FAMILY, family.head, 1.0),
        members=[table.related(FAMILY, *one) for one in zip(family.members, family.weights, strict=True)],
        trust=table.family_trust[family.head],
    )


def edit_shape(edit: Edit) -> shapes.EditShape:
    """An edit in words."""
    return shapes.EditShape(
        number=edit.number, made=edit.made, action=edit.action, latent=edit.latent, before=in_words(edit, edit.before),
        after=in_words(edit, edit.after), undone=edit.undone,
    )  # fmt: skip


def _named(concept: Concept, naming: Naming) -> shapes.Named:
    scores = concept.scores.get(naming.namer, ())
    return shapes.Named(
        namer=naming.namer, name=naming.name, description=naming.description, trust=trust_of(naming.namer, scores),
        holds_from=None if naming.name is None else holds_from(naming.namer, scores),
        kept=naming.kept or GIVEN_BY in naming.provenance,
        scores=[shapes.Judged(**score._asdict()) for score in scores],
        in_use=naming is concept.namings[0] and naming.name is not None and concept.merged_into is None,
    )  # fmt: skip


def _examples(project: Project, concept: Concept) -> Iterator[shapes.ExampleText]:
    corpus, sentences = project.corpus, project.sentences
    for number, example in enumerate(concept.examples):
        source = corpus if example.source == "passages" else sentences
        if source is None or not 0 <= example.position < len(source):
            raise CorruptArtifact(
                f"concept {concept.latent} has an example that is none of the {example.source}; name the concepts "
                f"again: unweave name {project.path}"
            )
        text = source[example.position]
        passage = text if source is corpus else _passage_of(text, corpus)
        yield shapes.ExampleText(
            number=number, source=cast(Literal["passages", "sentences"], example.source),
            passage_id=passage.passage_id, title=passage.title, activation=example.activation, band=example.band,
            text=text.content[:LONGEST_TEXT],
        )  # fmt: skip


def _passage_of(sentence: Passage, corpus: Sequence[Passage]) -> Passage:
    """The passage that a sentence is of."""
    return corpus[int(sentence.metadata["passage"])]


def _family_of(project: Project, table: Table, latent: int) -> shapes.FamilyShape | None:
    for family in stored_families(project.concepts.database):
        if latent == family.head or latent in family.members:
            return family_shape(table, family)
    return None


def _histogram(project: Project, concept: Concept, holds: float | None) -> shapes.Histogram:
    activations = project.active_in(concept.latent).activations.astype(np.float64)
    top = rounded(max(concept.strongest, holds or 0.0))
    counts, edges = np.histogram(activations, bins=_BINS, range=(0.0, top))
    above = None if holds is None else int((activations >= holds).sum())
    return shapes.Histogram(edges=edges.tolist(), counts=counts.tolist(), above=above)


def rounded(value: float) -> float:
    """The end of an axis that begins at 0 and has room for a value: the next of 1, 1.2, 1.5, 2, 3, 4, 5, 6 and 8 times
    a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((power * step for step in _ROUND if power * step >= value), 10 * power)
