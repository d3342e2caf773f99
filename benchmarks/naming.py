"""How good are the names, judged by what does not share the encoder's view, and beside names that cannot be good?

    UNWEAVE_DATA=… python benchmarks/naming.py [--collections NAME …] [--directions 400] [--folder FOLDER] [--quick]

The packaged dictionary reads collections that it has never seen. Its latents bear the names that they came with and
keyphrases of the collection; of both the one that is trusted more is shown, as everywhere. Beside them stand names, by
the same keyphrases, of

- other latents (shuffled);
- random directions, others than those that decide the marks;
- latents of an SAE of an untrained encoder, all-MiniLM-L6-v2 with random weights;
- centroids of k-means, and single texts taken as directions, each active as often as a latent is.

Measured of each are detection in the second encoder's space, by bands of strength, by words alone, and in the space of
the encoder itself; and the share that has the best mark. Of the marks: what names of each do on texts that did not
decide them, how many latents and how much of what they contribute have the best, and how much of the scores of the ten
best passages of a dense search. Of the judges: how they agree with two blind readings in `reading.json`; of the names:
how often the reader found that they fit. By the first reading it was chosen how names are judged and from where they
hold; the second one is of other collections, and was made when all that was settled.

A collection that --folder holds the figures of is not judged again: a run that was broken off goes on there. Writes
results/naming.json, but for `--quick`. The last line is one JSON object with the figures to hold a change
against.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import texts
from judged import Collection, collection
from measuring import about, kept
from numpy.typing import NDArray
from scipy.sparse import issparse
from scipy.stats import spearmanr
from sklearn.cluster import MiniBatchKMeans

import unweave as uw
from unweave.base.contributions import Label
from unweave.base.records import Group, Passage, Trust
from unweave.base.vectors import unit_rows
from unweave.cli.show import table
from unweave.concepts.concept import DETECTION, Naming, Score, came_with, holds_from, shown_first, trust_of
from unweave.concepts.evidence import Evidence, Texts
from unweave.concepts.judges import detection, nulls
from unweave.concepts.judges.detection import IN_SPACE, LEXICAL, MIDDLE, STRONG, WEAK, Space
from unweave.concepts.judges.nulls import Nulls
from unweave.concepts.judges.questions import Question, auroc, question, questions
from unweave.concepts.judges.verdicts import told_beside_nulls
from unweave.concepts.namers.dictionary import DictionaryNamer, Given
from unweave.concepts.namers.keyphrases import KeyphraseNamer
from unweave.concepts.naming import ArrayRows
from unweave.config import EncoderConfig, EvidenceConfig, KeyphraseConfig, SAEConfig
from unweave.dictionaries.dictionary import Dictionary, from_pretrained
from unweave.encode.encoders import SentenceTransformerEncoder
from unweave.sae.model import SAE

RESULTS = Path(__file__).parent / "results" / "naming.json"
READING, PREFERRED = (Path(__file__).parent / name for name in ("reading.json", "preferred.json"))
COLLECTIONS = ("scifact", "fiqa-mini", "dbpedia-entity-5k", "medline", "cacm", "npl-vaswani")
FIRST, SECOND = "first", "second"
"""Readings."""
SILENT = "silent"
SHOWN, DICTIONARY, KEYPHRASES = "shown", "dictionary", "keyphrases"
SHUFFLED, RANDOM, UNTRAINED = "of other latents", "of random directions", "of an untrained encoder's"
CENTROIDS, TEXTS = "of centroids", "of single texts"
CONTROLS = (SHUFFLED, RANDOM, UNTRAINED, CENTROIDS, TEXTS)
JUDGES = (DETECTION, STRONG, MIDDLE, WEAK, LEXICAL, IN_SPACE)
LEAST_FRESH = 9
"""Active texts in a fresh question, at least."""
QUERIES, HITS = 200, 10
GOOD = 2
FITS, PLAINLY = 0.5, 1.5
"""Mean grades from which a name fits a passage."""
Scores = dict[int, list[Score]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collections", nargs="+", default=COLLECTIONS)
    parser.add_argument("--directions", type=int, default=400, help="directions of each control")
    parser.add_argument("--folder", type=Path, help="where the figures of each collection are kept, to go on from")
    parser.add_argument("--quick", action="store_true", help="Medline alone, a tenth of the directions; writes nothing")
    options = parser.parse_args()
    if options.quick:
        options.collections, options.directions = ["medline"], options.directions // 10
    results: dict[str, Any] = {"about": about("numpy", "scikit-learn", "wordllama"), "collections": {}}
    for name in options.collections:
        measure = partial(measured, name, options.directions)
        results["collections"][name] = kept(options.folder / f"{name}.json", measure) if options.folder else measure()
        print(name, json.dumps(results["collections"][name]["names"][SHOWN]), flush=True)
    results["reading"] = {reading: read(reading) for reading in (FIRST, SECOND)}
    results["reading"][SECOND]["read"] = dict(read_again())
    if not options.quick:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("\n".join(summary(results)))
    print(json.dumps(headline(results)))


# --- one collection -------------------------------------------------------------------------------


def measured(name: str, n: int) -> dict[str, Any]:
    """Names of the packaged dictionary's latents and of controls, judged on one collection."""
    of = collection(name, texts.MINILM)
    dictionary = from_pretrained()
    evidence = evidence_of(of, dictionary.sae)
    namer, spaces = KeyphraseNamer(evidence, KeyphraseConfig()), spaces_of(evidence)
    beside = nulls.of_random_directions(evidence, namer.beside)
    namings, scores = names_and_scores(evidence, dictionary, namer, spaces, beside)
    names = {kind: means(of_kind) for kind, of_kind in scores.items()}
    asked = questions(evidence, evidence.live.tolist())
    names[SHUFFLED] = means(judged(evidence, nulls.shuffled(namings[SHOWN]), asked, spaces, beside))
    for control, sae in directions(evidence, n).items():
        seen = evidence.seen_by(sae)
        named = dict(namer.beside(seen).names(seen.live.tolist()))
        names[control] = means(judged(seen, named, questions(seen, seen.live.tolist()), spaces, beside))
    names[UNTRAINED] = means(of_untrained_encoder(of, n, dictionary.sae.config, namer, spaces, beside))
    return {
        "n_texts": len(evidence),
        "live": len(evidence.live),
        "names": names,
        "marks": marks(evidence, namings[SHOWN], scores[SHOWN], spaces[0]),
        "read": fitting(of, evidence, namings[SHOWN], scores[SHOWN], FIRST),
        **shares(of, evidence, dictionary.sae, namings[SHOWN], scores[SHOWN]),
    }


def names_and_scores(
    evidence: Evidence, dictionary: Dictionary, namer: KeyphraseNamer, spaces: Sequence[Space], beside: Nulls
) -> tuple[dict[str, dict[int, Naming]], dict[str, Scores]]:
    """The names that came with the dictionary, keyphrases of these texts, and which of both are shown; all judged."""
    live = evidence.live.tolist()
    namings = {DICTIONARY: names_of(dictionary, live), KEYPHRASES: dict(namer.names(live))}
    asked = questions(evidence, live)
    scores = {kind: judged(evidence, of_kind, asked, spaces, beside) for kind, of_kind in namings.items()}
    for one in dictionary.latents:
        if one.latent in scores[DICTIONARY]:
            scores[DICTIONARY][one.latent] += came_with(one.over_nulls, one.holds_from, one.median)
    namings[SHOWN], scores[SHOWN] = better(namings, scores)
    return namings, scores


def evidence_of(of: Collection, sae: SAE, encoder: SentenceTransformerEncoder | None = None) -> Evidence:
    passages = [Passage(name, "", text) for name, text in zip(of.ids, of.contents, strict=True)]
    config = EvidenceConfig(passages=len(passages))
    encoder = encoder or SentenceTransformerEncoder(EncoderConfig())
    return Evidence(sae, Texts(passages, ArrayRows(np.asarray(of.passages, np.float32))), None, config, encoder=encoder)


def spaces_of(evidence: Evidence) -> tuple[Space, ...]:
    return detection.by_second_encoder(evidence), detection.lexical(evidence), detection.in_space(evidence)


def names_of(dictionary: Dictionary, live: Sequence[int]) -> dict[int, Naming]:
    given = [Given(one.latent, one.name, namer=one.namer or "") for one in dictionary.latents if one.name is not None]
    return {j: naming for j, naming in DictionaryNamer(given, "pretrained").names(live) if naming.name is not None}


def judged(
    evidence: Evidence,
    namings: Mapping[int, Naming],
    asked: Mapping[int, Question],
    spaces: Sequence[Space],
    beside: Nulls,
) -> Scores:
    """Of each latent what all judges found of its name; the first space decides."""
    found: Scores = {}
    for latent, score in told_beside_nulls(evidence, namings, asked, spaces[0], beside):
        found.setdefault(latent, []).append(score)
    for space in spaces[1:]:
        for latent, score in detection.detect(space, namings, asked):
            found[latent].append(score)
    return found


def better(
    namings: Mapping[str, Mapping[int, Naming]], scores: Mapping[str, Scores]
) -> tuple[dict[int, Naming], Scores]:
    """Of each latent the name that is shown, and its scores."""
    shown, of_shown = {}, {}
    for latent in sorted({latent for of_kind in scores.values() for latent in of_kind}):
        of = {kind: of_kind[latent] for kind, of_kind in scores.items() if latent in of_kind}
        shown[latent] = shown_first([namings[kind][latent] for kind in of], of)[0]
        of_shown[latent] = of[shown[latent].namer]
    return shown, of_shown


def directions(evidence: Evidence, n: int) -> dict[str, SAE]:
    """What stands beside the dictionary, as SAEs that are active as often as its latents are."""
    rows, seed = evidence.embeddings, evidence.config.seed
    clusters = MiniBatchKMeans(min(n, len(rows) // 3), random_state=seed, n_init=1).fit(rows)
    centroids = np.asarray(clusters.cluster_centers_ - rows.mean(axis=0), np.float32)
    return {
        RANDOM: nulls.random_directions(evidence, n, seed + 1),
        CENTROIDS: nulls.matched(evidence, centroids, np.random.default_rng(seed)),
        TEXTS: nulls.single_texts(evidence, n, seed),
    }


def of_untrained_encoder(
    of: Collection, n: int, like: SAEConfig, namer: KeyphraseNamer, spaces: Sequence[Space], beside: Nulls
) -> Scores:
    """Keyphrases of latents of an SAE that reads the same texts by an encoder of random weights, judged.

    Args:
        n: its latents; each is active about as often as those of a dictionary `like` this one.
    """
    by_untrained = collection(of.name, texts.UNTRAINED)
    sae = uw.train(by_untrained.passages, max(1, round(like.k * n / like.n_latents)), n_latents=n)
    seen = evidence_of(by_untrained, sae, texts.encoder(texts.UNTRAINED))
    live = seen.live.tolist()
    named = dict(KeyphraseNamer(seen, KeyphraseConfig(), namer.phrases).names(live))
    return judged(seen, named, questions(seen, live), (*spaces[:2], detection.in_space(seen)), beside)


# --- figures --------------------------------------------------------------------------------------


def value(scores: Iterable[Score], judge: str, end: str = "value") -> float:
    return next((float(getattr(score, end)) for score in scores if score.judge == judge), float("nan"))


def means(scores: Scores) -> dict[str, float]:
    """The mean of each judge; with the best mark, what share that is, and detection of those alone."""
    trusts = {latent: trust_of("", of) for latent, of in scores.items()}
    holding = [latent for latent, trust in trusts.items() if trust is Trust.HOLDS]
    found = {judge: mean_of(scores, scores, judge) for judge in JUDGES}
    found |= {f"{judge}, holding": mean_of(scores, holding, judge) for judge in (STRONG, MIDDLE, WEAK)}
    return found | {"n": len(scores), "holding": len(holding) / max(1, len(scores))}


def mean_of(scores: Scores, latents: Iterable[int], judge: str) -> float:
    values = [value(scores[latent], judge) for latent in latents]
    return float(np.nanmean(values)) if values else float("nan")


def marks(
    evidence: Evidence, namings: Mapping[int, Naming], scores: Scores, space: Space
) -> dict[str, dict[str, float]]:
    """Of the names of each mark, the detection that decided it and that on texts which did not."""
    likeness = space.reader([naming.name or "" for naming in namings.values()])
    place = {latent: number for number, latent in enumerate(namings)}
    found: dict[Trust, list[tuple[float, float]]] = {}
    for latent, samples in evidence.for_judging(list(scores)):
        first = question(samples, latent, evidence.config.seed)
        again = first and question(samples.without(first.texts), latent, evidence.config.seed + 1)
        if again and again.active.sum() >= LEAST_FRESH:
            told = likeness(place[latent], again.texts)
            fresh = auroc(told[again.active], told[~again.active])
            found.setdefault(trust_of("", scores[latent]), []).append((value(scores[latent], DETECTION), fresh))
    return {
        trust.value: {
            "names": len(found[trust]),
            "decided": float(np.mean([a for a, _ in found[trust]])),
            "fresh": float(np.mean([b for _, b in found[trust]])),
        }
        for trust in Trust
        if trust in found
    }


def label_of(namer: str, name: str, scores: Sequence[Score]) -> Label:
    return Label(name, trust_of(namer, scores), holds_from(namer, scores))


def shares(
    of: Collection, evidence: Evidence, sae: SAE, namings: Mapping[int, Naming], scores: Scores
) -> dict[str, float]:
    """What names carry: of live latents, of their contributions, and of scores of a dense search.

    Of a score it is the explained part, the sum of what latents contribute; `named` as in every explanation, by names
    that hold at so strong an activation.
    """
    labels = {j: label_of(namings[j].namer, namings[j].name or "", found) for j, found in scores.items()}
    least = np.full(sae.config.n_latents, np.inf)
    holds, returns = np.zeros(len(least), np.bool_), np.zeros(len(least), np.bool_)
    for latent, label in labels.items():
        holds[latent], returns[latent] = label.trust is Trust.HOLDS, bool(sae.returns.get(latent))
        if label.group(np.inf) is Group.NAMED:
            least[latent] = label.holds_from
    contributions = np.asarray(evidence.latents.sum(axis=0)).ravel()
    explained, named, returning = 0.0, 0.0, 0.0
    for query in of.queries[:QUERIES]:
        activations = evidence.latents[np.argsort(-(of.passages @ query), kind="stable")[:HITS]].toarray()
        parts = activations * (sae.W_dec @ query)  # (n_hits, n_latents)
        explained += float(parts.sum())
        named += float(parts[activations >= least].sum())
        returning += float(parts[(activations >= least) & returns].sum())
    return {
        "holding": float(holds[evidence.live].mean()),
        "holding_contribution": float(contributions[holds].sum() / contributions.sum()),
        "score_named": named / explained,
        "score_named_returning": returning / explained,
    }


# --- the reading ----------------------------------------------------------------------------------


def pairs_read(reading: str) -> list[dict[str, Any]]:
    """What a reader found of names and passages: 0 they do not fit, 1 partly, 2 they do, twice."""
    found: list[dict[str, Any]] = json.loads(READING.read_text(encoding="utf-8"))[reading]
    return found


def read_again() -> Iterator[tuple[str, dict[str, list[float]]]]:
    """The grades of the second reading, collection by collection."""
    dictionary = from_pretrained()
    for name in dict.fromkeys(pair["collection"] for pair in pairs_read(SECOND)):
        of = collection(name, texts.MINILM)
        evidence = evidence_of(of, dictionary.sae)
        namer = KeyphraseNamer(evidence, KeyphraseConfig())
        beside = nulls.of_random_directions(evidence, namer.beside)
        space = detection.by_second_encoder(evidence)
        namings, scores = names_and_scores(evidence, dictionary, namer, [space], beside)
        yield name, fitting(of, evidence, namings[SHOWN], scores[SHOWN], SECOND)


def fitting(
    of: Collection, evidence: Evidence, namings: Mapping[int, Naming], scores: Scores, reading: str
) -> dict[str, list[float]]:
    """The grades, 0 to 2, of the pairs of this collection whose name is shown now, by group and by strength.

    A pair is known by its name: the latent that bears it need not have the number that it had when it was read.
    """
    place, found = {passage: number for number, passage in enumerate(of.ids)}, {}
    bears = {naming.name: latent for latent, naming in namings.items()}
    for pair in pairs_read(reading):
        latent = bears.get(pair["name"])
        if pair["collection"] == of.name and latent is not None:
            naming, (active, activations) = namings[latent], evidence.active(latent)
            label = label_of(naming.namer, pair["name"], scores[latent])
            where = np.flatnonzero(active == place[pair["passage"]])
            kinds = [SILENT]
            if len(where):
                third = ("strong", "middle", "weak")[3 * int(where[0]) // len(active)]
                kinds = [label.group(float(activations[where[0]])).value, third]
            for kind in kinds:
                found.setdefault(kind, []).append(float(np.mean(pair["grades"])))
    return found


def read(reading: str) -> dict[str, Any]:
    """Spearman's correlation of each judge's likeness of a name and a passage with how a reader found they fit."""
    pairs = pairs_read(reading)
    names = [pair["name"] for pair in pairs]
    likeness: dict[str, NDArray[np.float64]] = {judge: np.zeros(len(pairs)) for judge in (DETECTION, LEXICAL, IN_SPACE)}
    for name in dict.fromkeys(pair["collection"] for pair in pairs):
        of = collection(name, texts.MINILM)
        for space in spaces_of(evidence_of(of, from_pretrained().sae)):
            reader = space._replace(read=lambda some, read=space.read: unit(read(some))).reader(names)
            for i, pair in enumerate(pairs):
                if pair["collection"] == name:
                    (likeness[space.judge][i],) = reader(i, np.array([of.ids.index(pair["passage"])]))
    grades = np.array([pair["grades"] for pair in pairs], float)
    return {
        "n": len(pairs),
        "between_passes": float(spearmanr(grades[:, 0], grades[:, 1]).statistic),
        "judges": {judge: float(spearmanr(of, grades.mean(axis=1)).statistic) for judge, of in likeness.items()},
    }  # fmt: skip


def unit(rows: detection.Rows) -> detection.Rows:
    """Rows at length 1; those of words are already."""
    return rows if issparse(rows) else unit_rows(rows)


# --- what is shown --------------------------------------------------------------------------------


def macro(results: Mapping[str, Any], kind: str, figure: str) -> float:
    found = [of["names"][kind].get(figure, float("nan")) for of in results["collections"].values()]
    return float(np.nanmean(found))


def headline(results: Mapping[str, Any]) -> dict[str, float]:
    def mean(figure: str) -> float:
        return float(np.mean([of[figure] for of in results["collections"].values()]))

    figures = {
        "detection_strong": macro(results, SHOWN, f"{STRONG}, holding"),
        "detection_middle": macro(results, SHOWN, f"{MIDDLE}, holding"),
        "margin_over_shuffled": macro(results, SHOWN, DETECTION) - macro(results, SHUFFLED, DETECTION),
        "margin_over_random": macro(results, SHOWN, DETECTION) - macro(results, RANDOM, DETECTION),
        "controls_marked": macro(results, RANDOM, "holding"),
        "marked_share": mean("holding"),
        "marked_contribution": mean("holding_contribution"),
        "named_mass": mean("score_named_returning"),
        "reader_correlation": results["reading"][SECOND]["judges"][DETECTION],
    }
    return {name: round(figure, 4) for name, figure in figures.items()}


def summary(results: Mapping[str, Any]) -> list[str]:
    """Names and controls by each judge, means of the collections; the marks; the judges beside the reader."""
    kinds = [
        {
            "names": kind,
            **{judge.removeprefix(f"{DETECTION}-"): f"{macro(results, kind, judge):.3f}" for judge in JUDGES},
            Trust.HOLDS.mark: f"{macro(results, kind, 'holding'):.1%}",
        }
        for kind in (SHOWN, DICTIONARY, KEYPHRASES, *CONTROLS)
    ]
    return [*table(kinds), "", *table(by_mark(results)), "", *table(by_collection(results)), "", *reading(results)]


def by_mark(results: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = []
    for trust in Trust:
        found = [of["marks"][trust.value] for of in results["collections"].values() if trust.value in of["marks"]]
        if found:
            n = [of["names"] for of in found]
            decided, fresh = (np.average([of[key] for of in found], weights=n) for key in ("decided", "fresh"))
            said = {"detection": f"{decided:.3f}", "on other texts": f"{fresh:.3f}"}
            rows.append({"mark": f"{trust.mark} {trust.value}", "names": f"{sum(n):,}", **said})
    return rows


def by_collection(results: Mapping[str, Any]) -> list[dict[str, str]]:
    shown = {"names that hold": "holding", "their contribution": "holding_contribution",
             "of a score": "score_named", "and returning": "score_named_returning"}  # fmt: skip
    return [
        {"collection": name, "live": f"{of['live']:,}", **{said: f"{of[key]:.0%}" for said, key in shown.items()}}
        for name, of in results["collections"].items()
    ]


def reading(results: Mapping[str, Any]) -> list[str]:
    """The judges beside the reader, and how often names fit, by the first and by the second reading."""
    of = results["reading"]
    first, second = (of[which]["judges"] for which in (FIRST, SECOND))
    judges = [{"judge": judge, FIRST: f"{first[judge]:.2f}", SECOND: f"{second[judge]:.2f}"} for judge in first]
    by_first, by_second = [one["read"] for one in results["collections"].values()], of[SECOND]["read"].values()
    return [*table(judges), "", *table(list(preferred())), "", *table(list(by_group(by_first, list(by_second))))]


def preferred() -> Iterator[dict[str, str]]:
    """Which name a reader would rather read, the dictionary's or a keyphrase that had a better mark."""
    asked = json.loads(PREFERRED.read_text(encoding="utf-8"))["names"]
    for marks_, rows in groupby(sorted(asked, key=lambda row: row["marks"]), key=lambda row: row["marks"]):
        of, by = list(rows), [Trust(mark).mark for mark in marks_]
        rather = Counter(row["rather"] for row in of)
        good = [np.mean([row["grades"][which] == GOOD for row in of]) for which in (0, 1)]
        yield {
            "reader's": by[0], "keyphrase's": by[1], "concepts": str(len(of)),
            "rather reader's": str(rather["reader"]), "rather keyphrase": str(rather["keyphrase"]),
            "good": f"{good[0]:.0%}", "good keyphrases": f"{good[1]:.0%}",
        }  # fmt: skip


def by_group(
    first: Iterable[Mapping[str, list[float]]], second: Iterable[Mapping[str, list[float]]]
) -> Iterator[dict[str, str]]:
    """How often a reader found that a name fits, at least partly in the mean of two readings, and plainly."""
    for kind in ("named", "traces", "unnamed", "strong", "middle", "weak", SILENT):
        row = {"a reader": kind}
        for which, collections in ((FIRST, first), (SECOND, second)):
            grades = np.array([grade for of in collections for grade in of.get(kind, ())])
            row |= {
                f"{which}: pairs": f"{len(grades):,}",
                "fits" + " " * (which == SECOND): f"{np.mean(grades >= FITS):.0%}",
                "plainly" + " " * (which == SECOND): f"{np.mean(grades >= PLAINLY):.0%}",
            }
        yield row


if __name__ == "__main__":
    main()
