"""Concepts beside the labels that a corpus came with: which concept says which label, and how far any could.

Half of the passages, drawn by the seed, choose for each label the concept whose activation tells its passages best from
the others; on the other half stand its area under the ROC curve (AUROC), and that of a linear probe of the whole
embedding, which is the ceiling of what one direction can tell. What the concept is to the label is measured as in
ClassifSAE (Lebail et al. 2025, arXiv 2506.23951) by taking it away: of the passages to which the probe rightly gives
the label, the share that lose it when the concept's part z w is taken from their embeddings. Beside it stands the share
that lose it when as much is taken away of another of the passage's concepts, drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.audits.audited import Audited, Positions
from unweave.audits.claims import CONCEPTS, Confirmation, Counterfactual, Subject, Tested
from unweave.audits.exposure import groups_of
from unweave.base.plain import plain
from unweave.errors import MissingExtra
from unweave.evaluation.significance import interval

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

SMALLEST = 0.3
"""An AUROC of .8: of two passages, one with the label, the concept is stronger in the right one four times of five."""
SMALLEST_LOSS = 0.1
"""The share of passages that have to lose the label beyond those that lose it by another concept."""
CANDIDATES = 20
"""Concepts whose AUROC is worked out for a label: those whose mean activation is set apart most by it."""
MOST_READ = 20_000
"""Passages that are read for one key, at most, drawn at random."""


class LabelRow(NamedTuple):
    """One label and its concept, on passages that the concept was not chosen on."""

    key: str
    value: str
    n: int
    """Passages with the label, of both halves."""
    latent: int
    name: str
    """Of the concept; empty if it has none."""
    single: float
    """AUROC of the one concept."""
    probe: float
    """AUROC of a linear probe of the whole embedding: the ceiling."""
    loses: float
    """Share of the passages with the label that the probe no longer gives it without the concept."""
    loses_by_another: float
    """The same without as much of another concept."""


class _Halves(NamedTuple):
    """Passages to choose on and to measure on."""

    chosen_on: Positions
    measured_on: Positions


def table(of: Audited, keys: Sequence[str]) -> list[LabelRow]:
    """One row a label of each key, the labels with most passages first."""
    rows = []
    for key in keys:
        for value, members in groups_of(of, key).items():
            row = _row(of, key, value, members)
            rows += [row] if row is not None else []
    return rows


def _row(of: Audited, key: str, value: str, members: Positions) -> LabelRow | None:
    halves, labelled = _halves(of, f"{key} = {value}"), np.zeros(len(of.passages), np.bool_)
    labelled[members] = True
    chosen_on, measured_on = halves
    if min(labelled[half].sum() for half in halves) < 2 or min((~labelled[half]).sum() for half in halves) < 2:
        return None
    latent = _chosen(of.latents[chosen_on], labelled[chosen_on])
    single = auroc(of.latents[measured_on][:, [latent]].toarray()[:, 0], labelled[measured_on])
    probe = _probe(of.rows[chosen_on], labelled[chosen_on])
    ceiling = auroc(probe.decision_function(of.rows[measured_on]), labelled[measured_on])
    loses, by_another = _loses(of, probe, measured_on[labelled[measured_on]], latent)
    label = of.names.get(latent)
    return LabelRow(
        key, value, len(members), latent, label.name if label else "", single, ceiling,
        float(loses.mean()) if len(loses) else 0.0, float(by_another.mean()) if len(loses) else 0.0,
    )  # fmt: skip


def tests(of: Audited, rows: Sequence[LabelRow]) -> Iterator[Tested]:
    """One test a row: whether the concept tells the label's passages from others."""
    from scipy.stats import mannwhitneyu

    groups = {key: groups_of(of, key) for key in dict.fromkeys(row.key for row in rows)}
    for row in rows:
        labelled = np.zeros(len(of.passages), np.bool_)
        labelled[groups[row.key][row.value]] = True
        measured_on = _halves(of, f"{row.key} = {row.value}").measured_on
        activations = of.latents[measured_on][:, [row.latent]].toarray()[:, 0]
        with_it, without = activations[labelled[measured_on]], activations[~labelled[measured_on]]
        p = float(mannwhitneyu(with_it, without, alternative="greater").pvalue)
        yield _tested(of, row, labelled, measured_on, p)


def _tested(of: Audited, row: LabelRow, labelled: NDArray[np.bool_], measured_on: Positions, p: float) -> Tested:
    def confirm() -> Confirmation:
        halves = _halves(of, f"{row.key} = {row.value}")
        probe = _probe(of.rows[halves.chosen_on], labelled[halves.chosen_on])
        members = measured_on[labelled[measured_on]]
        loses, by_another = _loses(of, probe, members, row.latent)
        surplus = loses.astype(np.float64) - by_another
        low = interval(surplus, of.seed)[0] if len(surplus) else 0.0
        stands = bool(len(surplus) and low > 0 and surplus.mean() >= SMALLEST_LOSS)
        counter = Counterfactual(
            "the concept taken from the embeddings of passages to which a probe gives the label",
            "share that keep the label (without another concept, and without this one)",
            1 - row.loses_by_another, 1 - row.loses, len(loses), stands,
        )  # fmt: skip
        sentence = (
            f"The concept {of.shown(row.latent)} stands for the label {plain(f'{row.key} = {row.value}', 80)}: alone "
            f"it tells its passages from others with an AUROC of {row.single:.2f}, a probe of the whole embedding with "
            f"{row.probe:.2f}."
        )
        width = 1.96 * _deviation(row.single, len(members), len(measured_on) - len(members))
        shown = of.ids(members[:3])
        return Confirmation(sentence, row.single - 0.5 - width, row.single - 0.5 + width, shown, counter)

    subject = Subject("concept", row.name, row.latent)
    return Tested(
        f"label {row.key} = {row.value}", CONCEPTS, subject, row.single - 0.5, "AUROC above chance", SMALLEST, p,
        len(measured_on), confirm,
    )  # fmt: skip


def auroc(values: NDArray[np.floating[Any]], labelled: NDArray[np.bool_]) -> float:
    """How often a value with the label is above one without, ties counting half: Mann and Whitney's U / (n m)."""
    from scipy.stats import mannwhitneyu

    found = mannwhitneyu(values[labelled], values[~labelled])
    return float(found.statistic) / (int(labelled.sum()) * int((~labelled).sum()))


def _deviation(area: float, n: int, m: int) -> float:
    """The standard error of an AUROC (Hanley & McNeil 1982)."""
    one, other = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (n - 1) * (one - area**2) + (m - 1) * (other - area**2)) / (n * m)
    return float(np.sqrt(max(variance, 0.0)))


def _halves(of: Audited, name: str) -> _Halves:
    order = of.random(name).permutation(len(of.passages))[:MOST_READ]
    return _Halves(np.sort(order[::2]), np.sort(order[1::2]))


def _chosen(latents: csr_array, labelled: NDArray[np.bool_]) -> int:
    """The latent of the highest AUROC among those whose means are set apart most."""
    latents = csr_array(latents)
    means = [np.asarray(latents[rows].mean(axis=0)).ravel() for rows in (labelled, ~labelled)]
    scale = np.sqrt(np.asarray(latents.multiply(latents).mean(axis=0)).ravel())
    apart = np.divide(means[0] - means[1], scale, out=np.zeros_like(scale), where=scale > 0)
    some = np.argsort(-apart, kind="stable")[:CANDIDATES]
    columns = latents[:, some].toarray()
    return int(some[int(np.argmax([auroc(columns[:, i], labelled) for i in range(len(some))]))])


def _probe(rows: NDArray[np.float32], labelled: NDArray[np.bool_]) -> LogisticRegression:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtra("tables of labels", "name") from error
    lengths = np.linalg.norm(rows, axis=1).mean()
    return LogisticRegression(C=100 / max(float(lengths), 1e-9) ** 2, max_iter=2000).fit(rows, labelled)


def _loses(
    of: Audited, probe: LogisticRegression, members: Positions, latent: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of the passages to which the probe gives their label, which lose it without a concept, and without another."""
    given = members[probe.predict(of.rows[members])]
    if not len(given):
        return np.empty(0, np.bool_), np.empty(0, np.bool_)
    some, random = csr_array(of.latents[given]), of.random("another concept")
    activations = some[:, [latent]].toarray()[:, 0]
    others = np.full(len(given), latent)
    for i in range(len(given)):
        held = some.indices[some.indptr[i] : some.indptr[i + 1]]
        held = held[held != latent]
        others[i] = random.choice(held) if len(held) else latent
    taken = activations[:, None] * of.sae.W_dec[latent], activations[:, None] * of.sae.W_dec[others]
    loses, by_another = (~probe.predict(of.rows[given] - part) for part in taken)
    return loses, by_another
