"""How much of an explanation stays when a text is said otherwise, and by another seed's dictionary.

`explanations.py` calls this. Each figure stands beside that of another text, and of random directions:

- *Changed texts*: sentences in another order; small letters without punctuation; words of one sense alone in WordNet
  for a synonym: of a query, its hits as they were, and of each hit, the query as it was.
- *Paraphrases by people*: the long questions of MedQuAD's LiveQA test set and the one sentence to which a librarian
  brought each; their hits among the answers that were judged relevant.
- *Another seed*: two dictionaries of 768 latents, learned from 8,000 sentences of Wikipedia that are in neither
  collection; beside them two dictionaries of random directions. Latents are matched one to one. So few texts make no
  dictionary that returns; of the packaged one, of which another seed's twin was made and only the agreements kept, the
  share of accounts that returning concepts carry.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import dictionaries
import numpy as np
import texts
from judged import Collection
from numpy.typing import NDArray

from unweave.base.records import Explanation
from unweave.config import SAEConfig
from unweave.dictionaries.dictionary import from_pretrained
from unweave.encode.encoders import SentenceTransformerEncoder
from unweave.evaluation.stability import Accounts, Figures, Stable, stable
from unweave.explaining.accounting import explain_dense
from unweave.explaining.stability import STRONGEST
from unweave.sae.agreement import RETURNS, agreement
from unweave.sae.model import SAE
from unweave.texts.rephrasing import bare, reordered, synonyms_of, with_synonyms

HITS = 3
FEWEST = 10
"""Queries that a change has to reach to be shown: few queries have several sentences."""
PEOPLE = "medquad-liveqa"
SEEDS, SMALL, TRAINED_ON, MOST, STEPS = (0, 1), 768, "squad-sentences/passages", 8000, 1000
"""The two small dictionaries: their seeds, latents, texts and steps of training."""
RANDOM = "random directions"
Floats = NDArray[np.float32]
Change = Callable[[str], str]


def changed_texts(of: Collection, saes: Mapping[str, SAE], encoder: SentenceTransformerEncoder, n: int) -> Any:
    """By dictionary, what stays of the accounts of first hits under each change of a text."""
    rows = np.linspace(0, len(of.queries) - 1, min(n, len(of.queries))).astype(int)
    queries, hits = of.queries[rows], [_first(of.passages, of.queries[row]) for row in rows.tolist()]
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in saes}
    for said, change in changes().items():
        asked = _new(encoder.encode_queries, [of.query_texts[row] for row in rows.tolist()], change)
        new = _new(encoder.encode_passages, [of.contents[at] for at in np.concatenate(hits).tolist()], change)
        for kind, sae in saes.items():
            measured = (
                stable("query", said, _of_queries(of.passages, queries, hits, asked, sae)),
                stable("passage", said, _of_passages(of.passages, queries, hits, new, sae)),
            )
            found[kind] += [record(one) for one in measured if one is not None]
    return found


def by_people(saes: Mapping[str, SAE], encoder: SentenceTransformerEncoder) -> Any:
    """By dictionary, what stays when a person says a long question in one sentence."""
    pairs, answers = _questions()
    passages = encoder.encode_passages(answers)
    asked, summaries = (encoder.encode_queries(list(column)) for column in zip(*pairs, strict=True))
    hits, new = [_first(passages, query) for query in asked], dict(enumerate(summaries))
    return {
        kind: [_record(stable("query", "paraphrase by a person", _of_queries(passages, asked, hits, new, sae)))]
        for kind, sae in saes.items()
    }


def another_seed(of: Collection, n: int) -> Any:
    """What one dictionary's accounts of first hits share with another seed's, for trained and for random ones."""
    rows = np.linspace(0, len(of.queries) - 1, min(n, len(of.queries))).astype(int)
    queries, hits = of.queries[rows], [_first(of.passages, of.queries[row]) for row in rows.tolist()]
    training = texts.embeddings(TRAINED_ON, texts.MINILM, MOST)
    kinds = {
        "trained": [small(seed) for seed in SEEDS],
        "random directions": [dictionaries.random_dictionary(SMALL, training, seed) for seed in SEEDS],
    }
    return {
        "packaged, by its twin": _by_twin(of, queries, hits, from_pretrained().sae),
        **{kind: [_record(_of_seeds(of, queries, hits, *pair))] for kind, pair in kinds.items()},
    }


def _by_twin(of: Collection, queries: Floats, hits: Sequence[NDArray[np.int64]], sae: SAE) -> dict[str, float]:
    """Of what the first five concepts add, and of what all do, the share of those that another seed found again.

    The twin's weights are not kept, only how closely each latent has a partner there: so this says that the partner is
    there, not that the twin's account names it.
    """
    shares: dict[str, list[float]] = {"first five": [], "all": []}
    for query, at in zip(queries, hits, strict=True):
        for why in _explained(of.passages[at], query, sae):
            for name, some in (("first five", why.contributions[:STRONGEST]), ("all", why.contributions)):
                again = sum(abs(c.value) for c in some if c.returns)
                shares[name].append(again / sum(abs(c.value) for c in some))
    return {name: float(np.mean(values)) for name, values in shares.items()}


@cache
def changes() -> dict[str, Change]:
    random, synonyms = np.random.default_rng(0), synonyms_of(_wordnet())
    return {
        "sentences in another order": lambda text: reordered(text, "en", random),
        "small letters, no punctuation": bare,
        "words for synonyms": lambda text: with_synonyms(text, synonyms),
    }


def small(seed: int) -> SAE:
    """A small dictionary of sentences, trained once and kept."""
    folder = texts.CACHE / "dictionaries" / texts.MINILM / f"small-{SMALL}-{MOST}-{STEPS}-{seed}"
    if not folder.exists():
        training = texts.embeddings(TRAINED_ON, texts.MINILM, MOST)
        config = SAEConfig(d_in=training.shape[1], n_latents=SMALL, k=dictionaries.K, encoder=texts.MINILM)
        dictionaries.trained(training, config, STEPS, dictionaries.BATCH, seed).save(folder)
    return SAE.load(folder)


def record(of: Stable) -> dict[str, Any]:
    return {**of._asdict(), "found": _figures(of.found), "by_chance": _figures(of.by_chance)}


def _record(of: Stable | None) -> dict[str, Any]:
    assert of is not None
    return record(of)


def _figures(of: Figures) -> dict[str, Any]:
    return {name: share and share._asdict() for name, share in of._asdict().items()}


def _first(passages: Floats, query: Floats) -> NDArray[np.int64]:
    return np.argsort(-(passages @ query), kind="stable")[:HITS]


def _new(encode: Callable[[list[str]], Floats], said: Sequence[str], change: Change) -> dict[int, Floats]:
    """The embeddings of those texts that a change does not leave as they are, by their number."""
    changed = {i: new for i, text in enumerate(said) if (new := change(text)) != text and new.strip()}
    return dict(zip(changed, encode(list(changed.values())), strict=True)) if changed else {}


def _explained(passages: Floats, query: Floats, sae: SAE) -> list[Explanation]:
    return explain_dense((passages @ query).tolist(), query, passages, sae)


def _of_queries(
    passages: Floats, queries: Floats, hits: Sequence[NDArray[np.int64]], new: Mapping[int, Floats], sae: SAE
) -> Iterator[list[Accounts]]:
    for i, vector in new.items():
        three = (queries[i], vector, queries[(i + 1) % len(queries)])
        yield list(map(Accounts, *(_explained(passages[hits[i]], query, sae) for query in three)))


def _of_passages(
    passages: Floats, queries: Floats, hits: Sequence[NDArray[np.int64]], new: Mapping[int, Floats], sae: SAE
) -> Iterator[list[Accounts]]:
    for i, query in enumerate(queries):
        held = [n for n in range(HITS) if HITS * i + n in new]
        if held:
            mine = _explained(passages[hits[i]], query, sae)
            changed = _explained(np.stack([new[HITS * i + n] for n in held]), query, sae)
            beside = mine[1:] + mine[:1]
            yield [Accounts(mine[n], why, beside[n]) for n, why in zip(held, changed, strict=True)]


def _of_seeds(
    of: Collection, queries: Floats, hits: Sequence[NDArray[np.int64]], one: SAE, other: SAE
) -> Stable | None:
    matching = agreement(one, other, of.passages).matching
    returning = np.flatnonzero(np.nan_to_num(matching.agreement) >= RETURNS)
    partners = dict(zip(returning.tolist(), matching.partners[returning].tolist(), strict=True))

    def accounts() -> Iterator[list[Accounts]]:
        for query, at in zip(queries, hits, strict=True):
            mine, theirs = (_explained(of.passages[at], query, sae) for sae in (one, other))
            yield list(map(Accounts, mine, theirs, theirs[1:] + theirs[:1]))

    return stable("dictionary", "another seed", accounts(), partners)


def _wordnet() -> Iterator[list[str]]:
    """WordNet's sets of synonyms, as the corpus of its glosses has them for titles."""
    with gzip.open(texts.data() / "corpora" / "wordnet-glosses.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["title"].split(", ")


def _questions() -> tuple[list[tuple[str, str]], list[str]]:
    """The questions with their summaries, and the answers that are relevant to one of them."""
    folder = texts.data() / PEOPLE
    with (folder / "queries.jsonl").open(encoding="utf-8") as file:
        asked = [json.loads(line) for line in file]
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8") as file:
        judged = [line.rstrip("\n").split("\t") for line in file][1:]
    relevant = {passage for _, passage, grade in judged if int(grade) > 0}
    with gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        passages = [one for one in map(json.loads, file) if one["_id"] in relevant]
    pairs = [(one["text"], one["metadata"]["summary"]) for one in asked if one["metadata"].get("summary")]
    return pairs, [f"{one.get('title', '')} {one['text']}".strip() for one in passages]


def packaged_and_random(of: Collection) -> dict[str, SAE]:
    sae = from_pretrained().sae
    return {
        "packaged": sae,
        RANDOM: dictionaries.random_dictionary(sae.config.n_latents, of.passages),
    }


# --- what is shown --------------------------------------------------------------------------------


def shown(found: dict[str, Any]) -> Iterator[dict[str, str]]:
    """How much of an account stays under each change, beside another text, for a dictionary and for random ones."""
    collections = [one["stability"] for one in found["collections"].values() if "stability" in one]
    pairs = [(one["changed texts"]["packaged"], one["changed texts"][RANDOM]) for one in collections]
    changes = list(dict.fromkeys((row["of"], row["change"]) for rows, _ in pairs for row in rows))
    for of, change in changes:
        rows = [
            [row for one in column for row in one if (row["of"], row["change"]) == (of, change)]
            for column in zip(*pairs, strict=True)
        ]
        if sum(row["n_queries"] for row in rows[0]) < FEWEST:
            continue
        yield _stays(f"{of}: {change}", *rows)
    yield _stays("query: a paraphrase by a person", *(found["by people"][kind] for kind in ("packaged", RANDOM)))
    kinds = "trained", RANDOM
    seeds = ([row for one in collections for row in one["another seed"][kind]] for kind in kinds)
    yield _stays("another seed's dictionary, both small", *seeds)


def _stays(said: str, mine: list[dict[str, Any]], by_random: list[dict[str, Any]]) -> dict[str, str]:
    cells = {"what changes": said}
    for rows, of in ((mine, ""), (by_random, " (random)")):
        for name, figure in (("first five", "strongest"), ("in common", "common")):
            stay, chance = (np.mean([row[side][figure]["value"] for row in rows]) for side in ("found", "by_chance"))
            cells[name + of] = f"{stay:.0%} / {chance:.0%}"
    return cells
