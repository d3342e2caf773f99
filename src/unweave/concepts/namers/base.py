"""What all namers have in common, and how their names are stored: resumable, renewed only where something changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from unweave.base import progress
from unweave.concepts import store
from unweave.concepts.concept import Naming


class Namer(Protocol):
    """Anything that finds names for latents."""

    @property
    def namer(self) -> str:
        """Its kind, as it stands beside its names: one of `NAMERS`."""

    @property
    def made_with(self) -> str:
        """Digest of everything that decides its names; where another one is stored, the latent is named again."""

    @property
    def a_transaction(self) -> int:
        """How many names are stored at a time: one where a name is dear."""

    def names(self, latents: Sequence[int]) -> Iterator[tuple[int, Naming]]:
        """A naming of each latent, in any order, as they are found."""


def digest(what: Mapping[str, Any]) -> str:
    """A short digest of settings, for `made_with`."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:16]


def run(database: Path, namer: Namer, latents: Sequence[int], stored: Callable[[], object] = lambda: None) -> int:
    """Have latents named, except those that this namer has named already; returns how many were.

    Each transaction's names are there to stay: after a kill, the same call goes on with the rest.

    Args:
        stored: called after each transaction.
    """
    there = store.made_with(database, namer.namer)
    todo = [latent for latent in latents if there.get(latent) != namer.made_with]
    done = len(latents) - len(todo)
    with progress.steps(f"naming by {namer.namer}", total=len(latents), unit="concepts", done=done) as advance:
        names = namer.names(todo)
        while some := list(islice(names, namer.a_transaction)):
            store.add_namings(database, some)
            stored()
            advance(len(some))
    return len(todo)
