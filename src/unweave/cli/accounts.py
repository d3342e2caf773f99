"""What the command line prints of accounts: from both sides, by words, the difference of two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from unweave.base.plain import number_of, plain
from unweave.cli import show

if TYPE_CHECKING:
    from unweave.explaining.counterfactual import Counterfactual, Cut
    from unweave.explaining.difference import Difference, Differing
    from unweave.explaining.two_sided import TwoSided
    from unweave.explaining.words import ByWords, SumByWords

_PAIRS_SHOWN = 6
_ONLY = {"first": ", which the second lacks", "second": ", which the first lacks", None: ""}


def two_sided(found: TwoSided, top: int = 5) -> Iterator[str]:
    """A score with both texts in concepts: the sum of each kind of part, and below it the largest of them."""
    yield f"dense score {found.score:.4f} ="
    sums = found.sums
    yield f"  {sums['shared']:+9.4f}  {number_of(len(found.shared), 'concept')} that both share"
    for one in found.shared[:top]:
        yield f"    {one.value:+9.4f}  {show.concept(one)}"
    yield f"  {sums['crossing']:+9.4f}  {len(found.crossing):,} pairs of different concepts, query \u00d7 passage"
    for pair in found.crossing[:top]:
        query, passage = (
            plain(pair.query_name or f"#{pair.query}", 40),
            plain(pair.passage_name or f"#{pair.passage}", 40),
        )
        yield f"    {pair.value:+9.4f}  {query} \u00d7 {passage}"
    yield f"  {found.bias:+9.4f}  bias"
    for kind, value in sums.items():
        if kind.startswith("residual"):
            yield f"  {value:+9.4f}  {kind}"


def by_words(found: ByWords, top: int = 5) -> Iterator[str]:
    """A score as the sum of its parts, each with its words; then the score by words, and by pairs of words."""
    yield from show.explain(found.explanation, top, found)
    yield f"by words of the passage: {show.of_words(found.of_score(), 0.0)}"
    pairs = (
        f"{plain(one.query.text, 30)} \u00d7 {plain(one.passage.text, 30)} {one.value:+.4f}"
        for one in found.strongest_pairs(_PAIRS_SHOWN)
    )
    yield f"by pairs, query \u00d7 passage: {', '.join(pairs)}"


def sum_by_words(found: SumByWords, top: int = 5) -> Iterator[str]:
    """A score by a sum of systems, and below it each part that is split into words."""
    yield from show.explain(found.explanation, top)
    yield from words_of_hit(found, top)


def words_of_hit(found: ByWords | SumByWords, top: int = 5) -> Iterator[str]:
    """The dense score of a hit, or dense's part of it, by words."""
    from unweave.explaining.words import ByWords

    if isinstance(found, ByWords):
        yield from by_words(found, top)
        return
    for part, words in zip(found.explanation.parts, found.parts, strict=True):
        if words is not None:
            yield f"{plain(part.system, 60)} by words:"
            yield from (f"  {line}" for line in by_words(words, top))


def difference(found: Difference, top: int = 10, words: Sequence[ByWords] = ()) -> Iterator[str]:
    """Two scores, what makes the difference of them, and the smallest change of one concept that makes them equal.

    Args:
        words: both accounts by words, or nothing; below each concept stand the words of each passage that make it up.
    """
    label, kind = show.label(found.first.of)
    yield f"{label} of the first {found.first.score:.4f}, of the second {found.second.score:.4f}"
    yield f"first - second {found.score:+.4f} ="
    for part in found.parts:
        yield f"  {part.first - part.second:+9.4f}  {plain(part.system, 60)}: {part.first:.4f} - {part.second:.4f}"
        if part.account is not None:
            yield from (f"    {line}" for line in difference(part.account, top))
    if found.parts:
        return
    for one in found.concepts[:top]:
        yield f"  {one.difference:+9.4f}  {_differing(one, kind)}"
        for which, of in zip(("first", "second"), words, strict=False):
            yield from _words_of(one, which, of)
    if others := found.concepts[top:]:
        yield f"  {sum(one.difference for one in others):+9.4f}  {number_of(len(others), f'more {kind}')}"
    if found.bias:
        yield f"  {found.bias:+9.4f}  bias"
    yield f"  {found.residual:+9.4f}  residual: what the concepts leave over of each"
    if found.swap is not None and kind == "concept":
        one = found.concepts[0]
        weight = f"{show.named(one.latent, one.name, one.trust, one.returns)} times {found.swap.factor:.2f}"
        yield f"the smallest change that makes them equal: in the query, {weight}"


def _differing(one: Differing, kind: str) -> str:
    said = f'"{plain(one.name or "", 60)}"' if kind == "term" else show.named(
        one.latent, one.name, one.trust, one.returns
    )  # fmt: skip
    return f"{said}: {one.first:+.4f} - {one.second:+.4f}".replace("- -", "+ ").replace("- +", "- ") + _ONLY[one.only]


def _words_of(one: Differing, which: str, words: ByWords) -> Iterator[str]:
    """The words of a passage that make up what a concept adds to its score."""
    numbers = [n for n, c in enumerate(words.explanation.contributions) if c.latent == one.latent]
    for number in numbers:
        said = show.of_words(words.of(number), float(words.of_no_word[number]))
        yield f"             {which}: {said}"


def counterfactual(found: Counterfactual) -> Iterator[str]:
    """What was changed, where the passage stood and stands, and the first hits after the change."""
    for one in found.moved:
        named = show.named(one.latent, one.name, one.trust, one.returns)
        if found.system == "dense":
            yield f"in the {found.of}: {named} from {one.before:.4f} to {one.after:.4f}"
        else:
            yield f"in the {found.of}: {named} times {one.after:g}"
    if found.passage is not None:
        at = found.passage
        yield (
            f"{plain(found.system, 60)} score of {plain(at.passage_id, 60)}: {_score(at.before)} -> "
            f"{_score(at.after)}, rank {_rank(at.rank_before)} -> {_rank(at.rank_after)}"
        )
    yield from show.table(
        [
            {"passage": plain(hit.title, 60) or plain(hit.passage_id, 60), "rank": _rank(hit.rank_after),
             "before": _rank(hit.rank_before), "score": _score(hit.after), "score before": _score(hit.before)}
            for hit in found.hits
        ]
    )  # fmt: skip


def cut(found: Cut) -> Iterator[str]:
    """The sentence that was left out, and what became of the score and of the concept."""
    yield f'without: "{plain(found.sentence.text, 200)}"'
    yield f"dense score {found.before:.4f} -> {found.after:.4f}, {found.after - found.before:+.4f}"
    yield f"  by the account of what stays, {found.foretold - found.before:+.4f} was to be expected"
    name = "(unnamed)" if found.name is None else plain(found.name, 60)
    yield f"  {name}  #{found.latent} adds {found.concept_before:+.4f} -> {found.concept_after:+.4f}"


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:.4f}"


def _rank(rank: int | None) -> str:
    return "not found" if rank is None else f"{rank:,}"
