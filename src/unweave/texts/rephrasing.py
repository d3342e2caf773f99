"""A text said otherwise: pairs that a person wrote, and changes that keep a meaning without any model.

Without a model little can be changed surely: the order of sentences, capitals and punctuation, and words that WordNet
knows in one sense alone, for others of the same set of synonyms. None of them is a paraphrase as a person makes it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unweave.base.plain import plain
from unweave.errors import BadData
from unweave.texts.readers import read_jsonl, read_lines, text_of
from unweave.texts.sentences import split

WORDNET = ("data.noun", "data.verb", "data.adj", "data.adv")
"""The files of WordNet's folder `dict` that have sets of synonyms."""
_WORD = re.compile(r"[a-z]+")
_FEWEST_LETTERS = 3
_QUERY_FIELDS = ("query", "text")


class Paraphrase(NamedTuple):
    """A query in two wordings of the same meaning."""

    query: str
    paraphrase: str


def read_paraphrases(path: Path) -> list[Paraphrase]:
    """The pairs in a file, one JSON object a line, with a `query` and its `paraphrase`.

    Raises:
        BadData: there are none, or one lacks a text.
    """
    pairs = [_pair(row, f"{path.name}, {where}") for where, row in read_jsonl(path)]
    if not pairs:
        raise BadData(f"{path.name} has no pairs; expected one JSON object a line, with a query and its paraphrase")
    return pairs


def _pair(row: Mapping[str, object], where: str) -> Paraphrase:
    query = next((text_of(row[name], where) for name in _QUERY_FIELDS if name in row), "")
    paraphrase = text_of(row.get("paraphrase"), where)
    if not query.strip() or not paraphrase.strip():
        missing = "paraphrase" if query.strip() else "query"
        raise BadData(f"{where}: there is no {missing}; expected a query and its paraphrase")
    return Paraphrase(query, paraphrase)


# --- changes --------------------------------------------------------------------------------------


def reordered(text: str, language: str, random: np.random.Generator) -> str:
    """The text with its sentences in another order; as it is if it has one sentence only."""
    starts, end = [], 0
    for sentence in split(text, language):
        starts.append(text.find(sentence, end))
        end = starts[-1] + len(sentence)
    if len(starts) < 2:
        return text
    # What is too short to be called a sentence stays with the one before it.
    pieces = [text[start:stop].strip() for start, stop in zip([0, *starts[1:]], [*starts[1:], len(text)], strict=True)]
    order = random.permutation(len(pieces)).tolist()
    if order == sorted(order):
        order = order[1:] + order[:1]
    return " ".join(pieces[i] for i in order)


def bare(text: str) -> str:
    """The text as it may be typed into a search box: in small letters, without punctuation between words."""
    words = (word.strip("".join(c for c in word if not c.isalnum())) for word in text.lower().split())
    return " ".join(word for word in words if word)


def with_synonyms(text: str, synonyms: Mapping[str, str]) -> str:
    """The text with each word that has a synonym replaced by it; capitals and parts of longer words stay."""
    return re.sub(r"(?<![\w'-])[a-z]+(?![\w'-])", lambda found: synonyms.get(found[0], found[0]), text)


# --- synonyms -------------------------------------------------------------------------------------


def synonyms_of(sets: Iterable[Sequence[str]]) -> dict[str, str]:
    """For each word in one set of synonyms alone, the first other word of it that is in no other set either.

    Words are of small letters alone: names, phrases and abbreviations are left as they are.
    """
    known = [list(dict.fromkeys(words)) for words in sets]
    senses = Counter(word for words in known for word in words)
    found: dict[str, str] = {}
    for words in known:
        alone = [word for word in words if senses[word] == 1 and _WORD.fullmatch(word) and len(word) >= _FEWEST_LETTERS]
        if len(alone) > 1:
            found |= dict.fromkeys(alone[1:], alone[0]) | {alone[0]: alone[1]}
    return found


def wordnet_sets(folder: Path) -> Iterator[list[str]]:
    """The sets of synonyms in WordNet's folder `dict`; see wndb(5WN) for the lines of its files.

    Raises:
        BadData: it is no such folder, or a line is none of WordNet's.
    """
    for name in WORDNET:
        if not (folder / name).is_file():
            raise BadData(f"{folder / name} is not there; expected WordNet's folder dict")
        for number, line in enumerate(read_lines(folder / name, errors="replace"), 1):
            if line.startswith("  "):  # the licence
                continue
            fields = line.partition("|")[0].split()
            try:
                words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
            except (IndexError, ValueError):
                raise BadData(
                    f"{folder / name}, line {number}: not a line of WordNet's data: {plain(line, 60)}"
                ) from None
            yield [word.split("(")[0] for word in words]
