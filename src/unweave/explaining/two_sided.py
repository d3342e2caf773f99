"""A dense score with both texts written in concepts: what they share, what other pairs of concepts add, what is left.

    q = q_hat + r_q,  d = d_hat + r_d,  x_hat = sum_i z_i(x) w_i + b,  b = b_pre

    q . d = sum_i z_i(q) z_i(d) w_i . w_i                   shared concepts
          + sum over i != j of z_i(q) z_j(d) w_i . w_j      pairs of different concepts
          + b . d_hat + (q_hat - b) . b                     bias
          + r_q . d_hat + q_hat . r_d + r_q . r_d           residuals: of the query, of the passage, of both

A list of shared concepts alone is the first line. Directions are not at right angles, so that different concepts of the
same subject add to a score too, often more than the shared ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.contributions import Label, Names, contributions, labels_of
from unweave.base.records import Contribution, adds_up
from unweave.errors import AccountingError
from unweave.explaining.accounting import pair_of
from unweave.sae.model import SAE


class Crossing(NamedTuple):
    """What a concept of the query and another one of the passage add to the score together."""

    query: int
    """The latent of the query."""
    passage: int
    """The latent of the passage."""
    query_name: str | None
    passage_name: str | None
    value: float
    """z_i(q) z_j(d) w_i . w_j"""


@dataclass(frozen=True)
class TwoSided:
    """A dense score and the parts that add up to it, both texts in concepts."""

    score: float
    shared: tuple[Contribution, ...]
    """Concepts that both activate, by |value|; query and passage are the activations. Named is one whose name holds for
    the weaker of the two."""
    crossing: tuple[Crossing, ...]
    """Pairs of different concepts, by |value|."""
    bias: float
    residual_query: float
    residual_passage: float
    residual_both: float

    @property
    def sums(self) -> dict[str, float]:
        """The parts, each kind summed up."""
        return {
            "shared": math.fsum(one.value for one in self.shared),
            "crossing": math.fsum(one.value for one in self.crossing),
            "bias": self.bias,
            "residual of the query": self.residual_query,
            "residual of the passage": self.residual_passage,
            "residual of both": self.residual_both,
        }

    def check(self, rtol: float = 1e-5) -> None:
        """Prove that the parts add up.

        Raises:
            AccountingError: they miss the score by more than `rtol` of all parts taken as positive.
        """
        values = [*(one.value for one in self.shared), *(one.value for one in self.crossing)]
        values += [self.bias, self.residual_query, self.residual_passage, self.residual_both]
        if not adds_up(values, self.score, rtol):
            total = math.fsum(values)
            raise AccountingError(f"the parts of this two-sided score add up to {total!r}, not to {self.score!r}")

    def to_dict(self) -> dict[str, Any]:
        """The account as plain JSON values."""
        kinds = {kind.replace(" ", "_"): value for kind, value in self.sums.items()}
        return {
            "score": self.score,
            "shared": [one._asdict() for one in self.shared],
            "crossing": [one._asdict() for one in self.crossing],
            "sums": kinds,
        }


def explain_both(
    query: NDArray[np.floating[Any]], passage: NDArray[np.floating[Any]], sae: SAE, names: Names | None = None
) -> TwoSided:
    """The dense score q . d of one query and one passage, both written in concepts.

    Args:
        query, passage: (d_in,) embeddings, as the encoder gave them.
        names: a name by latent, e.g. a project's `concepts`.

    Raises:
        DimensionMismatch: a vector is not d_in wide.
    """
    q, d = pair_of(query, passage, sae)
    (of_query, z_q), (of_passage, z_d) = (_active(sae.encode(x[None])) for x in (q, d))
    W_q, W_d, b = (of.astype(np.float64) for of in (sae.W_dec[of_query], sae.W_dec[of_passage], sae.b_pre))
    q_hat, d_hat = z_q @ W_q + b, z_d @ W_d + b
    products = (z_q[:, None] * z_d[None, :]) * (W_q @ W_d.T)  # (n_of_query, n_of_passage)
    same = of_query[:, None] == of_passage[None, :]
    labels = labels_of(names)
    r_q, r_d = q - q_hat, d - d_hat
    return TwoSided(
        score=float(q @ d),
        shared=_shared(of_query, z_q, z_d, products, same, labels, sae.returns),
        crossing=_crossing(of_query, of_passage, np.where(same, 0.0, products), labels),
        bias=float(b @ d_hat + (q_hat - b) @ b),
        residual_query=float(r_q @ d_hat),
        residual_passage=float(q_hat @ r_d),
        residual_both=float(r_q @ r_d),
    )


def _active(latents: csr_array) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The latents of one text and their activations, (n_active,) both."""
    return latents.indices.astype(np.int64), latents.data.astype(np.float64)


def _shared(
    of_query: NDArray[np.int64], z_q: NDArray[np.float64], z_d: NDArray[np.float64],
    products: NDArray[np.float64], same: NDArray[np.bool_], labels: Mapping[int, Label], returns: Mapping[int, bool],
) -> tuple[Contribution, ...]:  # fmt: skip
    rows, columns = np.nonzero(same)
    found = contributions(of_query[rows], z_q[rows], z_d[columns], np.minimum(z_q[rows], z_d[columns]), labels, returns)
    exact = dict(zip(of_query[rows].tolist(), products[rows, columns].tolist(), strict=True))  # w_i . w_i is nearly 1
    return tuple(one._replace(value=exact[one.latent]) for one in found)


def _crossing(
    of_query: NDArray[np.int64], of_passage: NDArray[np.int64], values: NDArray[np.float64], labels: Mapping[int, Label]
) -> tuple[Crossing, ...]:
    rows, columns = np.nonzero(values)
    order = np.argsort(-np.abs(values[rows, columns]), kind="stable")

    def name(latent: int) -> str | None:
        label = labels.get(latent)
        return label and label.name

    return tuple(
        Crossing(i, j, name(i), name(j), value)
        for i, j, value in zip(
            of_query[rows[order]].tolist(), of_passage[columns[order]].tolist(),
            values[rows[order], columns[order]].tolist(), strict=True,
        )
    )  # fmt: skip
