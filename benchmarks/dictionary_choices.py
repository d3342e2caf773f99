"""What a dictionary for any text is best made of: width, amount of text, way to train, agreement of several runs.

    UNWEAVE_DATA=… python benchmarks/dictionary_choices.py PROJECT [--texts 240000] [--only CHOICE …]

Every choice is trained twice, on disjoint halves of the first texts of a pool (PROJECT, as `unweave pretrain` embeds
it) and from other seeds, and held against the same held-out texts of the pool:

- NMSE seen and unseen, and mean L0 on unseen texts;
- what returns: the share of what latents contribute to unseen texts whose latent the other half has (agreement of .7,
  one to one, by encoder and decoder), and the share of a text's five strongest concepts;
- how it reads: how well keyphrases of a latent tell unseen texts of the pool that activate it from those that do not,
  in the second encoder's space, for the strong and the middle third of the active (see `naming.py`);
- what is found, with a dictionary that never saw the collection: nDCG@10 by codes of 32 and by first-stage CL-SR, as a
  share of dense, on SELECTION. The other collections of `dictionary.py` are left out of every choice.

Writes results/dictionary_choices.json after each choice; a choice that is there is not measured again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import retrievers
import texts
import torch
from judged import Collection, Measured, collection
from measuring import about
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans

from unweave.base.files import write_atomically
from unweave.base.records import Passage
from unweave.base.vectors import unit_rows
from unweave.cli.show import table
from unweave.concepts.evidence import Evidence, Texts
from unweave.concepts.judges.detection import MIDDLE, STRONG, by_second_encoder, detect
from unweave.concepts.judges.questions import questions
from unweave.concepts.namers.keyphrases import KeyphraseNamer
from unweave.concepts.naming import ArrayRows
from unweave.config import DEFAULT_MODEL, EncoderConfig, EvidenceConfig, KeyphraseConfig, SAEConfig
from unweave.encode.encoders import SentenceTransformerEncoder
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import PROFILES
from unweave.project import Project
from unweave.retrieval import systems
from unweave.retrieval.searcher import ConceptSearcher
from unweave.sae.agreement import agreement
from unweave.sae.model import SAE
from unweave.sae.training.consensus import LAST_LR, LAST_STEPS, consensus
from unweave.sae.training.parallel import World
from unweave.sae.training.recipe import recommend
from unweave.sae.training.rows import TrainingTexts
from unweave.sae.training.run import Run
from unweave.sae.training.twin import other_seed
from unweave.sae.training.variants import Step

RESULTS = Path(__file__).parent / "results" / "dictionary_choices.json"
SELECTION = ("cranfield", "medline", "cisi", "fiqa-mini", "scifact")
K = 32
HELD_OUT = 20_000
SEEDS = (100, 101)
"""Of the two halves."""
CONSENSUS = 3
"""Runs that a consensus is of."""
Floats = NDArray[np.float32]


class Changed(Run):
    """A training whose parameters are changed after each step."""

    after: Callable[[Run], None] | None = None

    def learn(self, x: torch.Tensor, number: int, hint: float) -> Step:
        done = super().learn(x, number, hint)
        if self.after:
            self.after(self)
        return done


def train(
    rows: Floats, seed: int, *, n_latents: int = 6144, k: int = K, after: Callable[[Run], None] | None = None,
    start: SAE | None = None, settled: int = 0, **given: Any,
) -> SAE:  # fmt: skip
    """An SAE by the recipe of `unweave fit`, but for what is given."""
    recipe = recommend(len(rows), rows.shape[1], k, n_latents=n_latents)
    config = recipe.training(seed=seed, **given)
    sae_config = SAEConfig(d_in=rows.shape[1], n_latents=n_latents, k=k, encoder=DEFAULT_MODEL)
    run = Changed(
        TrainingTexts.of(rows), rows[:2000], sae_config, replace(config, batch_size=min(config.batch_size, len(rows))),
        "cpu", World(), None, start=start, settled=settled,
    )  # fmt: skip
    run.after = after
    with run.engine.running():
        return run.to_the_end(()).sae


# --- ways to train --------------------------------------------------------------------------------


def aligned(run: Run) -> None:
    """Encoder and decoder of a latent keep an inner product of 1 (aligned training, arXiv 2605.18629)."""
    p = run.state.parameters
    p.W_enc.add_((1 - (p.W_enc * p.W_dec).sum(dim=1, keepdim=True)) * p.W_dec)


def tied_then_freed(rows: Floats, seed: int, n_latents: int = 6144) -> SAE:
    """Trained tied; then directions stay, and the encoder alone learns on."""
    start = train(rows, seed, n_latents=n_latents, least_cosine=1.0)
    pinned = torch.tensor(start.W_dec)

    def hold(run: Run) -> None:
        run.state.parameters.W_dec.copy_(pinned)

    recipe = recommend(len(rows), rows.shape[1], K, n_latents=n_latents)
    return train(rows, seed, n_latents=n_latents, start=start, after=hold, steps=recipe.steps // 2, lr=recipe.lr / 2)


def decaying(weight: float) -> Callable[[Run], None]:
    """Encoder weights shrink by this share of the step size at each step (after arXiv 2603.04198)."""

    def after(run: Run) -> None:
        run.state.parameters.W_enc.mul_(1 - weight * run.config.lr)

    return after


def from_centroids(rows: Floats, seed: int) -> SAE:
    """Directions begin at k-means centroids."""
    n_latents, sample = 6144, rows[np.random.default_rng(seed).choice(len(rows), min(len(rows), 100_000), False)]
    centre = sample.mean(axis=0)
    found = MiniBatchKMeans(n_latents, random_state=seed, batch_size=8192, n_init=1, max_iter=20).fit(sample - centre)
    directions = unit_rows(found.cluster_centers_.astype(np.float32))
    return train(rows, seed, start=_begun(directions, centre))


def _begun(directions: Floats, centre: Floats) -> SAE:
    """An SAE of these directions with an encoder tied to them, to train on from."""
    n_latents, d_in = directions.shape
    config = SAEConfig(d_in=d_in, n_latents=n_latents, k=K, encoder=DEFAULT_MODEL)
    zeros = np.zeros(n_latents, np.float32)
    return SAE(config, 0.5 * directions, zeros, directions, centre.astype(np.float32), np.zeros(1, np.float32))


def of_several(rows: Floats, seed: int, *, settled: bool, **given: Any) -> SAE:
    """What several runs agree on, beside latents that are free, trained on.

    Args:
        settled: directions of what runs agree on stay as they were averaged; encoder and free latents learn.
        given: how each run is trained, if not by the recipe.
    """
    runs = [train(rows, other_seed(seed, number), **given) for number in range(CONSENSUS)]
    start = consensus(runs)
    recipe = recommend(len(rows), rows.shape[1], K, n_latents=runs[0].config.n_latents)
    return train(
        rows, seed, start=start.sae, settled=start.n_groups if settled else 0,
        **{"n_latents": runs[0].config.n_latents, **given},
        steps=round(LAST_STEPS * recipe.steps), lr=LAST_LR * recipe.lr,
    )  # fmt: skip


CHOICES: dict[str, Callable[[Floats, int], SAE]] = {
    "6,144": train,
    "3,072": lambda rows, seed: train(rows, seed, n_latents=3072),
    "12,288": lambda rows, seed: train(rows, seed, n_latents=12_288),
    "3,072, half of the text": lambda rows, seed: train(rows[: len(rows) // 2], seed, n_latents=3072),
    "3,072, a quarter of the text": lambda rows, seed: train(rows[: len(rows) // 4], seed, n_latents=3072),
    "within .8": lambda rows, seed: train(rows, seed, least_cosine=0.8),
    "within .9": lambda rows, seed: train(rows, seed, least_cosine=0.9),
    "tied": lambda rows, seed: train(rows, seed, least_cosine=1.0),
    "tied, then freed": tied_then_freed,
    "3,072 within .8": lambda rows, seed: train(rows, seed, n_latents=3072, least_cosine=0.8),
    "3,072 within .9": lambda rows, seed: train(rows, seed, n_latents=3072, least_cosine=0.9),
    "3,072 within .95": lambda rows, seed: train(rows, seed, n_latents=3072, least_cosine=0.95),
    "3,072 within .98": lambda rows, seed: train(rows, seed, n_latents=3072, least_cosine=0.98),
    "3,072 tied": lambda rows, seed: train(rows, seed, n_latents=3072, least_cosine=1.0),
    "3,072 tied, then freed": lambda rows, seed: tied_then_freed(rows, seed, 3072),
    "1,536 within .9": lambda rows, seed: train(rows, seed, n_latents=1536, least_cosine=0.9),
    "1,536 within .95": lambda rows, seed: train(rows, seed, n_latents=1536, least_cosine=0.95),
    "6,144 within .95": lambda rows, seed: train(rows, seed, least_cosine=0.95),
    "Matryoshka": lambda rows, seed: train(rows, seed, variant="matryoshka"),
    "aligned": lambda rows, seed: train(rows, seed, after=aligned),
    "decay .01": lambda rows, seed: train(rows, seed, after=decaying(0.01)),
    "decay .1": lambda rows, seed: train(rows, seed, after=decaying(0.1)),
    "k-means start": from_centroids,
    "consensus": lambda rows, seed: of_several(rows, seed, settled=False),
    "consensus, settled": lambda rows, seed: of_several(rows, seed, settled=True),
    "3,072 within .95, consensus": lambda rows, seed: of_several(
        rows, seed, settled=False, n_latents=3072, least_cosine=0.95
    ),
    "3,072 within .95, consensus, settled": lambda rows, seed: of_several(
        rows, seed, settled=True, n_latents=3072, least_cosine=0.95
    ),
}


# --- what they are worth --------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--texts", type=int, default=240_000, help="texts of both halves (default: 240,000)")
    parser.add_argument("--only", nargs="+", choices=CHOICES, default=list(CHOICES))
    options = parser.parse_args()
    project = Project.open(options.project)
    rows = project.embedded("passages").rows(0, options.texts + HELD_OUT)
    seen, unseen = rows[: options.texts], rows[options.texts :]
    read = Reading([project.corpus[at] for at in range(options.texts, options.texts + HELD_OUT)], unseen)
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"rows": []}
    done = {(row["choice"], row["texts"]) for row in found["rows"]}
    for name in options.only:
        if (name, options.texts) not in done:
            row = {"choice": name, "texts": options.texts, **measured(CHOICES[name], seen, unseen, read)}
            found["rows"].append(row)
            found["about"] = about("numpy", "torch")
            write(found)
            print(row, flush=True)
    print("\n".join(summary(found)))


def write(found: dict[str, Any]) -> None:
    text = json.dumps(found, indent=1) + "\n"
    write_atomically(RESULTS, lambda aside: aside.write_text(text, encoding="utf-8"))


class Reading:
    """Unseen texts by which latents of any dictionary are named and their names judged."""

    def __init__(self, passages: Sequence[Passage], rows: Floats) -> None:
        self.texts = Texts(passages, ArrayRows(rows))

    def measure(self, sae: SAE) -> dict[str, float]:
        """Detection of keyphrases, means of the latents."""
        config, encoder = EvidenceConfig(passages=len(self.texts.corpus)), SentenceTransformerEncoder(EncoderConfig())
        evidence = Evidence(sae, self.texts, None, config, encoder=encoder)
        names = dict(KeyphraseNamer(evidence, KeyphraseConfig()).names(evidence.live.tolist()))
        asked = questions(evidence, list(names))
        space = by_second_encoder(evidence)
        found: dict[str, list[float]] = {}
        for _, score in detect(space, names, asked, bands=True):
            found.setdefault(score.judge, []).append(score.value)
        return {"reads_strong": statistics.mean(found[STRONG]), "reads_middle": statistics.mean(found[MIDDLE])}


def measured(choice: Callable[[Floats, int], SAE], seen: Floats, unseen: Floats, read: Reading) -> dict[str, float]:
    began = time.perf_counter()
    halves = [seen[at::2] for at in range(2)]
    one, other = (choice(half, seed) for half, seed in zip(halves, SEEDS, strict=True))
    seconds = (time.perf_counter() - began) / 2
    again, mine, new = agreement(one, other, unseen), one.measure(halves[0][:HELD_OUT]), one.measure(unseen)
    everything = again.found["all"]
    return {
        "nmse_seen": mine.nmse, "nmse_unseen": new.nmse, "l0": new.l0,
        "latents": everything.latents_above_07, "contribution": everything.contribution_above_07,
        "contribution_closely": everything.contribution_above_09, "top5": again.top5,
        "random": again.random["all"].contribution_above_07, "seconds": seconds,
    } | read.measure(one) | found_by(one)  # fmt: skip


def found_by(sae: SAE) -> dict[str, float]:
    """Mean shares of dense nDCG@10 of the two ways to search."""
    shares: dict[str, list[float]] = {"codes": [], "CL-SR": []}
    for of in opened():
        every = Measured(of)
        every.add("dense", retrievers.of_dense(of))
        every.add("codes", retrievers.of_codes(of, sae))
        index = ConceptIndex.build(sae.encode(of.passages), of.ids, PROFILES["default"])
        every.add("CL-SR", retrievers.of(of, systems.CLSR(ConceptSearcher(sae, index), name="CL-SR")))
        means = {name: float(np.mean(system["values"])) for name, system in every.systems.items()}
        for name, of_collections in shares.items():
            of_collections.append(means[name] / means["dense"])
    return {name: statistics.mean(of_collections) for name, of_collections in shares.items()}


@cache
def opened() -> list[Collection]:
    return [collection(name, texts.MINILM) for name in SELECTION]


def summary(found: dict[str, Any]) -> list[str]:
    """What the documentation shows, by the number of texts, the most concepts that return first."""
    rows = sorted(found["rows"], key=lambda row: (row["texts"], -row["contribution"]))
    return list(
        table(
            [
                {
                    "choice": row["choice"], "texts": f"{row['texts']:,}", "NMSE": f"{row['nmse_unseen']:.3f}",
                    "/ seen": f"{row['nmse_unseen'] / row['nmse_seen']:.2f}", "L0": f"{row['l0']:.1f}",
                    "returns": f"{row['contribution']:.0%}", "top five": f"{row['top5']:.0%}",
                    "strong": "" if "reads_strong" not in row else f"{row['reads_strong']:.3f}",
                    "middle": "" if "reads_middle" not in row else f"{row['reads_middle']:.3f}",
                    "codes": f"{row['codes']:.1%}", "CL-SR": f"{row['CL-SR']:.1%}",
                }
                for row in rows
            ]
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
