"""Do explanations add up, name causes, and come fast? The packaged dictionary beside random directions.

    UNWEAVE_DATA=… python benchmarks/explanations.py [--collections NAME …] [--queries 200] [--quick]

- *Adds up*: over random pairs of a query and a passage, how far the parts of a dense score miss it, as a share of all
  parts taken as positive: one-sided, two-sided, by words. And what a two-sided score of first hits is made of.
- *Causes*: of the ten best hits of each query, the share that leaves the ten without the n concepts that add most to
  it, without n others of as much activation drawn at random, and that stays by those n alone; for dense, codes, CL-SR.
- *Sentences*: of hits with several sentences, the one whose words carry most of the hit's first concept is left out and
  the rest embedded anew: whether the concept's contribution falls by half, and whether the change of the score goes
  with that of the other words' mean, as they were (Spearman).
- *Speed*: milliseconds a hit, one-sided and by words, the encoder's own time apart.

Writes results/explanations.json, but for `--quick`. The last line is one JSON object with the figures to hold a change
against.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dictionaries
import numpy as np
import texts
from judged import Collection, collection
from measuring import about
from numpy.typing import NDArray
from scipy.stats import spearmanr

from unweave.base.records import Explanation
from unweave.cli.show import table
from unweave.config import EncoderConfig
from unweave.dictionaries.dictionary import from_pretrained
from unweave.encode.encoders import SentenceTransformerEncoder
from unweave.encode.words import InWords
from unweave.evaluation.significance import interval
from unweave.explaining.accounting import explain
from unweave.explaining.faithfulness import faithfulness
from unweave.explaining.two_sided import explain_both
from unweave.explaining.words import ByWords, explain_by_words
from unweave.index.codes import Codes, as_long
from unweave.index.concept_index import ConceptIndex
from unweave.index.hits import Hits
from unweave.index.scoring import PROFILES
from unweave.retrieval import systems
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.searcher import ConceptSearcher
from unweave.sae.model import SAE, pursue
from unweave.texts.sentences import split

RESULTS = Path(__file__).parent / "results" / "explanations.json"
COLLECTIONS = ("scifact", "fiqa-mini")
PACKAGED, RANDOM = "packaged", "random directions"
ERASED = (1, 2, 3, 5, 10)
FIRST = 10
"""Hits of a query that are looked at."""
PAIRS, PAIRS_BY_WORDS = 10_000, 400
SENTENCES = 200
"""Hits whose sentences are left out."""
SAID_OF_SENTENCES = {
    "the concept adds half as much, or less": ("sentences", "halved"),
    "the score changes as the other words' mean does (Spearman)": ("sentences", "predicted"),
}
Floats = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collections", nargs="+", default=COLLECTIONS)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="Few pairs and queries of FiQA; writes nothing")
    options = parser.parse_args()
    share = 0.05 if options.quick else 1.0
    names = ["fiqa-mini"] if options.quick else options.collections
    found: dict[str, Any] = {"about": about("numpy", "torch"), "collections": {}}
    for name in names:
        of = collection(name, texts.MINILM)
        found["collections"][name] = measured(of, share, max(2, round(share * options.queries)))
        print(name, json.dumps(found["collections"][name]), flush=True)
    if not options.quick:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("\n".join(summary(found)))
    print(json.dumps(headline(found)))


def measured(of: Collection, share: float, queries: int) -> dict[str, Any]:
    packaged = from_pretrained().sae
    random = dictionaries.random_dictionary(packaged.config.n_latents, of.passages)
    encoder = SentenceTransformerEncoder(EncoderConfig())
    few = round(share * PAIRS_BY_WORDS)
    return {
        "adds up": adds_up(of, packaged, round(share * PAIRS)),
        "two-sided": two_sided(of, packaged),
        "adds up by words": adds_up_by_words(of, packaged, encoder, few),
        "causes": {
            kind: causes(of, sae, queries) for kind, sae in ((PACKAGED, packaged), (RANDOM, random))
        },
        "sentences": sentences(of, packaged, encoder, round(share * SENTENCES)),
        "speed": speed(of, packaged, encoder, few),
    }  # fmt: skip


# --- adds up --------------------------------------------------------------------------------------


def pairs(of: Collection, n: int) -> Iterator[tuple[int, int]]:
    """Queries and passages drawn at random."""
    random = np.random.default_rng(0)
    yield from zip(random.integers(len(of.queries), size=n), random.integers(len(of.passages), size=n), strict=True)


def missed(score: float, parts: Sequence[float]) -> float:
    """How far parts miss a score, as a share of all of them taken as positive."""
    return abs(math.fsum(parts) - score) / math.fsum(map(abs, parts))


def adds_up(of: Collection, sae: SAE, n: int) -> dict[str, Any]:
    errors: dict[str, list[float]] = {"one-sided": [], "two-sided": []}
    for query, passage in pairs(of, n):
        q, d = of.queries[query], of.passages[passage]
        one, both = explain(q, d, sae), explain_both(q, d, sae)
        errors["one-sided"].append(missed(one.score, [*(c.value for c in one.contributions), one.bias, one.residual]))
        crossing = [pair.value for pair in both.crossing]
        of_both = [*(c.value for c in both.shared), *crossing, *list(both.sums.values())[2:]]
        errors["two-sided"].append(missed(both.score, of_both))
    return {"pairs": n, "largest error": {kind: max(found) for kind, found in errors.items()}}


def two_sided(of: Collection, sae: SAE) -> dict[str, float]:
    """The means of the kinds of parts of each query's first hit."""
    sums = [explain_both(query, of.passages[int(np.argmax(of.passages @ query))], sae).sums for query in of.queries]
    return {kind: float(np.mean([one[kind] for one in sums])) for kind in sums[0]}


def adds_up_by_words(of: Collection, sae: SAE, encoder: SentenceTransformerEncoder, n: int) -> dict[str, Any]:
    largest = 0.0
    for query, passage in pairs(of, n):
        found = by_words(of, sae, encoder, query, passage)
        of_parts = [
            missed(c.value, [*row.tolist(), float(constant)])
            for c, row, constant in zip(
                found.explanation.contributions, found.contributions, found.of_no_word, strict=True
            )
        ]
        largest = max(largest, *of_parts, missed(found.explanation.score, found.pairs.ravel().tolist()))
    return {"pairs": n, "largest error": largest}


def by_words(of: Collection, sae: SAE, encoder: SentenceTransformerEncoder, query: int, passage: int) -> ByWords:
    (asked,) = encoder.in_words([of.query_texts[query]], of_queries=True)
    (said,) = encoder.in_words([of.contents[passage]])
    return explain_by_words(of.queries[query], of.passages[passage], asked, said, sae)


# --- causes ---------------------------------------------------------------------------------------


def causes(of: Collection, sae: SAE, queries: int) -> dict[str, Any]:
    """By system and number of concepts, the shares of hits that leave and stay, with their intervals over queries."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as aside:
        index = ConceptIndex.build(sae.encode(of.passages), of.ids, PROFILES["default"], folder=Path(aside) / "index")
        codes = Codes.of(as_long(sae, of.passages, pursue(sae, of.passages, dictionaries.K)))
        searcher = ConceptSearcher(sae, index, codes)
        for system in (
            systems.Dense(of.passages, sae),
            systems.ConceptCodes(searcher, 3.0 * dictionaries.K),
            systems.CLSR(searcher),
        ):
            explained = list(explained_hits(of, system, queries))
            for n in ERASED:
                random = np.random.default_rng(n)
                each = [faithfulness(whys, outside, n, random) for whys, outside in explained]
                known = [one for one in each if one is not None]
                row = {}
                for field in ("erased", "erased_at_random", "kept"):
                    values = np.array([getattr(one, field) for one in known])
                    row[field] = {"value": float(values.mean()), "interval": interval(values)}
                found.setdefault(system.name, {})[str(n)] = row
    return found


def explained_hits(of: Collection, system: systems.System, queries: int) -> Iterator[tuple[list[Explanation], float]]:
    """The first hits of each query, explained, and the score of the first one outside."""
    for text, vector in list(zip(of.query_texts, of.queries, strict=True))[:queries]:
        asked = EmbeddedQuery(text, vector)
        hits = system.search(asked, FIRST + 1)
        if len(hits.passages) > FIRST:
            inside = Hits(hits.passages[:FIRST], hits.scores[:FIRST])
            yield system.explain(asked, inside), float(hits.scores[FIRST])


# --- sentences ------------------------------------------------------------------------------------


def sentences(of: Collection, sae: SAE, encoder: SentenceTransformerEncoder, n: int) -> dict[str, Any]:
    """What leaving out the sentence that carries a hit's first concept does to the concept and to the score."""
    halves, predicted, changed = [], [], []
    for query in range(len(of.queries)):
        for passage in np.argsort(-(of.passages @ of.queries[query]), kind="stable")[:2].tolist():
            text = of.contents[passage]
            spans = list(places(text))
            if len(spans) < 3 or len(halves) >= n:
                continue
            (said,) = encoder.in_words([text])
            (asked,) = encoder.in_words([of.query_texts[query]], of_queries=True)
            found = explain_by_words(of.queries[query], of.passages[passage], asked, said, sae)
            first = max(range(len(found.contributions)), key=lambda i: found.explanation.contributions[i].value)
            start, end = max(spans, key=lambda span: of_span(found, found.contributions[first], span))
            (rest,) = encoder.encode_passages([text[:start] + text[end:]])
            again = explain(of.queries[query], rest, sae)
            before = found.explanation.contributions[first]
            after = next((c.value for c in again.contributions if c.latent == before.latent), 0.0)
            halves.append(after <= before.value / 2)
            stays = said.parts[~inside(said, (start, end))].sum(axis=0)
            predicted.append(float(of.queries[query] @ stays / np.linalg.norm(stays)) - found.explanation.score)
            changed.append(again.score - found.explanation.score)
    return {
        "hits": len(halves),
        "halved": float(np.mean(halves)),
        "predicted": float(spearmanr(predicted, changed).statistic),
    }


def places(text: str) -> Iterator[tuple[int, int]]:
    """Where the sentences of a text begin and end."""
    end = 0
    for sentence in split(text, "en"):
        start = text.find(sentence, end)
        end = start + len(sentence)
        yield start, end


def of_span(found: ByWords, values: NDArray[np.float64], span: tuple[int, int]) -> float:
    """What the words of a span have of some values, (n_words,)."""
    return float(values[inside(found, span)].sum())


def inside(found: ByWords | InWords, span: tuple[int, int]) -> NDArray[np.bool_]:
    """Which words begin in a span of the text, (n_words,)."""
    starts = np.array([-1 if word.start is None else word.start for word in found.words])
    return np.asarray((starts >= span[0]) & (starts < span[1]))


# --- speed ----------------------------------------------------------------------------------------


def speed(of: Collection, sae: SAE, encoder: SentenceTransformerEncoder, n: int) -> dict[str, float]:
    """Milliseconds a hit, medians; words with and without what the encoder takes."""
    asked = EmbeddedQuery(of.query_texts[0], of.queries[0])
    dense = systems.Dense(of.passages, sae)
    hits = dense.search(asked, 1000)
    (query,) = encoder.in_words([of.query_texts[0]], of_queries=True)
    some = hits.passages[: max(8, n // 4)].tolist()
    said = [encoder.in_words([of.contents[passage]])[0] for passage in some]
    return {
        "one-sided": 1000 * timed(lambda: dense.explain(asked, hits)) / len(hits.passages),
        "by words": 1000 * timed(lambda: [
            explain_by_words(of.queries[0], of.passages[passage], query, words, sae)
            for passage, words in zip(some, said, strict=True)
        ]) / len(some),
        "by words, encoder included": 1000 * timed(lambda: [by_words(of, sae, encoder, 0, at) for at in some], 1)
        / len(some),
    }  # fmt: skip


def timed(work: Callable[[], object], times: int = 5) -> float:
    """Seconds, the median of some."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


# --- what is shown --------------------------------------------------------------------------------


def mean_of(found: dict[str, Any], *path: str) -> float:
    """The mean over collections of a figure, by its path."""
    values = []
    for one in found["collections"].values():
        for name in path:
            one = one[name]
        values.append(one)
    return float(np.mean(values))


def headline(found: dict[str, Any]) -> dict[str, float]:
    errors = [
        error
        for one in found["collections"].values()
        for error in (*one["adds up"]["largest error"].values(), one["adds up by words"]["largest error"])
    ]
    dense = ("causes", PACKAGED, "dense", "3")
    return {
        "max_relative_error": float(f"{max(errors):.1e}"),
        "erase_top3_leaves_top10": round(mean_of(found, *dense, "erased", "value"), 4),
        "erase_random3_leaves_top10": round(mean_of(found, *dense, "erased_at_random", "value"), 4),
        "sentence_halves": round(mean_of(found, "sentences", "halved"), 4),
        "sentence_predicted": round(mean_of(found, "sentences", "predicted"), 4),
        "ms_per_hit": round(mean_of(found, "speed", "one-sided"), 4),
    }


def summary(found: dict[str, Any]) -> list[str]:
    """What the documentation shows, means of the collections."""
    return [
        *table(list(erasures(found))),
        "",
        *table([{"part of a first hit's score": kind, "mean": f"{mean_of(found, 'two-sided', kind):+.3f}"}
                for kind in next(iter(found["collections"].values()))["two-sided"]]),
        "",
        *table([{"without the sentence that carries a hit's first concept": said, "": f"{mean_of(found, *path):.2f}"}
                for said, path in SAID_OF_SENTENCES.items()]),
        "",
        *table([{"a hit explained": kind, "ms": f"{mean_of(found, 'speed', kind):.2f}"}
                for kind in next(iter(found["collections"].values()))["speed"]]),
    ]  # fmt: skip


def erasures(found: dict[str, Any]) -> Iterator[dict[str, str]]:
    """How many of the ten best hits leave, and stay, by system, dictionary and number of concepts."""
    some = next(iter(found["collections"].values()))["causes"]
    for system in some[PACKAGED]:
        for n in map(str, ERASED):
            row = {"system": system, "concepts": n}
            for kind in (PACKAGED, RANDOM):
                shares = {
                    said: f"{mean_of(found, 'causes', kind, system, n, field, 'value'):.0%}"
                    for said, field in (("leave", "erased"), ("by chance", "erased_at_random"), ("stay", "kept"))
                }
                row |= {f"{said}{'' if kind == PACKAGED else ' (random)'}": share for said, share in shares.items()}
            yield row


if __name__ == "__main__":
    main()
