"""What the command line prints: tables, hits and explanations as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from unweave.base.plain import number_of, plain, printable
from unweave.base.records import NO_NAME_HOLDS, RETURNS, Contribution, Explanation, Hit, Trust, marks, traces_of
from unweave.evaluation.reproduction import Reproduction
from unweave.evaluation.reproduction import table as reproduced_rows
from unweave.evaluation.table import Evaluation
from unweave.evaluation.table import table as systems_table
from unweave.stages.add import Added
from unweave.stages.recall import Recall

if TYPE_CHECKING:
    from unweave.encode.words import Word
    from unweave.explaining.words import ByWords
    from unweave.sae.agreement import Agreement, Shares
    from unweave.stages.agree import Compared
    from unweave.stages.pretrain import Cost

_UNITS = {
    "nDCG@10": "{:.3f}",
    "Recall@100": "{:.3f}",
    "MRR@10": "{:.3f}",
    "bytes/passage": "{:,.0f}",
    "ms/query": "{:.2f}",
    "of dense": "{:.1%}",
    "Recall@1k": "{:.3f}",
    "MRR@10, mismatch": "{:.3f}",
    "FLOPs/query": "{:,.0f}",
}


_LABELS = {
    "concepts": ("concept score", "concept"),
    "dense": ("dense score", "concept"),
    "rescored": ("score by codes", "concept"),
    "embedding": ("squared length", "concept"),
    "terms": ("BM25", "term"),
    "sum": ("sum", "system"),
    "distance": ("distance", "concept"),
}
"""By what an explanation is of: how its score and one of its parts are called."""


def label(of: str) -> tuple[str, str]:
    """How a score of a kind and one of its parts are called."""
    return _LABELS[of]


def recall(rows: Sequence[Recall]) -> Iterator[str]:
    """What approximate search finds, and how fast, by effort."""
    yield from table([
        {"effort": f"{row.effort:g}", **{f"recall@{k}": f"{found:.4f}" for k, found in row.recall.items()},
         "ms/query": row.milliseconds}
        for row in rows
    ])  # fmt: skip


def reproduction(found: Reproduction) -> Iterator[str]:
    """The paper's protocol on this project: the systems, the SAEs, and where this differs from the published code."""
    yield f"{found.n_queries:,} queries, {found.n_passages:,} passages, embedded with {plain(found.encoder)}"
    yield (
        f"mismatch: the {found.n_mismatch:,} queries for which BM25 finds nothing relevant in "
        f"{found.mismatch_depth:,} passages"
    )
    yield ""
    yield from table(reproduced_rows(found))
    yield ""
    for k, saes in found.saes.items():
        parts = (f"{plain(of)} NMSE {_nmse(sae['nmse'])} at L0 {sae['l0']:.1f}" for of, sae in saes.items())
        yield f"k={k}: {', '.join(parts)}; {saes['passages']['live_latents']:,} latents live"
    yield ""
    for row in found.rows:
        if row.note:
            yield f"{plain(row.system)}, k={row.k}: {plain(row.note)}"
    yield "different from the published code:"
    yield from (f"- {plain(difference)}" for difference in found.differences)


def agreement(compared: Compared) -> Iterator[str]:
    """How much of one SAE returns in another: a table, what its words mean, and what may be said of it."""
    found = compared.agreement
    one, other = plain(str(compared.one)), plain(str(compared.other))
    kind = "latents" if found.n_texts is None else "live latents"
    read = "" if found.n_texts is None else f"; {found.n_texts:,} passages of {plain(str(compared.on))}"
    yield f"{found.found['all'].n_latents:,} {kind} of {one}, matched with {found.n_other:,} of {other}{read}"
    yield ""
    yield from table(list(_agreement_rows(found)))
    yield ""
    yield "returning: has a partner of its own whose decoder and encoder have cosines of at least .7; closely: .9"
    if found.n_texts is None:
        yield "random: random directions that spread as the other's do, in their place"
    else:
        yield "contribution: what a latent adds to the passages' reconstructions, |z (w . (x - b_pre))|, summed up"
        yield "rare, middle, common: a third of the live latents each, by how many passages activate them"
        yield "random: random directions that spread as the other's do, in their place; last row: of another passage"
    yield ""
    yield _verdict(compared)


def _agreement_rows(found: Agreement) -> Iterator[dict[str, str]]:
    columns = {**found.found, "random": found.random["all"]}
    rows: dict[str, Callable[[Shares], str]] = {
        "latents": lambda of: f"{of.n_latents:,}",
        "returning": lambda of: _percent(of.latents_above_07),
        "returning closely": lambda of: _percent(of.latents_above_09),
        "contribution returning": lambda of: _percent(of.contribution_above_07),
        "contribution returning closely": lambda of: _percent(of.contribution_above_09),
        "mean cosine of decoders": lambda of: _two_digits(of.decoder),
        "mean cosine of encoders": lambda of: _two_digits(of.encoder),
    }
    for name, cell in rows.items():
        if found.n_texts is not None or not name.startswith("contribution"):
            yield {"": name, **{column: cell(of) for column, of in columns.items()}}
    if found.n_texts is not None:
        last = {"all": _percent(found.top5), "random": _percent(found.top5_random)}
        yield {"": "five strongest of a passage", **{column: last.get(column, "") for column in columns}}


def _verdict(compared: Compared) -> str:
    """The last line: one share, and whether more can be said of it than that it was found again."""
    figure, value = compared.gate
    share, runs = _percent(value), compared.runs
    if runs.independent:
        return f"{figure}: {share}, {runs.said}"
    if share in ("-", "0%"):  # nothing was found again, so nothing is reproducible
        return f"{figure}: {share}; {runs.said}"
    if runs.began_alike:
        return f"{figure}: {share}, which is reproducible ({runs.said}) and does not show that it is stable"
    return f"{figure}: {share}; whether that is stable cannot be told: {runs.said}"


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Rows of one shape as aligned columns, numbers to the right."""
    if not rows:
        return
    cells = [[printable(name) for name in rows[0]]] + [
        [_cell(name, value) for name, value in row.items()] for row in rows
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    for number, row in enumerate(cells):
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *numbers])
        if number == 0:
            yield "  ".join("─" * width for width in widths)


def added(project: str, done: Added) -> Iterator[str]:
    """What became of a collection that was added to a project, and what to run."""
    yield (
        f"{plain(project)}: {done.n_passages:,} passages ({done.new:,} new, {done.replaced:,} replaced, "
        f"{done.unchanged:,} as they were), {done.n_queries:,} queries ({done.new_queries:,} new), "
        f"{done.new_judgements:,} new judgements"
    )
    if done.new or done.replaced or done.new_queries:
        yield f"next: unweave embed {plain(project)}, then fit, name and index build"


def cost(of: Cost) -> Iterator[str]:
    """What a dictionary takes to make."""
    yield f"texts       {of.texts:>12,}"
    yield f"embedding   {of.embedding / 60:>12,.0f} min, and {of.n_bytes / 1e6:,.0f} MB on disk"
    yield f"training    {of.training / 60:>12,.0f} min"
    yield "by a sample of the texts, on this machine; naming comes on top"


RETURNS_MEANS = f"{RETURNS}: another run, on the same texts from another seed, found the concept again"
MARKS_MEAN = "; ".join((
    f"{Trust.HOLDS.mark}: the name holds on texts that it was not made from", f"{Trust.VAGUE.mark}: it is vague",
    f"{Trust.NONE.mark}: no name holds",
))  # fmt: skip
_JUDGED = (Trust.HOLDS, Trust.VAGUE, Trust.NONE)
NOT_FOUND_AGAIN = "not found again by another run, so not to be taken for findings:"


def legend(explanations: Iterable[Explanation | None]) -> Iterator[str]:
    """What the signs of names and of concepts that return mean, if they are known of one that is shown."""
    whys = [why for why in explanations if why is not None]
    whys += [part.explanation for why in whys for part in why.parts if part.explanation is not None]
    if any(c.trust in _JUDGED for why in whys for c in why.contributions):
        yield MARKS_MEAN
        yield (
            "named 50%: names that hold at so strong an activation carry half of all that adds or takes away; "
            "traces: concepts that are weaker than their names hold from"
        )
    if any(c.returns is not None for why in whys for c in why.contributions):
        yield f"{RETURNS_MEANS}; {RETURNS} 50%: such concepts carry half of all that adds or takes away"


def hit(found: Hit, top: int = 5) -> Iterator[str]:
    """A hit, and below it the reasons for its score, if it carries them."""
    title = plain(found.passage.title or found.passage.text, 80)
    yield f"{found.rank:>3}  {found.score:8.3f}  {title}  [{plain(found.passage.passage_id, 60)}]"
    for explanation in (found.explanation, found.dense_explanation):
        if explanation is not None:
            yield from (f"     {line}" for line in explain(explanation, top))


def explain(explanation: Explanation, top: int = 5, words: ByWords | None = None) -> Iterator[str]:
    """A score as the sum of its parts: the largest contributions, the others together, bias and residual.

    Args:
        words: the same by words; below each contribution stand those that make it up.
    """
    label, kind = _LABELS[explanation.of]
    yield f"{label} {explanation.score:.4f}{f' ({carried})' if (carried := explanation.carried) else ''} ="
    if explanation.parts:
        for part in explanation.parts:
            where = "not found" if part.rank is None else f"rank {part.rank}"
            yield f"  {part.value:+9.4f}  {plain(part.system, 60)}, {where}"
            if part.explanation is not None:
                yield from (f"    {line}" for line in explain(part.explanation, top))
        return
    whole, traces = explanation.folded()
    for contribution in whole[:top]:
        shown = f'"{plain(contribution.name or "", 60)}"' if kind == "term" else concept(contribution)
        yield f"  {contribution.value:+9.4f}  {shown}"
        if words is not None:
            number = explanation.contributions.index(contribution)
            yield f"             {of_words(words.of(number), float(words.of_no_word[number]))}"
    if others := whole[top:]:
        yield f"  {sum(c.value for c in others):+9.4f}  {number_of(len(others), f'more {kind}')}"
    if traces:
        said, value = traces_of(traces)
        yield f"  {value:+9.4f}  {said}"
    if explanation.bias or explanation.of in ("dense", "rescored", "embedding", "distance"):
        yield f"  {explanation.bias:+9.4f}  shared by all passages (bias)"
    leaves = explanation.of in ("dense", "embedding", "distance")
    note = f"{explanation.explained_share:.0%} explained" if leaves else "nothing is left over"
    yield f"  {explanation.residual:+9.4f}  residual: {note}"


def of_words(values: Sequence[tuple[Word, float]], of_no_word: float) -> str:
    """The largest of what words add, the others together, and what is of no word."""
    shown = [f"{plain(word.text, 30)} {value:+.4f}" for word, value in values[:_WORDS_SHOWN]]
    if rest := values[_WORDS_SHOWN:]:
        shown.append(f"{len(rest)} more {sum(value for _, value in rest):+.4f}")
    return ", ".join([*shown, *([f"of no word {of_no_word:+.4f}"] if of_no_word else [])])


_WORDS_SHOWN = 5


def concept(contribution: Contribution) -> str:
    """A latent by its marks and its name, and its number to look it up with."""
    return named(contribution.latent, contribution.name, contribution.trust, contribution.returns)


def named(latent: int, name: str | None, trust: Trust | None, returns: bool | None) -> str:
    """A latent as it is shown everywhere: `● wind turbine  #12`, `●↻ wind turbine  #12` if it returns, without a name
    `(unnamed)  #12`, ` ↻ (unnamed)  #12`, or where none is right `○ (no name holds)  #12`."""
    before = marks(None if name is None else trust or Trust.UNSCORED, returns)
    said = "(unnamed)" if name is None else NO_NAME_HOLDS if trust is Trust.NONE else plain(name, 60)
    return f"{before}{' ' if before else ''}{said}  #{latent}"


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "undefined" if name == "nDCG@10" else "-"
    return _UNITS[name].format(value) if name in _UNITS else printable(str(value))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _two_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _nmse(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def evaluation(measured: Evaluation) -> Iterator[str]:
    """The table of systems, and below it what the SAE does to embeddings."""
    yield f"{measured.n_queries:,} held-out queries, split {measured.split!r}"
    yield ""
    yield from table(systems_table(measured))
    yield from (f"{plain(row.system)}: {plain(row.note)}" for row in measured.rows if row.note)
    yield ""
    sae = measured.sae
    for of, result in sae["held_out"].items():
        found = f"NMSE {_nmse(result['nmse'])}, mean L0 {result['l0']:.1f} ({result['n_texts']:,} texts)"
        yield f"held-out {plain(of)}: {found}"
    others = "texts trained on" if sae.get("trained", True) else "other texts"
    yield (
        f"{others}: NMSE {_nmse(sae['nmse'])}, mean L0 {sae['l0']:.1f}; "
        f"{sae['live_latents']:,} of {sae['n_latents']:,} latents live"
    )
    yield "ms/query: median time of one search, without embedding the query"
