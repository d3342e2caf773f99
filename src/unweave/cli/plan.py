"""The command that says what a corpus of any size takes, before any of it is begun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unweave.base.plain import number_of, plain
from unweave.cli.options import JSON, config_of, open_project, print_json

if TYPE_CHECKING:
    from unweave.cluster.limits import Limit
    from unweave.cluster.plan import Plan
    from unweave.cluster.rates import Rate, Rates

_FILE = click.Path(dir_okay=False, path_type=Path)
_NO_PROJECT = "-"
_SHOWN_LIMITS = 5
MEASURED = "MEASURED; rates of a processor are for one core"


@click.command()
@click.option("--passages", required=True, help="Passages of the corpus: 100M, 8.8M, 10B, 1e6 or 1,000,000.")
@click.option("--words", default=100.0, show_default=True, help="Words of a passage, on average.")
@click.option(
    "--encoder",
    default="all-MiniLM-L6-v2",
    show_default=True,
    help="Encoder: a known model's name, its folder, or LAYERSxWIDTH such as 12x768.",
)
@click.option("--gpus", default=0, show_default=True, help="GPUs of all machines, for embedding and training.")
@click.option("--machines", type=int, help="Machines.  [default: as many as the search service needs]")
@click.option("--cpus", type=int, help="Cores of all machines.  [default: those that are assumed of a machine]")
@click.option("--price-gpu-hour", "gpu_hour", type=float, help="Price of a GPU for an hour, in any currency.")
@click.option("--price-cpu-hour", "cpu_hour", type=float, help="Price of a core for an hour.")
@click.option("--price-gb-month", "gb_month", type=float, help="Price of keeping a GB for a month.")
@click.option(
    "--texts-per-gpu-second",
    type=float,
    help="Texts that one of your GPUs embeds in a second; by default a figure that is in part assumed.",
)
@click.option(
    "--assumptions", "assumed", type=_FILE, help="File of TOML or JSON, name = value, in place of what is assumed."
)
@click.option(
    "--calibrate",
    "project",
    is_flag=False,
    flag_value=_NO_PROJECT,
    metavar="[PROJECT]",
    help="Measure this machine first, in about a minute, on texts of PROJECT or of the packaged dictionary.",
)
@JSON
def plan(
    passages: str, words: float, encoder: str, gpus: int, machines: int | None, cpus: int | None,
    gpu_hour: float | None, cpu_hour: float | None, gb_month: float | None, texts_per_gpu_second: float | None,
    assumed: Path | None, project: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Say what a corpus of any size takes: machines, hours, bytes and money of each stage, and what breaks first.

    Arithmetic from measured rates, which are shown with their day, machine and script; what nobody measured is assumed,
    and shown as such. The last stage, search, is simulated query by query.

    \b
    Examples:
      unweave plan --passages 100M --gpus 8
    """
    from unweave.cluster.assumptions import Assumptions, read_assumptions
    from unweave.cluster.encoders import shape_of
    from unweave.cluster.order import Order, Prices, count
    from unweave.cluster.plan import planned
    from unweave.cluster.rates import packaged

    assumptions = Assumptions() if assumed is None else read_assumptions(assumed)
    order = config_of(
        Order, n_passages=count(passages), words=words, encoder=shape_of(encoder), gpus=gpus, machines=machines,
        cpus=cpus, texts_per_gpu_second=texts_per_gpu_second,
    )  # fmt: skip
    prices = config_of(Prices, gpu_hour=gpu_hour, cpu_hour=cpu_hour, gb_month=gb_month)
    rates = packaged()
    if project is not None:
        rates = rates.with_rates(_measured(encoder, project, words))
    found = planned(order, rates, assumptions, prices)
    if as_json:
        print_json(as_record(found))
        return
    for line in shown(found):
        click.echo(line)


def _measured(encoder: str, project: str, words: float) -> dict[str, Rate]:
    """Rates of this machine, with the packaged dictionary if it reads the encoder; of texts that are no corpus, how
    long words are says nothing."""
    from unweave.cluster.calibration import TEXTS, calibrated
    from unweave.cluster.encoders import shape_of
    from unweave.config import DEFAULT_MODEL, PRETRAINED, EncoderConfig
    from unweave.encode.encoders import open_encoder
    from unweave.sae.given import located, read_sae

    is_default = encoder in (DEFAULT_MODEL, DEFAULT_MODEL.rpartition("/")[2])
    model = open_encoder(config_of(EncoderConfig, model=DEFAULT_MODEL if is_default else encoder))
    sae = read_sae(located(PRETRAINED)) if is_default else None
    if project == _NO_PROJECT:
        found = calibrated(model, shape_of(encoder), list(_packaged_texts(round(words))), sae)
        return {name: rate for name, rate in found.items() if name not in ("tokens", "text")}
    corpus = open_project(Path(project)).corpus
    texts = [corpus[i].content for i in range(0, len(corpus), max(1, len(corpus) // TEXTS))][:TEXTS]
    return calibrated(model, shape_of(encoder), texts, sae)


def _packaged_texts(words: int) -> Iterator[str]:
    """What the packaged dictionary's names mean, joined to texts of so many words."""
    from unweave.config import PRETRAINED
    from unweave.dictionaries.latents import read_latents
    from unweave.sae.given import located, read_sae

    folder = located(PRETRAINED)
    latents = read_latents(folder, read_sae(folder).config.n_latents)
    every = [word for latent in latents for word in f"{latent.name or ''}. {latent.description}".split()]
    size = min(max(1, words), 1000)
    for start in range(0, len(every) - size, size):
        yield " ".join(every[start : start + size])


# --- what is shown ---------------------------------------------------------------------------------


def shown(found: Plan) -> Iterator[str]:
    """A plan as lines, at most 120 columns wide."""
    yield from _asked(found)
    yield from _first(found)
    yield ""
    yield from _stages(found)
    yield ""
    yield "What breaks first, as planned"
    yield from _limits(found.limits)
    yield ""
    machine = f"{found.assumptions.cores_per_machine} cores, {found.assumptions.memory_gb:g} GB"
    yield f"What breaks first, if this is one project on one machine ({machine}, no GPU)"
    yield from _limits(found.one_project, found.order.n_passages)
    yield ""
    yield from _search(found)
    yield ""
    yield from _rates(found.rates)
    yield ""
    yield "ASSUMED, not measured; change any of it with --assumptions FILE"
    yield from columns(list(found.assumptions.rows()), left=("assumed", "what it is"))
    yield ""
    yield from _notes(found)


def _asked(found: Plan) -> Iterator[str]:
    order, sizes, shape = found.order, found.sizes, found.order.encoder
    yield (
        f"{order.n_passages:,} passages of {order.words:g} words, {shape.name}: {shape.layers} layers of {shape.d_in}, "
        f"{shape.parameters / 1e6:.3g} million parameters a token"
    )
    cards = f", {order.gpus} GPU{'s' * (order.gpus > 1)}" if order.gpus else ", no GPU"
    yield (
        f"{number_of(found.machines, 'machine')}, {number_of(found.cores, 'core')}{cards}; "
        f"{number_of(sizes.n_shards, 'shard')} of {sizes.shard_passages:,}; {sizes.n_latents:,} latents"
    )


def _first(found: Plan) -> Iterator[str]:
    """What breaks first, in a sentence each."""
    nearest, alone = found.limits[0], found.one_project[0]
    said = f"{nearest.what}, {_share(nearest)} of the limit"
    yield f"breaks first, as planned: {said}" if nearest.share > 1 else f"nothing breaks as planned; nearest: {said}"
    from_size = f"from {_count(found.order.n_passages / alone.share)} passages on"
    breaks = "breaks" if alone.share > 1 else "would break"
    yield f"as one project on one machine {breaks} first: {alone.what}, {from_size}"


def _stages(found: Plan) -> Iterator[str]:
    rows = [
        {
            "stage": stage.name,
            "machines": f"{stage.machines:,}",
            "on": number_of(stage.workers, stage.on),
            "time": "runs on" if stage.hours is None else _time(stage.hours),
            "bound by": stage.bound_by,
            "disk": _bytes(stage.disk_bytes),
            "network": "-" if stage.network_bytes is None else _bytes(stage.network_bytes),
            "memory a worker": _bytes(stage.worker_bytes),
            **({"money": _money(stage.money, stage.hours is None)} if found.prices.known else {}),
        }
        for stage in found.stages
    ]
    yield from columns(rows, left=("stage", "bound by"))
    kept_bytes = f"kept on disk, with what searchers hold: {_bytes(found.kept_bytes)}"
    yield f"one after the other: {_time(found.hours)}; {kept_bytes}"
    if found.prices.known:
        missing = [f"--price-{name.replace('_', '-')}" for name, price in asdict(found.prices).items() if price is None]
        kept = "" if found.stored_money is None else f", and {_money(found.stored_money, False)} a month to keep it all"
        not_priced = f"; not counted, no price: {', '.join(missing)}"
        yield f"money: {_money(found.making_money, False)} to make{kept}{not_priced if missing else ''}"


def _limits(limits: Sequence[Limit], n_passages: int | None = None) -> Iterator[str]:
    rows = []
    shown_ones = [one for one in limits if not one.avoided or one.share > 1]
    for one in shown_ones[:_SHOWN_LIMITS] + [one for one in shown_ones[_SHOWN_LIMITS:] if one.avoided]:
        a_second = one.unit.removeprefix("B")
        row = {
            "what": one.what,
            "takes": _bytes(one.used) + a_second if one.unit[:1] == "B" else _amount(one.used, one.unit),
            "of": _bytes(one.limit) + a_second if one.unit[:1] == "B" else _amount(one.limit, one.unit),
            "share": _share(one),
            "": "avoided" if one.avoided else "BREAKS" if one.share > 1 else "",
        }
        if n_passages is not None:
            row["reached at"] = _count(n_passages / one.share)
        rows.append(row | {"way out": one.way_out})
    yield from columns(rows, left=("what", "", "way out"))


def _search(found: Plan) -> Iterator[str]:
    service, latency, assumptions = found.service, found.latency, found.assumptions
    copies = f", {assumptions.replicas} copies" if assumptions.replicas > 1 else ""
    yield (
        f"Search, simulated: {assumptions.queries_per_second:g} queries a second, each to "
        f"{number_of(service.n_shards, 'shard')} on {number_of(service.machines, 'machine')}{copies}"
    )
    yield (
        f"  a query takes {_seconds(service.core_seconds)} of cores in all; machines are busy "
        f"{latency.load:.0%} of the time"
    )
    if latency.p50 is None:
        yield "  queries come faster than they are answered: queues grow for ever, and there is no latency to state"
        return
    yield (
        f"  answered in {latency.p50:,.1f} ms by half of the queries, {latency.p99:,.1f} ms by 99 %, "
        f"{latency.p999:,.1f} ms by 99.9 %; without stragglers 99 % by {latency.p99_without_stragglers:,.1f} ms"
    )
    yield (
        f"  of half of them: the query's embedding {latency.embedding:.1f} ms, its search {latency.searching:.2f}, "
        f"waiting {latency.waiting:.2f}, messages {latency.messages:.1f}, gathering hits {latency.gathering:.2f}"
    )


def _rates(rates: Rates) -> Iterator[str]:
    from unweave.cluster.rates import figure

    yield MEASURED
    machines = {
        machine: chr(65 + i) for i, machine in enumerate(dict.fromkeys(r.machine for r in rates.rates.values()))
    }
    rows = [
        {"rate": name, "value": figure(rate.value), "unit": rate.unit, "day": rate.date, "on": machines[rate.machine],
         "by": rate.script.removeprefix("python ")}
        for name, rate in rates.rates.items()
    ]  # fmt: skip
    yield from columns(rows, left=("rate", "unit", "on", "by"))
    yield "; ".join(f"{letter}: {plain(machine)}" for machine, letter in machines.items())
    sizes = ", ".join(f"{1e3 * seconds:.3f} ms ({_count(n)})" for n, seconds in rates.shard_seconds)
    yield f"exact search for ten by one core, passages of a shard: {sizes}"


def _notes(found: Plan) -> Iterator[str]:
    order, texts = found.order, found.texts_per_gpu_second
    if texts is not None and order.texts_per_gpu_second is None:
        yield (
            f"A GPU embeds {texts:,.0f} texts a second here: HALF ASSUMED. Measured is the card's product in float32 "
            f"({found.rates.rates['product'].machine});"
        )
        yield "assumed is gpu_share, what of it an encoder reaches. Give your own: --texts-per-gpu-second"
    elif texts is not None:
        yield f"A GPU embeds {texts:,.0f} texts a second, as given."
    yield "Encoders are compared by parameters x tokens: 12 width^2 a layer, attention between tokens left out."
    yield "Nothing was run at this size. Left out: failures and retries, starting machines, BM25's lists of words,"
    yield "requests' prices, a language model that names, and what a machine's cores take from each other beyond two."


def as_record(found: Plan) -> dict[str, Any]:
    """A plan as JSON takes it."""
    return {
        "asked": asdict(found.order) | {"parameters": found.order.encoder.parameters},
        "machines": found.machines, "cores": found.cores,
        "stages": [asdict(stage) for stage in found.stages],
        "hours": found.hours, "kept_bytes": found.kept_bytes,
        "money": {"prices": asdict(found.prices), "to_make": found.making_money, "a_month_kept": found.stored_money},
        "breaks_first": [asdict(one) | {"share": one.share} for one in found.limits],
        "breaks_first_as_one_project": [asdict(one) | {"share": one.share} for one in found.one_project],
        "search": asdict(found.latency) | {
            "core_seconds": found.service.core_seconds, "shards": found.service.n_shards,
            "machines": found.service.machines,
        },
        "sizes": asdict(found.sizes), "texts_per_gpu_second": found.texts_per_gpu_second,
        "measured": {name: asdict(rate) for name, rate in found.rates.rates.items()},
        "measured_shards": [list(pair) for pair in found.rates.shard_seconds],
        "assumed": asdict(found.assumptions),
    }  # fmt: skip


def columns(rows: Sequence[dict[str, str]], left: Sequence[str]) -> Iterator[str]:
    """Rows of one shape as aligned columns, words to the left and numbers to the right."""
    names = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    for row in ({name: name for name in names}, {name: "─" * widths[name] for name in names}, *rows):
        cells = (row[n].ljust(widths[n]) if n in left else row[n].rjust(widths[n]) for n in names)
        yield "  ".join(cells).rstrip()


def _seconds(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def _time(hours: float) -> str:
    if hours >= 0.95:
        return f"{hours:,.0f} h" if hours >= 99.5 else f"{hours:.1f} h"
    return f"{60 * hours:.0f} min" if hours >= 0.025 else f"{3600 * hours:.0f} s"


def _bytes(n: float) -> str:
    for size, unit in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if n >= 0.9995 * size:
            return f"{n / size:.3g} {unit}" if n < 999.5 * size else f"{n / size:,.0f} {unit}"
    return f"{n / 1e3:.3g} kB"


def _count(n: float) -> str:
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if n >= 0.9995 * size:
            return f"{n / size:.2g}{unit}" if n < 99.5 * size else f"{n / size:,.0f}{unit}"
    return f"{n:.0f}"


def _amount(n: float, unit: str) -> str:
    if unit == "busy":
        return f"{n:.0%} {unit}"
    number = _count(n) if n >= 1e6 else f"{n:,.0f}" if n >= 100 else f"{n:.3g}"
    return f"{number}{'' if unit.startswith('/') else ' '}{unit}".rstrip()


def _share(one: Limit) -> str:
    return f"{one.share:.0%}" if one.share < 10 else f"{one.share:,.0f} x"


def _money(money: float | None, a_month: bool) -> str:
    if money is None:
        return "-"
    said = f"{money:,.0f}" if money >= 10 else f"{money:.2f}"
    return f"{said} a month" if a_month else said
