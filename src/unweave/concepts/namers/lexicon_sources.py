"""Where a lexicon's phrases come from: the corpus itself, a list in a file, or WordNet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from unweave.base.files import file_digest
from unweave.base.plain import plain
from unweave.base.records import Passage
from unweave.concepts.namers.keyphrases import Phrases
from unweave.config import KeyphraseConfig
from unweave.errors import BadData

_WORDNET = ("data.noun", "data.verb", "data.adj", "data.adv")
LONGEST_PHRASE = 60
"""Characters."""
MOST_PHRASES = 200_000
"""Of a list; WordNet 3.0 has 117,659 sets of synonyms."""


def corpus_phrases(texts: Sequence[str], least_texts: int) -> Iterator[Passage]:
    """Phrases of one to three words that stand in so many of the texts.

    Raises:
        BadData: there is none.
    """
    found = Phrases(texts, KeyphraseConfig(least_texts=least_texts)).frequent(least_texts)
    if not found:
        raise BadData(
            f"no phrase stands in {least_texts} of the corpus's texts; lower --frequent-texts, or give a --lexicon"
        )
    return (_entry(number, phrase) for number, phrase in enumerate(found))


def file_phrases(source: Path) -> Iterator[Passage]:
    """Phrases of a file, one a line, with a gloss after a tab if there is one; or WordNet's, from its folder `dict`.

    Raises:
        BadData: there is no such file, or it holds no phrase, or it is not as expected.
    """
    lines = _wordnet(source) if source.is_dir() else _listed(source)
    number = -1
    for number, (phrase, gloss) in enumerate(lines):
        if number == MOST_PHRASES:
            raise BadData(f"{source} has over {MOST_PHRASES:,} phrases; a lexicon is kept in memory, give fewer")
        yield _entry(number, phrase, gloss)
    if number < 0:
        raise BadData(f"{source} holds no phrase; expected one a line")


def digests(source: Path) -> dict[str, str]:
    """What decides the phrases of a file or a folder.

    Raises:
        BadData: there is none.
    """
    files = [source / name for name in _WORDNET] if source.is_dir() else [source]
    for file in files:
        if not file.is_file():
            raise BadData(f"{file} is not there; expected a text file with a phrase a line, or WordNet's folder dict")
    return {file.name: file_digest(file) for file in files}


def _listed(source: Path) -> Iterator[tuple[str, str]]:
    seen = set()
    try:
        with source.open(encoding="utf-8-sig") as lines:
            for line in lines:
                phrase, _, gloss = line.partition("\t")
                phrase = plain(phrase, LONGEST_PHRASE)
                if phrase and phrase not in seen:
                    seen.add(phrase)
                    yield phrase, plain(gloss)
    except UnicodeDecodeError as error:
        raise BadData(f"{source}: not UTF-8 text ({error})") from error


def _wordnet(folder: Path) -> Iterator[tuple[str, str]]:
    """The first lemma and the gloss of each set of synonyms; see wndb(5WN) for the lines of these files."""
    for name in _WORDNET:
        with (folder / name).open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if line.startswith("  "):  # the licence
                    continue
                fields, bar, gloss = line.partition("|")
                words = fields.split()
                if not bar or len(words) < 5:
                    raise BadData(f"{folder / name}, line {number}: not a line of WordNet's data: {plain(line, 60)}")
                lemma = words[4].split("(")[0].replace("_", " ")
                yield plain(lemma, LONGEST_PHRASE), plain(gloss.split('; "')[0])


def _entry(number: int, phrase: str, gloss: str = "") -> Passage:
    return Passage(str(number), phrase, gloss)
