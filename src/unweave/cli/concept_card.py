"""How one concept is shown: its names and how they were judged, its examples, what it is related to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from unweave.base.plain import plain
from unweave.base.records import Trust
from unweave.concepts.concept import BANDS, DETECTION, ITSELF, OVER_NULLS, holds_from, trust_of

if TYPE_CHECKING:
    from unweave.concepts.concept import Concept, Example, Naming
    from unweave.concepts.store import Concepts
    from unweave.encode.words import Word
    from unweave.texts.corpus import Corpus

    ByWordsOf = Sequence[tuple[Word, float]]

_TEXT_SHOWN = 100
_TINTED = 0.42
"""Of the strongest word's part, from which on a word is marked."""


def content(passages: Corpus, sentences: Corpus | None) -> Callable[[Example], str]:
    """The texts of examples."""
    sources = {"passages": passages, "sentences": sentences}

    def of_example(example: Example) -> str:
        source = sources[example.source]
        assert source is not None
        return source[example.position].content

    return of_example


class Text(NamedTuple):
    """The text of an example, with the words that activate the concept if they are asked for."""

    text: str
    words: ByWordsOf | None


def texts(concept: Concept, of_example: Callable[[Example], str], words: Sequence[ByWordsOf]) -> Mapping[Example, Text]:
    """The texts of a concept's examples.

    Args:
        words: of the examples, in their order, or none.
    """
    by_example = dict(zip(concept.examples, words, strict=True)) if words else {}
    return {example: Text(of_example(example), by_example.get(example)) for example in concept.examples}


def of(names: Concepts, concept: Concept) -> dict[str, Any]:
    """What a list says of a concept, as plain JSON values."""
    trust = names.trust(concept.latent)
    return {
        "latent": concept.latent,
        "name": names.get(concept.latent),
        "trust": None if trust is None else trust.value,
        "holds_from": names.holds_from(concept.latent),
        "returns": concept.returns,
        "document_frequency": concept.document_frequency,
        "flag": concept.flag,
        "merged_into": concept.merged_into,
    }


def everything(names: Concepts, concept: Concept, texts: Mapping[Example, Text]) -> dict[str, Any]:
    """All that is known of a concept, as plain JSON values."""
    return {
        **of(names, concept),
        "strongest": concept.strongest,
        "namings": [{**vars(naming), "trust": _trust(concept, naming).value} for naming in concept.namings],
        "scores": {namer: [score._asdict() for score in scores] for namer, scores in concept.scores.items()},
        "examples": [{**example._asdict(), **_text(texts[example])} for example in concept.examples],
        "related": [{**one._asdict(), "name": names.get(one.other)} for one in concept.related],
    }


def _trust(concept: Concept, naming: Naming) -> Trust:
    return trust_of(naming.namer, concept.scores.get(naming.namer, ()))


def naming_lines(concept: Concept) -> Iterator[str]:
    """Every namer's name, and how it was judged."""
    for naming in concept.namings:
        mark = "-" if naming.name is None else _trust(concept, naming).mark
        said = f"{naming.name or 'found no name'}{naming.description and ': '}{naming.description}"
        kept = "  (kept from an earlier training)" if naming.kept else ""
        yield f"{plain(naming.namer, 20):>14}  {mark} {plain(said, 300)}{kept}{_judged(concept, naming.namer)}"
    if concept.scores.get(ITSELF):
        yield f"{'no name':>14}{_judged(concept, ITSELF)}"


def _judged(concept: Concept, namer: str) -> str:
    """What decides how far one namer's name is trusted, or all that was found of the latent itself; --json has all."""
    said = [
        f"{plain(one.judge, 30)} {one.value:.2f} [{one.low:.2f}, {one.high:.2f}] of {one.n}"
        for one in concept.scores.get(namer, ())
        if namer == ITSELF or one.judge == DETECTION
    ]
    if (over := concept.score(OVER_NULLS, namer)) is not None:
        said.append(f"surely better than {over.low:.0%} of names of random directions")
    if (at_least := holds_from(namer, concept.scores.get(namer, ()))) is not None:
        said.append(f"holds from {at_least:.3f}")
    return "".join(f"  ({one})" for one in said)


def _text(of_example: Text) -> dict[str, Any]:
    if of_example.words is None:
        return {"text": of_example.text}
    words = [{**word._asdict(), "activation": share} for word, share in of_example.words]
    return {"text": of_example.text, "words": words}


def example_lines(concept: Concept, texts: Mapping[Example, Text]) -> Iterator[str]:
    """Examples by bands of activation, *marked* where words are known."""
    for band in BANDS:
        examples = concept.band(band)
        if examples:
            yield f"{band}:"
        for example in examples:
            said = _marked(texts[example]) if example.activation else texts[example].text
            yield f"  {example.activation:8.3f}  {plain(said, _TEXT_SHOWN)}"


def related_lines(names: Concepts, concept: Concept) -> Iterator[str]:
    """Related concepts, by how they are related."""
    for relation in dict.fromkeys(one.relation for one in concept.related):
        yield f"{plain(relation, 20)}:"
        for one in concept.related:
            if one.relation == relation:
                yield f"  {one.weight:8.3f}  {shown(names, one.other)}"


def shown(names: Concepts, latent: int) -> str:
    """A concept with its marks and its name."""
    from unweave.cli.show import named

    return named(latent, names.get(latent), names.trust(latent), names.returns(latent))


def remarks(concept: Concept) -> str:
    """What a person or a rule remarked on it."""
    remark = f"  [{plain(concept.flag, 60)}]" if concept.flag else ""
    return remark if concept.merged_into is None else f"{remark}  merged into #{concept.merged_into}"


def _marked(of_example: Text) -> str:
    """The text with stars around the words that activate the concept at least nearly as much as its strongest does."""
    text, words = of_example
    strongest = max((share for word, share in words or () if _is_said(word)), default=0.0)
    marked = {
        word.start for word, share in words or ()
        if word.start is not None and _is_said(word) and share >= _TINTED * strongest
    }  # fmt: skip
    if strongest <= 0:
        return text
    for word, _ in reversed(words or ()):
        if word.start in marked:
            end = word.start + len(word.text)
            text = f"{text[: word.start]}*{text[word.start : end]}*{text[end:]}"
    return text


def _is_said(word: Word) -> bool:
    return word.start is not None and any(map(str.isalnum, word.text))
