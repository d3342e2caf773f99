"""A text as the terms that words are counted by: lower case, without stop words, each word's stem."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from unweave.errors import MissingExtra

# fmt: off
_SNOWBALL = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish",
    "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "st": "sesotho",
    "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}
# fmt: on
"""Snowball's stemmers by ISO 639 code; which of them are there is PyStemmer's to say."""
_WORD = re.compile(r"\b\w\w+\b")


@dataclass(frozen=True)
class Terms:
    """How texts of one language become terms. Saved with what was made of them, so that queries are read alike."""

    stemmer: str | None
    """Snowball's name of the stemmer, e.g. english; None: words stay as they are."""
    stop_words: tuple[str, ...]
    """Words that are left out."""

    @classmethod
    def of(cls, language: str) -> Self:
        """The stemmer and stop words of a language, as far as PyStemmer and bm25s have them.

        Args:
            language: an ISO 639 code, e.g. `en` or `pt-BR`; one without a stemmer or stop words is read without.

        Raises:
            MissingExtra: one of the two is not installed.
        """
        try:
            import bm25s
            import Stemmer
        except ImportError as error:
            raise MissingExtra("BM25", "evaluate") from error
        code = language.lower().replace("_", "-").split("-")[0]
        stemmer = _SNOWBALL.get(code)
        try:
            stop_words = bm25s.tokenization.Tokenizer(stopwords="no" if code == "nb" else code).stopwords
        except ValueError:  # bm25s has none
            stop_words = ()
        return cls(stemmer if stemmer in Stemmer.algorithms() else None, tuple(stop_words))

    def words(self, text: str) -> list[str]:
        """The words of a text, stop words included: two or more letters or digits, in lower case."""
        return _WORD.findall(text.lower())

    def reader(self) -> Callable[[str], str | None]:
        """A function that gives a word's term, or None of a stop word; each thread needs its own.

        Raises:
            MissingExtra: PyStemmer is not installed.
        """
        stem = _stemmer(self.stemmer) if self.stemmer else str
        stop_words = frozenset(self.stop_words)
        return lambda word: None if word in stop_words else stem(word)


def _stemmer(name: str) -> Callable[[str], str]:
    try:
        import Stemmer
    except ImportError as error:
        raise MissingExtra("BM25", "evaluate") from error
    stem: Callable[[str], str] = Stemmer.Stemmer(name).stemWord
    return stem
