"""What a worker that searches holds: some shards' indexes, opened from its own disk, and what they find."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.owned import OwnFolder
from unweave.base.plain import plain
from unweave.base.records import Passage
from unweave.cluster.shards import folder_of
from unweave.cluster.store import Store
from unweave.errors import UnweaveError
from unweave.index.concept_index import KIND, ConceptIndex
from unweave.index.hits import Hits
from unweave.index.query import ConceptQuery, Counted
from unweave.texts.corpus import Corpus


class Held(NamedTuple):
    """A shard that was opened, or why it was not."""

    shard: str
    n_passages: int
    document_frequency: NDArray[np.int64]  # (n_latents,); empty where it was not opened
    said: str = ""


class Part(NamedTuple):
    """What a shard found: its best passages, and their ids; nothing, and why, where it could not be searched."""

    shard: str
    hits: Hits
    ids: list[str]
    said: str = ""


class Holder:
    """Holds shards and searches them. One holder may be asked from many threads."""

    def __init__(self, store: Store, profile: str) -> None:
        """It holds nothing yet; what it fetches goes with it."""
        self._store, self._profile = store, profile
        self._folder = OwnFolder()
        self._opened: dict[str, ConceptIndex] = {}
        self._corpora: dict[str, Corpus] = {}
        self._n_fetched = 0

    def hold(self, shards: Sequence[str]) -> list[Held]:
        """Fetch and open shards; one that cannot be is said, and the others are held all the same."""
        found = []
        for shard in shards:
            try:
                index = self._opened[shard] = ConceptIndex.open(self._fetch(shard, f"index/{self._profile}", KIND))
            except (UnweaveError, OSError) as error:
                found.append(Held(shard, 0, np.zeros(0, np.int64), plain(str(error), 300)))
                continue
            found.append(Held(shard, index.n_passages, index.document_frequency))
        return found

    def release(self, shards: Sequence[str]) -> None:
        """Hold some no longer."""
        for shard in shards:
            self._opened.pop(shard, None)
            self._corpora.pop(shard, None)

    def search(self, query: ConceptQuery, cutoff: int) -> list[Part]:
        """The best passages of each shard that is held."""
        return [self._search(shard, index, query, cutoff) for shard, index in list(self._opened.items())]

    def _search(self, shard: str, index: ConceptIndex, query: ConceptQuery, cutoff: int) -> Part:
        try:
            hits = index.hits(*query, cutoff)
            return Part(shard, hits, index.ids(hits.passages.tolist()))
        except (UnweaveError, OSError) as error:
            self._opened.pop(shard, None)  # so that it is fetched anew
            return Part(shard, Hits(np.zeros(0, np.int64), np.zeros(0, np.float32)), [], plain(str(error), 300))

    def counted(self, shard: str, positions: Sequence[int]) -> list[Counted]:
        """What of passages of a shard counts in their scores."""
        return [self._opened[shard].counted(position) for position in positions]

    def passages(self, shard: str, positions: Sequence[int]) -> list[Passage]:
        """Passages of a shard."""
        if shard not in self._corpora:
            self._corpora[shard] = Corpus.load(self._fetch(shard, "corpus", Corpus.kind))
        return [self._corpora[shard][position] for position in positions]

    def _fetch(self, shard: str, artifact: str, kind: str) -> Path:
        self._n_fetched += 1  # a folder of its own: what is replaced may still be read
        folder = self._folder.path / f"{self._n_fetched:06d}"
        self._store.fetch(f"{folder_of(shard)}/{artifact}", kind, folder)
        return folder
