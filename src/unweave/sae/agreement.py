"""How much of one dictionary returns in another: latents matched one to one, by what they read and what they write.

The matching is the one-to-one assignment that maximises the sum of decoder and encoder cosines (the Hungarian method).
A latent's agreement is the lower of its pair's two cosines, and it returns if that is at least `RETURNS`: shared in
encoder and decoder as in Paulo & Belrose, arXiv 2501.16615. The mean decoder cosine of the pairs is the PW-MCC of Song
et al., arXiv 2505.20254, but for one thing: their assignment looks at the decoder alone, so theirs is never lower.

What two runs have in common because they began alike says nothing about a third: who calls this sees to their starts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from unweave.base.cores import spans
from unweave.base.plain import plain
from unweave.base.room import refuse_beyond_memory
from unweave.base.vectors import unit_rows
from unweave.errors import BadData, DimensionMismatch
from unweave.sae.model import SAE, strongest

RETURNS, CLOSELY = 0.7, 0.9
"""A latent returns from this agreement on, and returns closely from that on."""
STRONGEST = 5
"""Concepts of a text that a reader of an explanation looks at."""
BANDS = ("rare", "middle", "common")
"""A third of the live latents each, by the number of texts that activate them."""
_SEED = 0
_ROWS_AT_ONCE, _TEXTS_AT_ONCE, _FLOATS_AT_ONCE = 1024, 2048, 1 << 24


class Directions(NamedTuple):
    """What some latents write and read, each row of length 1; a row of zeros stays one."""

    decoder: NDArray[np.float32]  # (n, d_in)
    encoder: NDArray[np.float32]  # (n, d_in)


class Matching(NamedTuple):
    """For each latent of the first SAE its partner in the other, and how alike the two are."""

    partners: NDArray[np.int64]  # (n,) the partner's number; -1: it has none
    decoder: NDArray[np.float32]  # (n,) cosine of the two rows of W_dec; NaN without a partner
    encoder: NDArray[np.float32]  # (n,) cosine of the two rows of W_enc; NaN without a partner

    @property
    def agreement(self) -> NDArray[np.float32]:
        """(n,) the lower of the two cosines; NaN without a partner."""
        return np.minimum(self.decoder, self.encoder)


class Shares(NamedTuple):
    """How far some latents return: all that are compared, or those of one band. None: there is nothing to divide by."""

    n_latents: int
    decoder: float | None
    """Mean decoder cosine of those that have a partner."""
    encoder: float | None
    """Mean encoder cosine of those that have a partner."""
    latents_above_07: float | None
    """Share of the latents that return; one without a partner does not."""
    latents_above_09: float | None
    """Share of the latents that return closely."""
    contribution_above_07: float | None
    """The same share, each latent weighted by its contribution; None without texts."""
    contribution_above_09: float | None


class Returning(NamedTuple):
    """How much of an SAE its twin found again."""

    known: int
    """Latents of which it is known whether they return."""
    latents: int
    """Those of them that do."""
    contribution: float
    """Of what all latents contribute to texts, the share of those; see `Agreement.contribution`. 0 where none acts."""


class Agreement(NamedTuple):
    """How much of a first SAE returns in another."""

    matching: Matching
    """Of all latents of the first; those that no text activates have no partner."""
    contribution: NDArray[np.float64] | None
    """(n_latents,) sum over texts of |z_j (w_j . (x - b_pre))|: what each latent of the first adds to |x - b_pre|^2 as
    it is reconstructed, its size alone; None without texts."""
    found: dict[str, Shares]
    """Of `all` latents and, where there are texts, of each of the `BANDS`."""
    random: dict[str, Shares]
    """The floor: the same where random mixtures of its own directions stand in the other's place."""
    top5: float | None
    """Of the first's `STRONGEST` concepts of each text, the share whose partner returns and is among the other's."""
    top5_random: float | None
    """The floor: the same against the other's concepts of another text."""
    n_other: int
    """Latents of the other that the first's were matched with."""
    n_identical: int
    """Latents whose partner has the same decoder row, bit for bit: one SAE was taken over from the other."""
    n_texts: int | None


class Reading(NamedTuple):
    """What an SAE makes of texts."""

    frequency: NDArray[np.int64]  # (n_latents,) texts that activate each
    contribution: NDArray[np.float64]  # (n_latents,)
    strongest: csr_array  # (n_texts, n_latents), at most STRONGEST a text


def agreement(one: SAE, other: SAE, embeddings: NDArray[np.floating[Any]] | None = None) -> Agreement:
    """Match two SAEs' latents one to one, and measure how much of the first returns in the other.

    Args:
        one: whose latents are to be found again; sizes may differ, and the larger has latents without a partner then.
        other: where they are looked for.
        embeddings: (n, d_in), texts by which latents are live, common and strong. Only live latents are compared; all
            of them, where there are no texts.

    Raises:
        DimensionMismatch: the SAEs, or the embeddings, differ in width.
        BadData: the SAEs read different encoders' embeddings, no text activates one of them, an embedding is zero or
            not finite, the weights leave float32, or the matching does not fit into memory.
    """
    refuse_other_space(one, other)
    readings = [] if embeddings is None else [_read_live(sae, embeddings) for sae in (one, other)]
    ours, theirs = [np.flatnonzero(of.frequency) for of in readings] or [np.arange(len(s.W_dec)) for s in (one, other)]
    mine, yours = directions_of(one, ours), directions_of(other, theirs)
    found, floor = match(mine, yours), match(mine, random_directions(yours))
    named = found._replace(partners=np.where(found.partners >= 0, theirs[found.partners], -1))
    matching = _spread(named, ours, one.config.n_latents)
    paired = np.flatnonzero(matching.partners >= 0)
    bands, contribution = {"all": np.arange(len(ours))}, None
    top5, top5_random, n_texts = None, None, None
    if readings:
        by_frequency = np.argsort(readings[0].frequency[ours], kind="stable")
        bands |= dict(zip(BANDS, np.array_split(by_frequency, len(BANDS)), strict=True))
        first, second = (of.strongest for of in readings)
        top5, top5_random = _overlap(first, second, matching), _overlap_by_chance(first, second, matching)
        contribution, n_texts = readings[0].contribution, first.shape[0]
    weights = None if contribution is None else contribution[ours]
    return Agreement(
        matching=matching,
        contribution=contribution,
        found={band: _shares(found, chosen, weights) for band, chosen in bands.items()},
        random={band: _shares(floor, chosen, weights) for band, chosen in bands.items()},
        top5=top5,
        top5_random=top5_random,
        n_other=len(theirs),
        n_identical=int((one.W_dec[paired] == other.W_dec[matching.partners[paired]]).all(axis=1).sum()),
        n_texts=n_texts,
    )


def with_twin(sae: SAE, twin: SAE, embeddings: NDArray[np.floating[Any]], *, first: int = 0) -> NDArray[np.float32]:
    """How closely another run found the latents of a first one again: what `SAE.twin` holds.

    Args:
        twin: the same training from another seed.
        embeddings: (n, d_in), texts that both were trained on; the latents that they activate are matched.
        first: latents before this one are a given dictionary's, the same in both, and are not matched.

    Returns:
        (n_latents,) each latent's agreement; 0 for one that has no partner, NaN for one that is not matched.
    """
    ours, theirs = (_live(one, embeddings, first) for one in (sae, twin))
    agreements = np.full(sae.config.n_latents, np.nan, np.float32)
    agreements[ours] = 0
    if len(ours) and len(theirs):
        found = match(directions_of(sae, ours), directions_of(twin, theirs)).agreement
        agreements[ours] = np.nan_to_num(found)
    return agreements


def returning(sae: SAE, embeddings: NDArray[np.floating[Any]]) -> Returning:
    """How many of an SAE's latents return, by what its twin says, and how much they contribute to texts, (n, d_in).

    Raises:
        DimensionMismatch, BadData: as `agreement`.
    """
    contribution = read(sae, embeddings).contribution
    returns = np.array([latent for latent, found in sae.returns.items() if found], np.int64)
    whole = float(contribution.sum())
    return Returning(len(sae.returns), len(returns), float(contribution[returns].sum()) / whole if whole else 0.0)


def refuse_other_space(one: SAE, other: SAE) -> None:
    """Check that two SAEs read the same embeddings, as far as they state it.

    Raises:
        DimensionMismatch, BadData: they do not.
    """
    if one.config.d_in != other.config.d_in:
        raise DimensionMismatch(
            f"the first SAE reads embeddings {one.config.d_in} wide and the other {other.config.d_in}; only SAEs of "
            "one encoder can be compared"
        )
    encoders = [sae.config.encoder for sae in (one, other)]
    if all(encoders) and encoders[0] != encoders[1]:
        raise BadData(
            f"the first SAE reads embeddings of {plain(encoders[0], 80)} and the other those of "
            f"{plain(encoders[1], 80)}; only SAEs of one encoder can be compared"
        )


def match(one: Directions, other: Directions) -> Matching:
    """The one-to-one matching with the highest sum of decoder and encoder cosines.

    Args:
        one: (n, d_in) each.
        other: (m, d_in) each; if m < n, the n - m of the first that gain the sum least have no partner.

    Raises:
        BadData: the n * m cosines do not fit into memory.
    """
    from scipy.optimize import linear_sum_assignment

    n, m = len(one.decoder), len(other.decoder)
    if n > m:
        backwards = match(other, one)
        mine = backwards.partners
        return _spread(Matching(np.arange(m), backwards.decoder, backwards.encoder), mine, n)
    refuse_beyond_memory(8 * n * m, f"matching {n:,} latents with {m:,} one to one", "compare smaller dictionaries")
    costs = np.empty((n, m))
    for start, end in spans(n, _ROWS_AT_ONCE):
        products = one.decoder[start:end] @ other.decoder.T + one.encoder[start:end] @ other.encoder.T
        np.negative(products, out=costs[start:end])
    _, partners = linear_sum_assignment(costs)
    decoder, encoder = (
        np.clip(np.einsum("nd,nd->n", mine, theirs[partners]), -1, 1) for mine, theirs in zip(one, other, strict=True)
    )
    return Matching(partners.astype(np.int64), decoder, encoder)


def by_number(one: Directions, other: Directions) -> NDArray[np.float32]:
    """Agreement of the latents that have the same number in both, (n,) where the smaller has n: no matching, no choice.

    It says how far each latent of an SAE has moved since another from which it was trained on.
    """
    n = min(len(one.decoder), len(other.decoder))
    cosines = [np.einsum("nd,nd->n", mine[:n], yours[:n]) for mine, yours in zip(one, other, strict=True)]
    return np.asarray(np.clip(np.minimum(*cosines), -1, 1), np.float32)


def directions_of(sae: SAE, latents: NDArray[np.int64] | slice = slice(None)) -> Directions:
    """What some latents of an SAE write and read, by default all."""
    return Directions(_unit(sae.W_dec[latents]), _unit(sae.W_enc[latents]))


def random_directions(of: Directions, seed: int = _SEED) -> Directions:
    """As many random directions that spread as these do: mixtures of all of them, the same in decoder and encoder.

    Weights are normal, so the directions have the second moments of these; a rotation would lose how unevenly
    directions fill the space, and with it most of what two dictionaries share by chance.
    """
    random = np.random.default_rng(seed)
    decoder, encoder = np.empty_like(of.decoder), np.empty_like(of.encoder)
    for start, end in spans(len(decoder), _ROWS_AT_ONCE):
        mixture = random.standard_normal((end - start, len(decoder)), dtype=np.float32)
        decoder[start:end], encoder[start:end] = mixture @ of.decoder, mixture @ of.encoder
    return Directions(unit_rows(decoder), unit_rows(encoder))


def read(sae: SAE, embeddings: NDArray[np.floating[Any]]) -> Reading:
    """How often, and how strongly, an SAE's latents act on texts, (n, d_in).

    Raises:
        DimensionMismatch, BadData: as `agreement`.
    """
    embeddings = sae.checked(embeddings)
    frequency, contribution = np.zeros(sae.config.n_latents, np.int64), np.zeros(sae.config.n_latents)
    kept = [csr_array((0, sae.config.n_latents), dtype=np.float32)]
    for start, end in spans(len(embeddings), _TEXTS_AT_ONCE):
        latents, centred = sae.encode(embeddings[start:end]), embeddings[start:end] - sae.b_pre
        rows = np.repeat(np.arange(end - start), np.diff(latents.indptr))
        for first, last in spans(latents.nnz, max(1, _FLOATS_AT_ONCE // sae.config.d_in)):
            columns = latents.indices[first:last]
            along = np.einsum("nd,nd->n", sae.W_dec[columns], centred[rows[first:last]])
            added = np.abs(latents.data[first:last].astype(np.float64) * along)
            contribution += np.bincount(columns, added, sae.config.n_latents)
        frequency += np.bincount(latents.indices, minlength=sae.config.n_latents)
        kept.append(strongest(latents, STRONGEST))
    if not np.isfinite(contribution).all():
        raise BadData(f"{sae!r} has weights so large that activations leave float32; was it imported whole?")
    return Reading(frequency, contribution, csr_array(vstack(kept, format="csr")))


def _read_live(sae: SAE, embeddings: NDArray[np.floating[Any]]) -> Reading:
    reading = read(sae, embeddings)
    if not reading.frequency.any():
        raise BadData(
            f"none of the {len(embeddings):,} texts activates a latent of {sae!r}; give texts that are embedded as "
            "those that it was trained on"
        )
    return reading


def _live(sae: SAE, embeddings: NDArray[np.floating[Any]], first: int) -> NDArray[np.int64]:
    """The latents from `first` on that texts, (n, d_in), activate, ascending."""
    active = np.unique(sae.encode(embeddings).indices).astype(np.int64)
    return active[active >= first]


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows at length 1 whatever their scale: squares of another tool's weights may leave float32."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    return unit_rows(np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0))


def _spread(found: Matching, places: NDArray[np.int64], n: int) -> Matching:
    """A matching of some latents as one of n, at these places; the others have no partner."""
    partners, decoder, encoder = np.full(n, -1), np.full(n, np.nan, np.float32), np.full(n, np.nan, np.float32)
    partners[places], decoder[places], encoder[places] = found
    return Matching(partners, decoder, encoder)


def _shares(found: Matching, chosen: NDArray[np.int64], weights: NDArray[np.float64] | None) -> Shares:
    partners, decoder, encoder = (values[chosen] for values in found)
    paired, agrees = partners >= 0, np.minimum(decoder, encoder)
    of_latents = [_mean(agrees >= least) for least in (RETURNS, CLOSELY)]
    of_contribution = [
        None if weights is None else _mean(agrees >= least, weights[chosen]) for least in (RETURNS, CLOSELY)
    ]
    return Shares(len(chosen), _mean(decoder[paired]), _mean(encoder[paired]), *of_latents, *of_contribution)


def _mean(values: NDArray[Any], weights: NDArray[np.float64] | None = None) -> float | None:
    weights = np.ones(len(values)) if weights is None else weights
    return float(values.astype(np.float64) @ weights / weights.sum()) if weights.any() else None


def _overlap(one: csr_array, other: csr_array, matching: Matching) -> float | None:
    """Of the entries of one, (n_texts, n), the share whose returning partner is an entry of other, (n_texts, m)."""
    if not one.nnz:
        return None
    returning = np.flatnonzero(matching.agreement >= RETURNS)
    ones = np.ones(len(returning), np.float32)
    translation = csr_array((ones, (returning, matching.partners[returning])), shape=(one.shape[1], other.shape[1]))
    return float((_active(one) @ translation).multiply(_active(other)).sum() / one.nnz)


def _overlap_by_chance(one: csr_array, other: csr_array, matching: Matching) -> float | None:
    n_texts = one.shape[0]
    if n_texts < 2:
        return None
    order = np.random.default_rng(_SEED).permutation(n_texts)
    another = np.empty_like(order)
    another[order] = np.roll(order, 1)  # every text has another one's, never its own
    return _overlap(one, csr_array(other[another]), matching)


def _active(latents: csr_array) -> csr_array:
    return csr_array((np.ones(latents.nnz, np.float32), latents.indices, latents.indptr), shape=latents.shape)
