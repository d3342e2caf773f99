"""The words of a text that carry a concept, as the pages mark them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from unweave.encode.words import Word
from unweave.errors import MissingExtra
from unweave.server import shapes
from unweave.texts.terms import Terms


def marked(
    key: str, latent: int, words: Iterable[tuple[Word, float]], *, language: str = "en"
) -> shapes.MarkedText:  # fmt: skip
    """The words of one text by what each adds to a concept's activation, the largest first.

    Function words, signs and what is of no word of the text are not listed; they are counted among `others`.

    Args:
        key: of the text: a passage's id, or an example's number.
        words: of the text, in any order, with what each adds, as `explaining.words.of_activation` gives them.
        language: of the text, as the project's settings say; it decides which words are function words.
    """
    known = list(words)
    listed = [(word, value) for word, value in known if _is_said(word, language)]
    values = [value for _, value in listed]
    largest = max(values, default=0.0)
    scale = largest if largest > 0 else max(map(abs, values), default=0.0)
    shown = [
        shapes.Word(
            start=word.start, end=word.start + len(word.text), share=value / scale if scale else 0.0, value=value
        )
        for word, value in sorted(listed, key=lambda one: -one[1])
        if word.start is not None
    ]
    others = sum(value for _, value in known) - sum(values)
    return shapes.MarkedText(key=key, latent=latent, words=shown, others=others)


def _is_said(word: Word, language: str) -> bool:
    says_something = word.start is not None and any(map(str.isalnum, word.text))
    return says_something and word.text.casefold() not in _function_words(language)


@cache
def _function_words(language: str) -> frozenset[str]:
    """The function words of a language; none where there is no list of them."""
    if language.lower().replace("_", "-").split("-")[0] == "en":
        try:
            from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # ten times as many as BM25's
        except ImportError:
            pass
        else:
            return frozenset(ENGLISH_STOP_WORDS)
    try:
        return frozenset(Terms.of(language).stop_words)
    except MissingExtra:
        return frozenset()
