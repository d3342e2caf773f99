"""Does an audit find faults that were planted, and are its claims true?

    UNWEAVE_DATA=… python benchmarks/audits.py [--collections NAME …] [--seeds 20] [--passages 2000] [--quick]

Each seed takes a collection, puts its passages into five random groups, and plants each of these with probability 1/2:

- *footer*: one to three sentences of boilerplate behind a fifth to two fifths of the passages;
- *length*: the encoder adds to each passage, by its log length, a part of the mean query's direction, so much that the
  first ten hits are .4 to 1 standard deviation longer, or shorter, than the relevant passages;
- *group*: the encoder moves one group towards the mean of a third of the queries, so far that the group gets 1.6 to
  2.5 times the attention that it deserves;
- *leak*: 60 to 120 test questions stand word for word at the beginning of passages that are relevant to them;
- *hubs*: four to eight near-duplicates of no group that lie on the mean query's direction, so long that 15 to 40 % of
  the queries have them among the first ten.

Each is made so strong when it is planted, and others come on top of it: one that has less than 1.3 times the smallest
effect that is claimed in the end counts as not planted, and is listed as too weak.

What is planted reaches the audit as texts and an encoder, no more; it is told of the groups that there are five. The
audit reads one half of the queries. A planted fault is found if a claim names it: boilerplate, or a concept of it, with
words of the footer; length with the right sign; the group; a hub's passages; leaked questions.

What else is claimed may be true all the same, for real collections and a real encoder have faults of their own, and
what is planted has consequences (where one group is favoured, the others are not). So each such claim is put to the
other half of the queries, which no audit has read, without minimum and counterfactual: it is

- *own* if it returns there, same subject, same sign, p < .05, where nothing was planted;
- *consequence* if it does not, and returns there where it was claimed;
- *false* otherwise.

`false_share` is that of false claims among all. Consequences are counted apart, for a reader may be stricter. A claim
that returns by luck, at most one in forty of those that are false, is missed so. Beside the seeds, each collection is
audited with nothing planted.

Writes results/audits.json, but for `--quick`. The last line is one JSON object with the figures to hold a change
against.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from measuring import about
from planted import FAULTS, KEY, Base, Biased, Planted, World, grouped, hits, planted, world

from unweave.audits import audit, claims
from unweave.audits.audited import Audited
from unweave.audits.claims import Claim, Tested
from unweave.base.contributions import labels_of
from unweave.cli.show import table
from unweave.dictionaries.dictionary import from_pretrained

RESULTS = Path(__file__).parent / "results" / "audits.json"
COLLECTIONS = ("fiqa-mini",)
SEEDS, FIRST_SEED, PASSAGES = 20, 201, 2000
"""Seeds from 201 on were not looked at while the audit was made; those from 1 on, and from 101 on, were."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collections", nargs="+", default=COLLECTIONS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="Of the seeds")
    parser.add_argument("--passages", type=int, default=PASSAGES, help="Of each collection, at most")
    parser.add_argument("--quick", action="store_true", help="Two seeds of FiQA; writes nothing")
    options = parser.parse_args()
    names = ["fiqa-mini"] if options.quick else options.collections
    base = Base()
    worlds = {name: world(name, options.passages, base) for name in names}
    unplanted = {}
    found: dict[str, Any] = {"about": about("numpy", "scipy"), "clean": {}, "seeds": []}
    for name, of in worlds.items():
        clean = Planted(grouped(of, np.random.default_rng(0)), Biased(base), {}, [])
        unplanted[name] = keyed(audit.tests(audited(of, clean, 1), [KEY]).tested)
        one = judged(of, clean, 0, unplanted[name])
        found["clean"][name] = one
        print(name, json.dumps(one), flush=True)
        base.keep()
    for seed in range(options.first, options.first + (2 if options.quick else options.seeds)):
        name = names[seed % len(names)]
        one = judged(worlds[name], planted(worlds[name], seed, base), seed, unplanted[name])
        found["seeds"].append({"seed": seed, "collection": name, **one})
        print(json.dumps(found["seeds"][-1]), flush=True)
        base.keep()
    if not options.quick:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("\n".join(summary(found)))
    print(json.dumps(headline(found)))


# --- what is found --------------------------------------------------------------------------------


@cache
def dictionary() -> Any:
    return from_pretrained()


def audited(of: World, what: Planted, half: int, seed: int = 0) -> Audited:
    """What the audit reads: one half of the queries, and the corpus as it was planted."""
    rows = what.encoder.encode_passages([passage.content for passage in what.passages])
    place = {passage.passage_id: at for at, passage in enumerate(what.passages)}
    some = of.halves[half]
    asked = of.asked[some]
    return Audited(
        what.passages, rows, dictionary().sae.encode(rows), dictionary().sae, [of.queries[i] for i in some], asked,
        hits(rows, asked), [{place[p]: g for p, g in of.relevant[i].items()} for i in some], what.encoder,
        labels_of(dictionary().names), seed=seed,
    )  # fmt: skip


Key = tuple[str, tuple[str, str]]


def keyed(tests: Sequence[Tested]) -> dict[Key, tuple[float, float]]:
    """Effect and p of each test, by what it is about."""
    return {(one.kind, one.subject.key): (one.effect, one.p) for one in tests}


def judged(of: World, what: Planted, seed: int, unplanted: dict[Key, tuple[float, float]]) -> dict[str, Any]:
    """Audit what was planted, and judge each claim."""
    made = audit.audit_of(audited(of, what, 0, seed), "", {}, [KEY])
    verdicts: list[str] = []
    here: dict[Key, tuple[float, float]] = {}
    for claim in made.claims:
        if fault := named(claim, what.faults):
            verdicts.append(fault)
        elif returns(claim, unplanted):
            verdicts.append("own")
        else:
            here = here or keyed(audit.tests(audited(of, what, 1, seed), [KEY]).tested)
            verdicts.append("consequence" if returns(claim, here) else "false")
    return {
        "planted": what.faults,
        "too weak": what.weak,
        "found": sorted(set(verdicts) & set(what.faults)),
        "claims": [
            {"verdict": verdict, "kind": claim.kind, "sentence": claim.sentence, "corrected": claim.corrected,
             "counterfactual": claim.counterfactual._asdict()}
            for verdict, claim in zip(verdicts, made.claims, strict=True)
        ],
        "counts": [count._asdict() for count in made.counts],
    }  # fmt: skip


def named(claim: Claim, faults: dict[str, Any]) -> str | None:
    """The planted fault that a claim names, if it names one."""
    kind, subject = claim.kind, claim.subject
    if "length" in faults and kind == "length" and claim.effect * faults["length"] > 0:
        return "length"
    if (
        "group" in faults
        and kind == "exposure"
        and subject.name == f"{KEY} = {faults['group'][0]}"
        and claim.effect > 0
    ):
        return "group"
    if "hubs" in faults and kind == "hub" and set(subject.passage_ids) <= set(faults["hubs"][0]):
        return "hubs"
    if "leak" in faults and kind == "leaked question":
        return "leak"
    if "footer" in faults and kind.endswith("boilerplate") and _quotes(claim.sentence, faults["footer"]):
        return "footer"
    return None


def _quotes(sentence: str, footer: str) -> bool:
    """Whether eight words in a row of a footer stand in a sentence."""
    said, words = (" ".join(re.findall(r"\w+", text)) for text in (sentence, footer))
    parts = words.split()
    return any(" ".join(parts[i : i + 8]) in said for i in range(len(parts) - 7))


def returns(claim: Claim, tests: dict[Key, tuple[float, float]]) -> bool:
    """Whether a claim's test comes out the same on other queries."""
    effect, p = tests.get((claim.kind, claim.subject.key), (0.0, 1.0))
    return effect * claim.effect > 0 and p < claims.ALPHA


# --- what is shown --------------------------------------------------------------------------------


def verdicts_of(found: dict[str, Any]) -> Counter[str]:
    return Counter(claim["verdict"] for one in found["seeds"] for claim in one["claims"])


def headline(found: dict[str, Any]) -> dict[str, Any]:
    verdicts, seeds = verdicts_of(found), found["seeds"]
    n = sum(verdicts.values())
    return {
        "planted": sum(len(one["planted"]) for one in seeds),
        "found": sum(len(one["found"]) for one in seeds),
        "claims": n,
        "false_share": round(verdicts["false"] / max(1, n), 4),
        "consequences": verdicts["consequence"],
        "own": verdicts["own"],
        "clean_claims": sum(len(one["claims"]) for one in found["clean"].values()),
    }


def summary(found: dict[str, Any]) -> list[str]:
    """What the documentation shows."""
    return [*table(list(_rows(found))), "", *table(list(_claims(found)))]


def _rows(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for fault in FAULTS:
        of = [one for one in found["seeds"] if fault in one["planted"]]
        yield {"planted": fault, "seeds": len(of), "found": sum(fault in one["found"] for one in of)}
    of_all = headline(found)
    yield {"planted": "all", "seeds": of_all["planted"], "found": of_all["found"]}


def _claims(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    verdicts = verdicts_of(found)
    n = sum(verdicts.values())
    for name, count in (
        ("what was planted", sum(verdicts[fault] for fault in FAULTS)),
        ("a consequence of it", verdicts["consequence"]),
        ("the collection's or the encoder's own", verdicts["own"]),
        ("false", verdicts["false"]),
        ("all", n),
    ):
        yield {"claims about": name, "n": count, "share": f"{count / max(1, n):.0%}"}


if __name__ == "__main__":
    main()
