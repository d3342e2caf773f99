"""Do explanations add up, name causes, and come fast? The packaged dictionary beside random directions.

    UNWEAVE_DATA=… python benchmarks/explanations.py [--collections NAME …] [--queries 200] [--quick] [--only PART …]

- *Named*: of the dense scores of first hits, the share that concepts carry whose name holds, by the packaged judgement.
- *Adds up*: over random pairs of a query and a passage, how far the parts of a dense score miss it, as a share of all
  parts taken as positive: one-sided, two-sided, by words. And what a two-sided score of first hits is made of.
- *Causes*: of the ten best hits of each query, the share that leaves the ten without the n concepts that add most to
  it, without n others of as much activation drawn at random, and that stays by those n alone; for dense, codes, CL-SR.
- *Sentences*: of hits with several sentences, the one that carries the hit's first concept is left out and the rest
  embedded anew: whether the concept's contribution falls by half, and whether the change of the score goes with that of
  the other words' mean, as they were (Spearman).
- *Steering*: nDCG@10 of CL-SR with the query's strongest concept weaker, stronger, gone or banned.
- *Stability*: what stays of an account when a text is said otherwise, and by another seed's dictionary; see
  `rephrased.py`.
- *Speed*: milliseconds a hit, one-sided and by words, one by one and as one block, the encoder's own time apart.

Writes results/explanations.json, but for `--quick`; with `--only`, of that file these parts alone. The last line is one
JSON object with the figures to hold a change against.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import dictionaries
import numpy as np
import rephrased
import texts
from judged import Collection, collection, values
from measuring import about, cpu_seconds
from numpy.typing import NDArray
from scipy.stats import spearmanr

from unweave.base.records import Passage
from unweave.cli import accounts
from unweave.cli.show import table
from unweave.config import EncoderConfig
from unweave.dictionaries.dictionary import from_pretrained
from unweave.encode.encoders import SentenceTransformerEncoder
from unweave.errors import BadData
from unweave.evaluation.causes import COUNTS, FIRST, ExplainedHits
from unweave.evaluation.causes import causes as causes_of
from unweave.explaining.accounting import explain
from unweave.explaining.counterfactual import Cut, cut
from unweave.explaining.two_sided import explain_both
from unweave.explaining.words import ByWords, explain_all_by_words, explain_by_words
from unweave.index.codes import Codes, as_long
from unweave.index.concept_index import ConceptIndex
from unweave.index.hits import Hits
from unweave.index.scoring import PROFILES
from unweave.retrieval import systems
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.searcher import ConceptSearcher
from unweave.retrieval.steering import Steering
from unweave.sae.model import SAE, pursue
from unweave.texts.sentences import split

RESULTS = Path(__file__).parent / "results" / "explanations.json"
COLLECTIONS = ("scifact", "fiqa-mini")
PACKAGED, RANDOM = "packaged", "random directions"
FACTORS = (0.0, 0.5, 2.0, 4.0)
"""Times which the weight of a query's strongest concept is taken."""
PAIRS, PAIRS_BY_WORDS = 10_000, 400
PARTS = ("adds up", "named", "two-sided", "adds up by words", "causes", "sentences", "steering", "stability", "speed")
REPHRASED = 60
"""Queries whose own text, and whose first hits' texts, are said otherwise."""
SENTENCES = 200
"""Hits whose sentences are left out."""
SAID_OF_SENTENCES = {
    "the concept adds half as much, or less": ("sentences", "halved"),
    "the score changes as the other words' mean does (Spearman)": ("sentences", "predicted"),
}
PASTED = (
    "why did my interest payments go up",
    "When the central bank raises its rate, banks ask for more on loans.",
    "Pay your interest every month to keep the account open.",
)
"""A query and two passages, as a person would paste them."""
Floats = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collections", nargs="+", default=COLLECTIONS)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="Few pairs and queries of FiQA; writes nothing")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="Measure these parts again")
    options = parser.parse_args()
    share = 0.05 if options.quick else 1.0
    names = ["fiqa-mini"] if options.quick else options.collections
    whole = set(options.only) == set(PARTS)
    found: dict[str, Any] = {"collections": {}} if whole else json.loads(RESULTS.read_text(encoding="utf-8"))
    measured_on = about("numpy", "torch")
    found |= {"about": measured_on, "shown": shown()} if whole else {}
    for known in found["collections"].values():  # a part is of one run's collections, so that no mean mixes two codes
        for part in options.only:
            known.pop(part, None)
    for name in names:
        of = collection(name, texts.MINILM)
        new = measured(of, share, max(2, round(share * options.queries)), options.only)
        found["collections"].setdefault(name, {}).update(new)
        print(name, json.dumps(new), flush=True)
    if "stability" in options.only:
        found["by people"] = rephrased.by_people(
            rephrased.packaged_and_random(of), SentenceTransformerEncoder(EncoderConfig())
        )
    found.setdefault("about parts", {}).update(dict.fromkeys(options.only, measured_on))
    if not options.quick:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("\n".join(summary(found)))
    print(json.dumps(headline(found)))


def measured(of: Collection, share: float, queries: int, only: Sequence[str]) -> dict[str, Any]:
    packaged, saes = from_pretrained().sae, rephrased.packaged_and_random(of)
    encoder = SentenceTransformerEncoder(EncoderConfig())
    few = round(share * PAIRS_BY_WORDS)
    parts: dict[str, Callable[[], Any]] = {
        "adds up": lambda: adds_up(of, packaged, round(share * PAIRS)),
        "named": lambda: named(of),
        "two-sided": lambda: two_sided(of, packaged),
        "adds up by words": lambda: adds_up_by_words(of, packaged, encoder, few),
        "causes": lambda: {kind: causes(of, sae, queries) for kind, sae in saes.items()},
        "sentences": lambda: sentences(of, packaged, encoder, round(share * SENTENCES)),
        "steering": lambda: steering(of, packaged),
        "stability": lambda: {
            "changed texts": rephrased.changed_texts(of, saes, encoder, round(share * REPHRASED)),
            "another seed": rephrased.another_seed(of, queries),
        },
        "speed": lambda: speed(of, packaged, encoder, few),
    }
    return {name: parts[name]() for name in PARTS if name in only}


def shown() -> list[str]:
    """Why the one of two passages is above the other, as the command line says it."""
    asked, right, wrong = PASTED
    return list(accounts.difference(from_pretrained().difference(asked, right, wrong), top=5))


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


def named(of: Collection) -> float:
    """The mean over queries of the share of named concepts in all parts of their ten first hits' dense scores."""
    dictionary = from_pretrained()
    dense = systems.Dense(of.passages, dictionary.sae, dictionary.names)
    shares = []
    for text, vector in zip(of.query_texts, of.queries, strict=True):
        asked = EmbeddedQuery(text, vector)
        shares.append(np.mean([why.named_share for why in dense.explain(asked, dense.search(asked, FIRST))]))
    return float(np.mean(shares))


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
            for one in causes_of(explained_hits(of, system, queries)):
                row = {field: getattr(one, field)._asdict() for field in ("erased", "erased_at_random", "kept")}
                found.setdefault(system.name, {})[str(one.n)] = row
    return found


def explained_hits(of: Collection, system: systems.System, queries: int) -> Iterator[ExplainedHits]:
    """The first hits of each query, explained, and the score of the first one outside."""
    for text, vector in list(zip(of.query_texts, of.queries, strict=True))[:queries]:
        asked = EmbeddedQuery(text, vector)
        hits = system.search(asked, FIRST + 1)
        if len(hits.passages) > FIRST:
            inside = Hits(hits.passages[:FIRST], hits.scores[:FIRST])
            yield ExplainedHits(system.explain(asked, inside), float(hits.scores[FIRST]))


# --- sentences ------------------------------------------------------------------------------------


def sentences(of: Collection, sae: SAE, encoder: SentenceTransformerEncoder, n: int) -> dict[str, Any]:
    """What leaving out the sentence that carries a hit's first concept does to the concept and to the score."""
    found: list[Cut] = []
    for query, vector in enumerate(of.queries):
        for passage in np.argsort(-(of.passages @ vector), kind="stable")[:2].tolist():
            text = of.contents[passage]
            if len(split(text, "en")) < 3 or len(found) >= n:
                continue
            first = max(explain(vector, of.passages[passage], sae).contributions, key=lambda c: c.value)
            with suppress(BadData):  # embedded anew among others, a passage may just miss the threshold
                said = Passage(str(query), "", text)
                found.append(cut(vector, said, first.latent, None, encoder, sae, "en"))
    changes = [[one.foretold - one.before for one in found], [one.after - one.before for one in found]]
    return {
        "hits": len(found),
        "halved": float(np.mean([one.concept_after <= one.concept_before / 2 for one in found])),
        "predicted": float(spearmanr(*changes).statistic),
    }


# --- steering -------------------------------------------------------------------------------------


def steering(of: Collection, sae: SAE) -> dict[str, float]:
    """nDCG@10 of CL-SR when each query's strongest concept is weighed otherwise, or what has it is left out."""
    with tempfile.TemporaryDirectory() as aside:
        index = ConceptIndex.build(sae.encode(of.passages), of.ids, PROFILES["default"], folder=Path(aside) / "index")
        searcher = systems.CLSR(ConceptSearcher(sae, index))
        codes = sae.encode(of.queries)
        strongest = [
            int(codes.indices[codes.indptr[i] + np.argmax(codes.data[codes.indptr[i] : codes.indptr[i + 1]])])
            for i in range(codes.shape[0])
        ]
        bent: dict[str, Callable[[int], Steering]] = {
            "as it is": lambda _: Steering(),
            **{f"{factor:g} times": partial(boosted, factor=factor) for factor in FACTORS},
            "banned": lambda latent: Steering(banned=(latent,)),
        }
        return {
            said: float(np.mean(values(of, [
                searcher.search(EmbeddedQuery(None, vector), FIRST, of_concept(latent))
                for vector, latent in zip(of.queries, strongest, strict=True)
            ])))
            for said, of_concept in bent.items()
        }  # fmt: skip


def boosted(latent: int, factor: float) -> Steering:
    return Steering(boosts={latent: factor})


# --- speed ----------------------------------------------------------------------------------------


def speed(of: Collection, sae: SAE, encoder: SentenceTransformerEncoder, n: int) -> dict[str, float]:
    """Milliseconds of processor time a hit, the least of some runs; and what the encoder takes to read words."""
    asked = EmbeddedQuery(of.query_texts[0], of.queries[0])
    dense = systems.Dense(of.passages, sae)
    hits = dense.search(asked, 1000)
    (query,) = encoder.in_words([of.query_texts[0]], of_queries=True)
    some = hits.passages[: max(8, n // 4)].tolist()
    contents = [of.contents[passage] for passage in some]
    said, rows, latents = encoder.in_words(contents), of.passages[some], sae.encode(of.passages[some])
    of_hit: dict[str, tuple[Callable[[], object], int, int]] = {
        "one-sided": (lambda: dense.explain(asked, hits), len(hits.passages), 9),
        "by words, one by one": (lambda: [
            explain_by_words(of.queries[0], row, query, words, sae) for row, words in zip(rows, said, strict=True)
        ], len(some), 9),
        "by words": (lambda: explain_all_by_words(of.queries[0], rows, query, said, sae, None, latents), len(some), 9),
        "read in words one by one": (lambda: [encoder.in_words([text]) for text in contents], len(some), 1),
        "read in words": (lambda: encoder.in_words(contents), len(some), 2),
    }  # fmt: skip
    return {name: 1000 * cpu_seconds(work, times) / n_hits for name, (work, n_hits, times) in of_hit.items()}


# --- what is shown --------------------------------------------------------------------------------


def mean_of(found: dict[str, Any], *path: str) -> float:
    """The mean of a figure, by its path, over the collections of which it was measured."""
    values = []
    for one in measured_of(found, path[0]):
        for name in path[1:]:
            one = one[name]
        values.append(one)
    return float(np.mean(values))


def measured_of(found: dict[str, Any], part: str) -> list[Any]:
    """A part of each collection of which it was measured."""
    return [one[part] for one in found["collections"].values() if part in one]


def headline(found: dict[str, Any]) -> dict[str, float]:
    errors = [error for one in measured_of(found, "adds up") for error in one["largest error"].values()]
    errors += [one["largest error"] for one in measured_of(found, "adds up by words")]
    dense = ("causes", PACKAGED, "dense", "3")
    paths = {
        "erase_top3_leaves_top10": (*dense, "erased", "value"),
        "erase_random3_leaves_top10": (*dense, "erased_at_random", "value"),
        "sentence_halves": ("sentences", "halved"),
        "sentence_predicted": ("sentences", "predicted"),
        "named_share": ("named",),
        "ms_per_hit": ("speed", "one-sided"),
        "ms_per_hit_by_words": ("speed", "by words"),
    }
    figures = {key: round(mean_of(found, *path), 4) for key, path in paths.items() if measured_of(found, path[0])}
    return {"max_relative_error": float(f"{max(errors):.1e}"), **figures}


def summary(found: dict[str, Any]) -> list[str]:
    """What the documentation shows, means of the collections."""
    return [
        *table(list(erasures(found))),
        "",
        *table([{"part of a first hit's score": kind, "mean": f"{mean_of(found, 'two-sided', kind):+.3f}"}
                for kind in measured_of(found, "two-sided")[0]]),
        "",
        *table([{"without the sentence that carries a hit's first concept": said, "": f"{mean_of(found, *path):.2f}"}
                for said, path in SAID_OF_SENTENCES.items()]),
        "",
        *table([{"the query's strongest concept": said, "nDCG@10": mean_of(found, 'steering', said)}
                for said in measured_of(found, "steering")[0]]),
        "",
        *([*table(list(rephrased.shown(found))), ""] if measured_of(found, "stability") else []),
        *table([{"a hit explained": kind, "ms": f"{mean_of(found, 'speed', kind):.2f}"}
                for kind in measured_of(found, "speed")[0]]),
    ]  # fmt: skip


def erasures(found: dict[str, Any]) -> Iterator[dict[str, str]]:
    """How many of the ten best hits leave, and stay, by system, dictionary and number of concepts."""
    some = measured_of(found, "causes")[0]
    for system in some[PACKAGED]:
        for n in map(str, COUNTS):
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
