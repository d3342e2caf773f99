"""What the tools of the MCP server say of concepts and audits; names and texts are values of fields, one line each."""

from __future__ import annotations

from dataclasses import dataclass

from unweave.audits.claims import Claim
from unweave.base.plain import plain
from unweave.concepts.concept import LONGEST_NAME, Concept
from unweave.texts.corpus import Corpus

LONGEST_EXAMPLE, LONGEST_SENTENCE = 300, 1_200
"""Characters."""


@dataclass(frozen=True)
class Example:
    """A text that shows what a concept is about; in the bands near-miss and random, what it is not about."""

    band: str
    activation: float
    text: str


@dataclass(frozen=True)
class Card:
    """What is known of one concept."""

    concept: int
    name: str | None
    trust: str | None
    """How far the name is to be trusted: confirmed, holds, vague, none or unscored."""
    returns: bool | None
    """Whether another training found it again; None where that is not known."""
    n_passages: int
    examples: list[Example]


@dataclass(frozen=True)
class Claimed:
    """A finding of an audit that a counterfactual showed again."""

    kind: str
    sentence: str
    effect: float
    low: float
    high: float
    unit: str
    p_corrected: float
    examples: list[str]
    """Ids of passages or queries."""


def card(concept: Concept, sources: dict[str, Corpus | None]) -> Card:
    """One concept with its examples, read from the corpora that they are of."""
    texts = [(one, sources.get(one.source)) for one in concept.examples]
    examples = [
        Example(one.band, one.activation, plain(corpus[one.position].content, LONGEST_EXAMPLE))
        for one, corpus in texts
        if corpus is not None
    ]
    name, trust = None if concept.name is None else plain(concept.name, LONGEST_NAME), str(concept.trust)
    shown = trust if name is not None else None
    return Card(concept.latent, name, shown, concept.returns, concept.document_frequency, examples)


def claimed(claim: Claim) -> Claimed:
    """One claim of an audit."""
    sentence, examples = plain(claim.sentence, LONGEST_SENTENCE), [plain(one, LONGEST_NAME) for one in claim.examples]
    return Claimed(
        claim.kind, sentence, claim.effect, claim.low, claim.high, plain(claim.unit, LONGEST_NAME), claim.corrected,
        examples,
    )  # fmt: skip
