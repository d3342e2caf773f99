"""Known biases of retrievers: length, place of the answer, repetition, the query's very words.

After ColDeR (Fayyaz et al. 2025, "Collapse of Dense Retrievers", arXiv 2503.05037), on the corpus that is audited in
place of a corpus made for it: the answer is the sentence nearest to the query, and what is held constant is said at
each test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from unweave.audits.audited import FIRST, Audited
from unweave.audits.claims import RETRIEVER, Confirmation, Counterfactual, Subject, Tested
from unweave.audits.experiments import FEWEST, RANK, Pair, changes, experiment, one_a_query, returns, t_test, typical
from unweave.texts.sentences import split

PAIRS = 80
"""Pairs of a query and a passage that are changed for one test, at most."""
LONGEST = 160
"""Words of a passage whose sentences are moved, at most: encoders cut longer texts, and what is moved would be lost."""
SMALLEST_LENGTH = 0.25
"""A quarter of the corpus's standard deviation of log length; Cohen (1988) calls .2 a small effect, .5 a medium one."""
_WORD = re.compile(r"\w+")
_SUBJECT = Subject("retriever", "the retriever")


def tests(of: Audited) -> Iterator[Tested]:
    """The tests of the retriever's own biases."""
    found = [length(of)]
    answers = [] if of.encoder is None else list(_answers(of))
    found += [position(of, answers), repetition(of, answers), literal(of)]
    yield from (one for one in found if one is not None)


def length(of: Audited) -> Tested | None:
    """Whether hits are longer or shorter than what should have been found.

    Effect: log words of the first ten hits less those of the relevant passages, means a query, in standard deviations
    of the corpus; where nobody judged, less those of the corpus. Counterfactual: the shorter hits with their text
    twice, which says nothing new and is twice as long.
    """
    sizes = np.log(np.maximum(of.words, 1))
    deviation = float(sizes.std())
    queries = [query for query in of.judged or range(len(of.queries)) if len(of.found[query])]
    if deviation < 1e-6 or len(queries) < FEWEST:
        return None
    wanted = [sizes[list(of.relevant[query])].mean() if of.judged else sizes.mean() for query in queries]
    hits = np.array([sizes[of.found[query][:FIRST]].mean() for query in queries])
    test = t_test((hits - np.array(wanted)) / deviation)

    def confirm() -> Confirmation:
        short = np.median(of.words)
        chosen = [(q, int(d)) for q in queries for d in of.found[q][: 2 * FIRST] if of.words[d] <= short]
        pairs = [
            Pair(q, d, f"{of.passages[d].content} {of.passages[d].content}")
            for q, d in one_a_query(of, chosen, PAIRS, "length")
        ]
        word = "longer" if test.mean > 0 else "shorter"
        sentence = (
            f"The retriever prefers {word} passages: its first ten hits are {abs(test.mean):.2f} standard deviations "
            f"{word} than {'the passages judged relevant' if of.judged else 'the corpus'}."
        )
        found = changes(of, pairs) if len(pairs) >= FEWEST and of.encoder else None
        again = t_test(found.effects if found else np.zeros(2))
        ranks = (typical(found.before), typical(found.after)) if found else (0.0, 0.0)
        counter = Counterfactual(
            "the text of short hits given twice, which says nothing new",
            RANK,
            *ranks,
            len(pairs),
            returns(test.mean, again),
        )
        odd = np.argsort(-np.sign(test.mean) * (hits - np.array(wanted)), kind="stable")[:3]
        return Confirmation(sentence, test.low, test.high, tuple(of.queries[queries[i]].query_id for i in odd), counter)

    unit = "standard deviations of log words"
    return Tested(
        "length", RETRIEVER, _SUBJECT, test.mean, unit, SMALLEST_LENGTH, test.p, len(queries), confirm
    )  # fmt: skip


class _Answer(NamedTuple):
    """A passage in sentences, one of which answers the query."""

    query: int
    passage: int
    title: str
    answer: str
    others: list[str]


def _answers(of: Audited) -> Iterator[_Answer]:
    """Relevant passages, or first hits where nobody judged, of four sentences and more, with the sentence nearest to
    the query."""
    chosen = [
        (query, int(at))
        for query in of.judged or range(len(of.queries))
        for at in (list(of.relevant[query]) if of.judged else of.found[query][:3].tolist())
        if of.words[at] <= LONGEST
    ]
    parts: list[tuple[int, int, list[str]]] = []
    for query, at in one_a_query(of, chosen, len(chosen), "sentences"):
        sentences = split(of.passages[at].text, of.language)
        if len(set(sentences)) >= 4 and len(parts) < PAIRS:
            parts.append((query, at, list(dict.fromkeys(sentences))))
    texts = [sentence for _, _, sentences in parts for sentence in sentences]
    rows = of.embedded(texts)
    start = 0
    for query, at, sentences in parts:
        nearest = int(np.argmax(rows[start : start + len(sentences)] @ of.asked[query]))
        start += len(sentences)
        others = sentences[:nearest] + sentences[nearest + 1 :]
        yield _Answer(query, at, of.passages[at].title, sentences[nearest], others)


def _text(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def position(of: Audited, answers: list[_Answer]) -> Tested | None:
    """Whether it matters where in a passage the answer stands: at the end in place of the beginning."""
    pairs = [
        Pair(one.query, one.passage, _text(one.title, *one.others, one.answer),
             _text(one.title, one.answer, *one.others))
        for one in answers
    ]  # fmt: skip

    def said(effect: float, n: int) -> str:
        where = ("end", "beginning") if effect > 0 else ("beginning", "end")
        return (
            f"The retriever prefers answers at the {where[0]} of a passage: the same {n} passages score "
            f"{abs(effect):.2f} spreads less with the answer at the {where[1]}."
        )

    return experiment(
        of, "position", _SUBJECT, pairs, "the sentence nearest to the query moved from beginning to end", said
    )


def repetition(of: Audited, answers: list[_Answer]) -> Tested | None:
    """Whether saying the answer twice raises a passage more than saying something else of it twice."""
    random = of.random("repetition")
    pairs = [
        Pair(one.query, one.passage, _text(one.title, one.answer, *one.others, one.answer),
             _text(one.title, one.answer, *one.others, one.others[int(random.integers(len(one.others)))]))
        for one in answers
    ]  # fmt: skip

    def said(effect: float, n: int) -> str:
        how = "rewards" if effect > 0 else "punishes"
        return (
            f"The retriever {how} repetition: of {n} passages, a copy that says its answer twice scores "
            f"{abs(effect):.2f} spreads {'more' if effect > 0 else 'less'} than one that says another sentence twice."
        )

    return experiment(
        of, "repetition", _SUBJECT, pairs, "the sentence nearest to the query said twice, in place of another", said
    )


def literal(of: Audited) -> Tested | None:
    """Whether a passage falls when the query's words stand in it in another form, singular for plural or the reverse.

    Held constant: as many other words get another form in the text that it is compared with.
    """
    chosen = [
        (query, int(at))
        for query in range(len(of.queries))
        for at in (list(of.relevant[query]) or of.found[query][:3].tolist())
        if of.words[at] <= LONGEST
    ]
    random, pairs = of.random("literal"), list[Pair]()
    for query, at in one_a_query(of, chosen, len(chosen), "literal"):
        asked = {word.casefold() for word in _WORD.findall(of.queries[query].text) if _inflects(word)}
        text = of.passages[at].content
        words = {word.casefold() for word in _WORD.findall(text) if _inflects(word)}
        shared, others = sorted(asked & words), sorted(words - asked)
        if shared and len(others) >= len(shared) and len(pairs) < PAIRS:
            drawn = [others[i] for i in random.choice(len(others), len(shared), replace=False).tolist()]
            pairs.append(Pair(query, at, inflected(text, set(shared)), inflected(text, set(drawn))))

    def said(effect: float, n: int) -> str:
        how = "prefers" if effect < 0 else "avoids"
        return (
            f"The retriever {how} the query's very words: {n} passages score {abs(effect):.2f} spreads "
            f"{'less' if effect < 0 else 'more'} when these stand in another form than when other words do."
        )

    return experiment(
        of, "literal match", _SUBJECT, pairs, "the query's words put from singular to plural or back", said
    )


def _inflects(word: str) -> bool:
    return len(word) > 4 and word.isalpha() and word.isascii()


def inflected(text: str, words: set[str]) -> str:
    """A text with some words, in lower case, in their other number: an s is taken away or added."""

    def other(found: re.Match[str]) -> str:
        word = found.group()
        if word.casefold() not in words:
            return word
        return (
            word[:-1] if word.endswith("s") and not word.endswith("ss") else f"{word}{'es' * word.endswith('s') or 's'}"
        )

    return _WORD.sub(other, text)
