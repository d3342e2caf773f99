"""A query in all forms that systems read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class EmbeddedQuery(NamedTuple):
    """A query in all forms that systems read."""

    text: str
    vector: NDArray[np.float32]  # (d_in,)
    tokens: NDArray[np.float32] | None = None  # (n_tokens, d_token), each of length 1; None where no system reads them
