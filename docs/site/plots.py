"""The plot of each benchmark, from its results: what is measured on one axis, what was compared in rows or series."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from charts import Spread, curves, rows

Found = Mapping[str, Any]
_MEASURE = "nDCG@10"
DRAWN: dict[str, Callable[[Found, Path], str]] = {}
"""Of each benchmark, by its name, what draws its plot and says what that shows."""


def draw(name: str, found: Found, path: Path) -> str:
    """Draw the plot of a benchmark; returns what it shows."""
    return DRAWN[name](found, path)


def _of(name: str) -> Callable[[Callable[[Found, Path], str]], Callable[[Found, Path], str]]:
    def enter(plot: Callable[[Found, Path], str]) -> Callable[[Found, Path], str]:
        DRAWN[name] = plot
        return plot

    return enter


def _column(found: Iterable[Found], key: str) -> list[float]:
    return [one[key] for one in found]


def _spread(groups: Iterable[Sequence[float]]) -> Spread:
    """The mean of each group, from its least to its largest value."""
    groups = list(groups)
    return Spread([mean(g) for g in groups], [min(g) for g in groups], [max(g) for g in groups])


def _percent(shown: str) -> float:
    return float(shown.rstrip("%"))


# Retrieval.


@_of("demo")
def _demo(found: Found, path: Path) -> str:
    tables = {name: one["evaluation"]["rows"] for name, one in found["collections"].items()}
    labels = [row["system"] for row in tables["demo"]]
    named = {"demo": "vital articles", "scifact": "SciFact"}
    rows(path, labels, {named[c]: [row["measures"][_MEASURE] for row in of] for c, of in tables.items()}, _MEASURE)
    return "nDCG@10 of each system on the held-out queries of two collections."


@_of("effectiveness")
def _effectiveness(found: Found, path: Path) -> str:
    table = found["models"]["all-MiniLM-L6-v2"]["rows"]
    low, high = zip(*(map(float, row["95 %"].split(" to ")) for row in table), strict=True)
    dense = next(row[_MEASURE] for row in table if row["system"] == "dense")
    of = {_MEASURE: Spread(_column(table, _MEASURE), low, high)}
    labels = [f"{row['system']}   {row['B/passage']} B" for row in table]
    rows(path, labels, of, "nDCG@10, mean of thirteen collections, with its 95 % interval", line=dense)
    return "Each system over thirteen collections, with what it reads of a passage in bytes; the line is dense search."


@_of("keywords")
def _keywords(found: Found, path: Path) -> str:
    table = found["rows"]
    cases = list(dict.fromkeys((row["collection"], row["queries"]) for row in table))
    systems = list(dict.fromkeys(row["system"] for row in table))
    of = {(row["collection"], row["queries"], row["system"]): row[_MEASURE] for row in table}
    rows(path, [f"{c}, {q}" for c, q in cases], {s: [of[c, q, s] for c, q in cases] for s in systems}, _MEASURE)
    return "Queries of a rare word, and each collection's judged queries, by four systems."


@_of("ablations")
def _ablations(found: Found, path: Path) -> str:
    table = [row for row in found["rows"] if row["part"] in ("CL-SR", "codes", "tokens")]
    labels = [f"{row['part']}: {row['choice']}" for row in table]
    of = {name: [_percent(row[key]) for row in table] for name, key in (("mean", "of default"), ("worst", "worst"))}
    rows(path, labels, of, "% of the default's nDCG@10, mean of thirteen collections and the worst of them", line=100)
    return "What changing one choice of the scoring does to nDCG@10."


# Dictionaries.


@_of("stability")
def _stability(found: Found, path: Path) -> str:
    lines = {}
    for collection in dict.fromkeys(row["collection"] for row in found["rows"]):
        table = [row for row in found["rows"] if row["collection"] == collection]
        latents = _column(table, "latents")
        lines[f"{collection}, concepts that return"] = (
            latents,
            [r["matched"]["above_0.7"] for r in table],
        )
        lines[f"{collection}, codes of dense"] = (latents, _column(table, "codes 32"))
    curves(path, lines, "latents of the dictionary", "share", log="x")
    return "The more latents, the more codes find, and the fewer concepts return from another seed."


@_of("dictionary")
def _dictionary(found: Found, path: Path) -> str:
    of = found["finds"]
    ways = {"never seen": "packaged", "own latents": "packaged, with own latents", "own dictionary": "own"}
    series = {said: [100 * one[f"codes, {way}"] / one["dense"] for one in of.values()] for way, said in ways.items()}
    rows(path, list(of), series, "nDCG@10 of codes of 32, % of dense", line=100)
    return (
        "What codes keep of dense with the packaged dictionary, with own latents beside it, and with an own dictionary."
    )


@_of("dictionary_choices")
def _dictionary_choices(found: Found, path: Path) -> str:
    table = sorted(found["rows"], key=lambda row: -row["contribution"])
    labels = [f"{row['choice']}, {row['texts']:,} texts" for row in table]
    of = {"of what is contributed": "contribution", "of a text's five strongest": "top5"}
    rows(
        path,
        labels,
        {said: [100 * row[key] for row in table] for said, key in of.items()},
        "% that returns from another half of the texts",
    )
    return "How much of a dictionary a twin on other texts finds again, by how it was trained."


@_of("refit")
def _refit(found: Found, path: Path) -> str:
    labels = [f"{row['collection']}, seed {row['seed']}" for row in found["rows"]]
    of = {"trained on": [100 * row["trained_on"]["both"] for row in found["rows"]],
          "trained anew": [100 * row["anew"]["both"] for row in found["rows"]]}  # fmt: skip
    rows(path, labels, of, "% of latents that are the same under their number")
    return "Latents that keep their number when a tenth of new texts is added."


@_of("small_corpora")
def _small_corpora(found: Found, path: Path) -> str:
    sizes = sorted({row["passages"] for row in found["own"]})
    of = {kind: _spread([[100 * r["names_twice"] for r in found[kind] if r["passages"] == n] for n in sizes])
          for kind in ("pretrained", "own")}  # fmt: skip
    rows(path, [f"{n} passages" for n in sizes], of, "% of passages with a name twice among the five strongest")
    return "Mean of five collections, from the least to the most: the packaged dictionary and one of the corpus's own."


@_of("readable")
def _readable(found: Found, path: Path) -> str:
    read = {k: [pair["fits"] for pair in found["read"] if pair["dictionary"] == k] for k in ("pretrained", "own")}
    of = {
        kind: [100 * value for value in (mean(fits), found[kind]["named"], found[kind]["twice"], found[kind]["codes"])]
        for kind, fits in read.items()
    }
    labels = [
        "names that fit, by a reader",
        "of a dense score named",
        "passages with a name twice",
        "dense kept by codes",
    ]
    rows(path, labels, of, "%")
    return "The demo by the packaged dictionary with own latents beside it, and by one trained on its articles alone."


# Names and explanations.


@_of("naming")
def _naming(found: Found, path: Path) -> str:
    kinds = list(found["collections"]["scifact"]["names"])
    of = {}
    for part in ("strong", "middle", "weak"):
        values = [
            [c["names"][kind][f"detection-{part}"] for c in found["collections"].values() if kind in c["names"]]
            for kind in kinds
        ]
        of[f"{part} third"] = _spread(values)
    rows(
        path,
        [f"{kind}" for kind in kinds],
        of,
        "share of pairs told right, mean of the collections, least to most",
        line=0.5,
    )
    return "Active texts told from silent ones by a latent's name, beside names that cannot be right; .5 is chance."


@_of("readers_marks")
def _readers_marks(found: Found, path: Path) -> str:
    labels = list(found["sheets"]["names"])

    def share(kind: str, least: int) -> list[float]:
        return [100 * sum(n[least:]) / sum(n) if sum(n) else float("nan") for n in found["sheets"][kind].values()]

    of = {"fits": share("names", 1), "fits plainly": share("names", 2), "fits, random directions": share("random", 1)}
    rows(path, labels, of, "% of the texts that a reader was shown")
    return "How often a name fits a text, by how strongly the text activates the latent, as readers said."


@_of("explanations")
def _explanations(found: Found, path: Path) -> str:
    table = [
        (f"{collection}, {system}: {n} strongest erased", one[n])
        for collection, of in found["collections"].items()
        for system, one in of["causes"]["packaged"].items()
        for n in ("1", "3", "10")
    ]
    series = {}
    for said, key in (("the strongest", "erased"), ("as many at random", "erased_at_random")):
        series[said] = Spread(*([row[key][end] for _, row in table] for end in ("value", "low", "high")))
    rows(path, [label for label, _ in table], series, "share of first hits that lose their place, 95 % interval")
    return "First hits that are no longer first once the strongest concepts are taken out of them, and random ones."


@_of("models")
def _models(found: Found, path: Path) -> str:
    rows(
        path, list(found["kinds"]), {"concepts": list(found["kinds"].values())}, "concepts of the first model", log=True
    )
    return "What becomes of the concepts of one model in another model of the same texts."


@_of("audits")
def _audits(found: Found, path: Path) -> str:
    kinds = sorted({kind for seed in found["seeds"] for kind in seed["planted"]})
    of = {"planted": [sum(kind in seed["planted"] for seed in found["seeds"]) for kind in kinds],
          "found": [sum(kind in seed["found"] for seed in found["seeds"]) for kind in kinds]}  # fmt: skip
    rows(path, kinds, of, "seeds", zero=True)
    return "Faults that were planted, and those that the audit found."


# Speed and size.


@_of("training")
def _training(found: Found, path: Path) -> str:
    table = found["throughput"]
    sizes = list(dict.fromkeys((row["d"], row["n_latents"], row["k"]) for row in table))
    of = {(row["system"], row["d"], row["n_latents"], row["k"]): row["rate"] / row["floor"] for row in table}
    systems = list(dict.fromkeys(row["system"] for row in table))
    labels = [f"{d} x {n:,}, k = {k}" for d, n, k in sizes]
    series = {system: [of[(system, *size)] for size in sizes] for system in systems}
    rows(path, labels, series, "training rate, as a multiple of the encoder's product alone", log=True, line=1)
    return "Embeddings a second in training, beside the peers, each as a multiple of the float32 product."


@_of("growth")
def _growth(found: Found, path: Path) -> str:
    names = {"n": "texts", "d": "dimensions", "n_latents": "latents", "k": "k"}
    lines = {}
    for factor, name in names.items():
        table = [row for row in found["rows"] if row["factor"] == factor]
        first = table[0]
        lines[name] = ([row["value"] / first["value"] for row in table],
                       [row["epoch_seconds"] / first["epoch_seconds"] for row in table])  # fmt: skip
    curves(path, lines, "the factor, as a multiple of its smallest value", "time of a pass, likewise", log="xy")
    return "How the time of one pass grows with each factor, both axes logarithmic."


@_of("gpu")
def _gpu(found: Found, path: Path) -> str:
    best: dict[str, Found] = {}
    for row in found["rows"]:
        label = f"{row['d']} x {row['n_latents']:,}, k = {row['k']}"
        best[label] = max(best.get(label, row), row, key=lambda one: one["rate"])
    millions = {"a training step": [row["rate"] / 1e6 for row in best.values()]}
    for kind in ("float32", "bfloat16"):
        millions[f"the product alone, {kind}"] = [row["floor"][kind] / 1e6 for row in best.values()]
    rows(path, list(best), millions, f"million embeddings a second on an {found['device']}", log=True)
    return "Training on a GPU, beside the encoder's product alone."


@_of("pursuit")
def _pursuit(found: Found, path: Path) -> str:
    lines = {name: ([row["per_second"]], [row["nmse_of_few"]]) for name, row in found["systems"].items()}
    curves(path, lines, "texts a second", "NMSE at 32 latents a text", log="x")
    return "Error and speed of the encoders on one dictionary."


@_of("variants")
def _variants(found: Found, path: Path) -> str:
    of = {name: row["ways"]["own"] for name, row in found["rows"].items() if "own" in row.get("ways", {})}
    series = {said: [100 * one[key] for one in of.values()]
              for said, key in (("inverted lists", "clsr_share"), ("rescored", "rescored_share"))}  # fmt: skip
    rows(path, list(of), series, "nDCG@10, % of dense, mean of three collections")
    return "What each kind of SAE keeps of dense search by its inverted lists, and rescored from its codes."


@_of("search")
def _search(found: Found, path: Path) -> str:
    table = [row for row in found["rows"] if row["case"] == "1m" and row["k"] == 10]
    best = {f"{row['name']}, {row['kind']}": row for row in sorted(table, key=lambda row: (row["recall"], -row["p50"]))}
    kept = dict(sorted(best.items(), key=lambda one: one[1]["p50"]))
    ms = Spread(*([1e3 * row[key] for row in kept.values()] for key in ("p50", "p50_lowest", "p50_highest")))
    labels = [f"{name}, recall {row['recall']:.2f}" for name, row in kept.items()]
    rows(path, labels, {"ms": ms}, "ms a search of 1,000,000 passages: median, lowest and highest", log=True)
    return "Search times over a million passages, one thread, each engine at the most that it finds of the exact ten."


@_of("engines")
def _engines(found: Found, path: Path) -> str:
    ran = {name: row for name, row in found["engines"].items() if row["p50_ms"]}
    of = [found["local"]["p50_ms"], *(row["p50_ms"] for row in ran.values())]
    rows(
        path,
        ["the local index", *ran],
        {"ms": of},
        f"ms a search of {found['n_passages']:,} passages, median",
        log=True,
    )
    return "The median of a search by concepts in each engine that could be run."


@_of("million")
def _million(found: Found, path: Path) -> str:
    steps = found["steps"]
    rows(path, [f"{row['command']}   {row['peak_gb']:.1f} GB" for row in steps], {"s": _column(steps, "seconds")},
         f"seconds for {found['n_passages']:,} passages", log=True)  # fmt: skip
    return "Each command on a million passages, with its peak of memory."


@_of("cluster")
def _cluster(found: Found, path: Path) -> str:
    steps = found["million"]["steps"]
    of = {said: [one["seconds"] for one in steps[way].values()]
          for way, said in (("here", "one process"), ("cluster", "a cluster of two workers"))}  # fmt: skip
    rows(path, list(steps["here"]), of, f"seconds for {found['million']['passages']:,} passages", zero=True)
    return "The same corpus in shards, worked on in one process and on a cluster, with the same bytes as a result."


@_of("rates")
def _rates(found: Found, path: Path) -> str:
    lines = {name: (list(range(101)), found["spread"][key])
             for name, key in (("queries", "of_queries"), ("shards", "of_shards"))}  # fmt: skip
    curves(path, lines, "percentile", "time of a search, as a multiple of the median")
    return (
        "How times of exact searches spread, over queries and over shards, which a plan's slowest shard is taken from."
    )


@_of("serving")
def _serving(found: Found, path: Path) -> str:
    loads = found["loads"]
    of = {said: _column(loads.values(), key) for said, key in (("median", "p50_ms"), ("99th percentile", "p99_ms"))}
    rows(path, list(loads), of, f"ms until an answer, {found['about']['users']} people at once", log=True)
    return "How long people wait for an answer of the server."


@_of("start")
def _start(found: Found, path: Path) -> str:
    of = {
        "help": found["help_s"],
        "a cold search": found["search_cold_s"],
        "1,000 explanations": found["explain_1000_s"],
        "ten hits": found["top_10_ms"] / 1e3,
        "ten hits, explained": found["explained_top_10_ms"] / 1e3,
        "a filter of metadata": found["where_s"],
    }
    rows(path, list(of), {"s": list(of.values())}, f"seconds, median of {found['rounds']}", log=True)
    return "How long somebody waits for the first answers."


@_of("tutorial")
def _tutorial(found: Found, path: Path) -> str:
    of = found["cpu_s"]
    rows(path, list(of), {"s": list(of.values())}, "seconds of a processor, with the start of the program", zero=True)
    return "What each command of the tutorial takes."


@_of("journeys")
def _journeys(found: Found, path: Path) -> str:
    of = {name.replace("_", " "): sum(step["seconds"] for step in steps) for name, steps in found["journeys"].items()}
    rows(path, list(of), {"s": list(of.values())}, "seconds, all commands one after the other", zero=True)
    return "How long somebody waits in each journey."


@_of("faults")
def _faults(found: Found, path: Path) -> str:
    kinds = found["kinds"]
    wrong = [one["lost"] + one["wrong"] + one["tracebacks"] for one in kinds.values()]
    of = {"tried": _column(kinds.values(), "tried"), "lost, wrong or a traceback": wrong}
    rows(path, [kind.replace("_", " ") for kind in kinds], of, "times")
    return "Faults that were tried, by kind, and those after which something was lost, wrong or a traceback."


@_of("soak")
def _soak(found: Found, path: Path) -> str:
    of = found["minutes"]
    curves(path, {"resident memory": (list(range(len(of))), [one["memory_mb"] for one in of])}, "minutes", "MB")
    return "The server's memory over the hour."


@_of("mutation")
def _mutation(found: Found, path: Path) -> str:
    of = found["modules"]
    shares = [100 * one["caught"] / max(1, one["mutants"] - one["equivalent"]) for one in of]
    rows(path, [one["module"] for one in of], {"caught": shares}, "% of faults that tests notice")
    return "Faults that the tests notice, by the module they were put into."


@_of("covered")
def _covered(found: Found, path: Path) -> str:
    of = found["rooms"]
    shares = {
        kind: [100 * one[ran] / max(1, one[whole]) for one in of]
        for kind, ran, whole in (("lines", "ran", "lines"), ("branches", "taken", "branches"))
    }
    rows(path, [one["room"] for one in of], shares, "% that tests run")
    return "Lines and branches that the tests run, by room."


@_of("adapters")
def _adapters(found: Found, path: Path) -> str:
    of = found["adapters"]

    def seconds(version: str) -> list[float]:
        said = [re.search(r"in ([\d.]+)s", one[version]["said"]) for one in of.values()]
        return [float(match[1]) if match else float("nan") for match in said]

    rows(
        path,
        list(of),
        {v: seconds(v) for v in ("oldest", "newest")},
        "seconds of its tests, with the oldest and the newest version",
    )
    return "The time of each adapter's tests, which pass with both versions."


@_of("related")
def _related(found: Found, path: Path) -> str:
    left = [re.search(r"k =\s+(\d+): ([\d.]+)", line) for line in found["printed"]["related_pursuit"]]
    points = [(float(match[1]), float(match[2])) for match in left if match]
    curves(
        path, {"": tuple(zip(*points, strict=True))}, "latents a text", "share of the variance that is left", log="x"
    )
    return "What pursuit leaves of an embedding, by how many latents it may use."
