"""The concept index: the passages that share concepts with a query, best first.

    config.json      what is committed: the scoring, the segments in order, every file with its checksum
    segments/NAME/   passages that were added together, see `segment`

An opened index is one committed state. It never changes, whatever is added or deleted meanwhile; `latest()` is the
state now. `IndexWriter` makes new states.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base import artifact
from unweave.base.artifact import MANIFEST, Manifest, damaged, read_manifest
from unweave.base.building import build
from unweave.base.contributions import Names
from unweave.base.cores import on_every_core, spans
from unweave.base.owned import OwnFolder
from unweave.base.plain import plain
from unweave.base.records import Explanation, HitList
from unweave.base.stored import read_record
from unweave.errors import CorruptArtifact
from unweave.index import kernels
from unweave.index.hits import Hits, IndexHit
from unweave.index.query import ConceptQuery, Counted, explain_concepts, weighted
from unweave.index.scoring import PROFILES, Scoring, impacts_of, inverse_document_frequency
from unweave.index.searching import Asked, Whole, by_segment
from unweave.index.segment import (
    FOR_SEARCH,
    Batch,
    Entries,
    Indexed,
    Segment,
    as_bytes,
    formula_of,
    write_segment,
)

KIND = "index"
SEGMENTS = "segments"
LAYOUT = 2
"""How segments are stored; an index of another layout is not read."""
_REOPENED = 20


class ConceptIndex:
    """One committed state of an index. Safe to search from many threads at once."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Open what a manifest states; `ConceptIndex.open` reads the manifest.

        Raises:
            CorruptArtifact: it states no index, or a file is not what was written.
        """
        self.folder = folder
        self.manifest = manifest
        self._owned: OwnFolder | None = None
        if not manifest.checksum:
            raise CorruptArtifact(f"{folder / MANIFEST} has no checksum; build the index again")
        if manifest.settings.get("layout") != LAYOUT:
            raise CorruptArtifact(f"{folder} is an index of another version of unweave; build it again")
        with damaged(f"{folder / MANIFEST} does not state an index ({{}}); build it again"):
            self.scoring = read_record(Scoring, manifest.settings["scoring"], folder)
            self.n_latents = int(manifest.settings["n_latents"])
            self.mean_latents = float(manifest.state["mean_latents"])
            self.as_built = bool(manifest.state["as_built"])
            """Whether it holds what `build` was given, in that order: position i is passage i of the corpus."""
            stated = [(_segment_name(s["name"]), s["deletion"]) for s in manifest.state["segments"]]
        self.segments = [
            Segment(folder, manifest, name, n_latents=self.n_latents, deletion=deletion) for name, deletion in stated
        ]
        self._first = np.concatenate([[0], np.cumsum([s.n_passages for s in self.segments], dtype=np.int64)])
        self.formula = formula_of(self.scoring, self.mean_latents, self.n_latents)
        self.document_frequency: NDArray[np.int64] = sum(
            (s.document_frequency for s in self.segments), np.zeros(self.n_latents, np.int64)
        )
        """How many passages have each latent, (n_latents,)."""
        self.n_passages = sum(s.n_live for s in self.segments)
        """Passages that can be found: deleted ones do not count."""
        self._whole = Whole(self.segments, self._first, self.document_frequency)

    def __repr__(self) -> str:
        where = "memory" if self._owned else str(self.folder)
        profile = self.scoring.profile
        return f"ConceptIndex({self.n_passages:,} passages, {self.n_latents:,} latents, scoring {profile}, in {where})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ConceptIndex, (self.folder, self.manifest), {"_owned": self._owned}  # opened again, not copied

    def __deepcopy__(self, memo: dict[int, Any]) -> ConceptIndex:
        return self  # one state never changes

    @classmethod
    def open(cls, folder: Path | str) -> ConceptIndex:
        """Open the latest committed state: milliseconds, at any size.

        Raises:
            MissingArtifact, CorruptArtifact: there is none, or it is damaged.
        """
        return cls._opened(Path(folder), None)

    @classmethod
    def _opened(cls, folder: Path, known: ConceptIndex | None) -> ConceptIndex:
        """The latest committed state; the known one itself if nothing has changed since."""
        for _ in range(_REOPENED):
            before = _stated(folder)
            try:
                manifest = read_manifest(folder, KIND)
                if known is not None and manifest == known.manifest:
                    return known
                opened = cls(folder, manifest)
                opened._owned = known._owned if known is not None else None
                return opened
            except (CorruptArtifact, FileNotFoundError):
                # A writer may have committed, and taken old segments away, since the manifest was read.
                if _stated(folder) == before:
                    raise
        raise CorruptArtifact(f"{folder} changed {_REOPENED} times while it was opened; stop what rewrites it")

    @classmethod
    def build(
        cls,
        latents: csr_array,
        ids: Sequence[str] | None = None,
        scoring: Scoring = PROFILES["default"],
        *,
        mean_latents: float | None = None,
        folder: Path | str | None = None,
        made_from: Mapping[str, str] | None = None,
    ) -> ConceptIndex:
        """Index a corpus.

        Args:
            latents: (n_passages, n_latents) activations, > 0, as `SAE.encode` gives them.
            ids: a unique id for each passage; None: their positions.
            mean_latents: avgdl of the formula, where these are a part of a corpus; None: that of these passages.
            folder: where the index will be; one that is there already is replaced. None: in a temporary folder, which
                goes away with the last of this index and what its `latest` gave.
            made_from: fingerprints of what the latents come from, by name.

        Raises:
            BadData: ids are not unique, or activations are not positive numbers.
            ScoringUndefined: the formula is undefined for more than one in a hundred passages.
        """
        n_passages, n_latents = latents.shape
        batch = Batch([str(i) for i in range(n_passages)] if ids is None else ids, latents)
        return cls.from_batches(
            [batch], scoring, n_latents, mean_latents=mean_latents, folder=folder, made_from=made_from
        )

    @classmethod
    def from_batches(
        cls, batches: Iterable[Batch], scoring: Scoring, n_latents: int, *, mean_latents: float | None = None,
        folder: Path | str | None = None, made_from: Mapping[str, str] | None = None, as_built: bool = True,
        replace: bool = True,
    ) -> ConceptIndex:  # fmt: skip
        """Index passages that do not fit into memory at once; the rest as for `build`.

        Args:
            as_built: whether they are a corpus, in its order.
            replace: an index that is there already.
        """
        owned = OwnFolder() if folder is None else None
        folder = owned.path / KIND if owned else Path(folder or "")
        settings = settings_of(scoring, n_latents)
        with build(folder, KIND, settings=settings, made_from=made_from or {}, replace=replace) as made:
            name = f"{SEGMENTS}/000001"
            (made.path / name).mkdir(parents=True, exist_ok=True)
            written = write_segment(made.path / name, batches, scoring, n_latents, mean_latents)
            segments = [{"name": name, "deletion": None}]
            made.state.update(mean_latents=written.mean_latents, segments=segments, as_built=as_built)
            made.results.update(
                n_passages=written.n_passages,
                n_postings=int(np.load(made.path / name / "document_frequency.npy").sum()),
                left_out=written.left_out,
            )
        index = cls.open(folder)
        index._owned = owned
        return index

    def latest(self) -> ConceptIndex:
        """The state that is committed now: this one, if nothing has changed."""
        return self._opened(self.folder, self)

    def verify(self) -> None:
        """Read every byte and compare it with what was written.

        Raises:
            CorruptArtifact: something is not; says which segment and file.
        """
        artifact.verify(self.folder, self.manifest)

    # --- search -----------------------------------------------------------------------------------

    def search(self, query: csr_array, cutoff: int = 10, *, explain: Names | None = None) -> HitList[IndexHit]:
        """The best passages for a query's latents, by id; idf and saturation are those of the index's scoring.

        Args:
            query: (1, n_latents) activations, as `SAE.encode` gives them for one embedding.
            explain: names of latents; with them, even if they are none, each score is explained and checked.

        Raises:
            BadData, DimensionMismatch: these are the latents of several queries, or of another SAE.
            CorruptArtifact: what was read of the index is not what was written.
        """
        read = weighted(query, self.idf, self.scoring)
        hits = self.hits(*read, cutoff)
        whys: Sequence[Explanation | None] = [None] * len(hits.scores)
        if explain is not None:
            explained = self.explain(read, hits, explain)
            for why in explained:
                why.check()
            whys = explained
        columns = zip(hits.scores.tolist(), self.ids(hits.passages.tolist()), whys, strict=True)
        return HitList(IndexHit(rank, *found) for rank, found in enumerate(columns, 1))

    def explain(
        self, query: ConceptQuery, hits: Hits, names: Names | None = None, passage_k: int | None = None
    ) -> list[Explanation]:
        """Why `hits` gave these passages their scores, in their order.

        Args:
            passage_k: so many latents of each passage counted, its strongest; None: all that are indexed.
        """
        whole = map(self.counted, hits.passages.tolist())
        counted = [found.first(passage_k) for found in whole]
        return explain_concepts(hits.scores.tolist(), *query, counted, names)

    def hits(
        self,
        latents: NDArray[np.integer[Any]],
        weights: NDArray[np.floating[Any]],
        cutoff: int = 10,
        *,
        banned: Sequence[int] = (),
        allowed: NDArray[np.bool_] | None = None,
        passage_k: int | None = None,
        effort: float = 1.0,
    ) -> Hits:
        """The best passages that share a latent with the query, exactly; may be fewer than `cutoff`, or none.

        A passage's score is the sum of weight * impact over shared latents, rounded to single precision.

        Args:
            latents, weights: (n_active,) the query, each latent once; a weight of 0 counts as not there.
            banned: passages with one of these latents are left out.
            allowed: (n_positions,) which positions may be found; None: all.
            passage_k: count only so many latents of each passage, its strongest; None: all that are indexed.
            effort: the share of the query's postings to read. Below 1 the search is approximate: the lists that tell
                most for their length are read, and the passages that are best by those are scored exactly. With
                negative weights or a passage_k it is exact all the same.

        Raises:
            BadData: a latent is not of this index, occurs twice, or has a weight that is no number.
            CorruptArtifact: what was read of the index is not what was written.
        """
        formula = self.formula
        if passage_k is not None:
            formula = formula._replace(counted=min(passage_k, formula.kept))
        asked = Asked(latents, weights, cutoff, banned, allowed, passage_k, effort)
        return self._whole.search(asked, formula)

    def hits_of_each(self, queries: csr_array, cutoff: int = 10, *, effort: float = 1.0) -> list[Hits]:
        """`hits` for each row of queries, (n_queries, n_latents) weights, on every core."""
        rows = [slice(a, b) for a, b in zip(queries.indptr[:-1], queries.indptr[1:], strict=True)]
        return on_every_core(
            lambda row: self.hits(queries.indices[row], queries.data[row], cutoff, effort=effort), rows
        )

    @property
    def n_positions(self) -> int:
        """Positions run from 0 to this; those of deleted passages are left unused until the next compaction."""
        return int(self._first[-1])

    @cached_property
    def idf(self) -> NDArray[np.float32]:
        """The weight of each latent in a query, (n_latents,), by the index's scoring; 0 for one that no passage has."""
        return inverse_document_frequency(self.document_frequency, self.n_passages, self.scoring)

    # --- passages ---------------------------------------------------------------------------------

    def ids(self, positions: Iterable[int]) -> list[str]:
        """The ids of the passages at these positions."""
        return [self.segments[nth].id(place) for nth, place in map(self._place, positions)]

    def positions(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Where the passages with these ids are, (n_ids,); -1 where there is none."""
        found, wanted = np.full(len(ids), -1), as_bytes(ids)
        for nth, segment in enumerate(self.segments):
            places = segment.places(wanted)
            found = np.where(places >= 0, self._first[nth] + places, found)
        return found

    def row(self, position: int) -> Entries:
        """All latents of a passage, the strongest first.

        Raises:
            CorruptArtifact: it is not what was written.
        """
        nth, place = self._place(position)
        return self.segments[nth].row(place)

    def impacts(self, position: int) -> Entries:
        """The latents of a passage that are indexed, and their impacts."""
        found = self.counted(position)
        return Entries(found.latents, found.impacts)

    def counted(self, position: int) -> Counted:
        """What of a passage counts in its score, the strongest latents first."""
        latents, activations = self.row(position)
        impacts = impacts_of(activations[: self.formula.kept], self.mean_latents, self.scoring)
        n = len(impacts) if len(impacts) and 0 < impacts[-1] < np.inf else 0
        return Counted(latents[:n], activations[:n], impacts[:n])

    def batches(self, n: int = 10_000) -> Iterator[Indexed]:
        """All passages that can be found, in the order of their positions, with what of them is indexed.

        Args:
            n: passages at once, at most.

        Raises:
            CorruptArtifact: what was read is not what was written.
        """
        for segment in self.segments:
            for start, end in spans(len(segment.live_places), n):
                yield segment.indexed(segment.live_places[start:end], self.formula)

    def reconstructed(self, products: NDArray[np.float64], positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Sum of activation * product over all latents of each passage, (n,).

        With the products W_dec q, this is (x_hat - b_pre) . q.

        Args:
            products: (n_latents,).
            positions: (n,) ascending.

        Raises:
            CorruptArtifact: what was read of the index is not what was written.
        """
        scores = np.empty(len(positions))
        for nth, some in by_segment(self._first, positions):
            segment = self.segments[nth]
            arguments = segment.forward, self.formula.id_bytes, self._first[nth], positions[some], segment.n_passages
            if not kernels.reconstruct_all(*arguments, products, scores[some]):
                segment.refuse("forward")
        return scores

    def bytes(self, *, forward: bool = False) -> int:
        """Size on disk of what concept search reads; with `forward`, the forward lists too, which rescoring reads.

        The exact search of concepts reads a few forward lists as well, those of the best passages.
        """
        names = FOR_SEARCH + (("forward", "forward_offsets") if forward else ())
        files = self.manifest.files.items()
        return sum(int(entry["bytes"]) for path, entry in files if Path(path).stem.split("-")[0] in names)

    def _place(self, position: int) -> tuple[int, int]:
        if not 0 <= position < self.n_positions:
            raise IndexError(f"position {position} is outside an index of {self.n_positions} positions")
        nth = int(np.searchsorted(self._first, position, side="right")) - 1
        return nth, int(position - self._first[nth])


def settings_of(scoring: Scoring, n_latents: int) -> dict[str, Any]:
    """What the manifest of an index says of how it was made."""
    return {"scoring": asdict(scoring), "n_latents": n_latents, "layout": LAYOUT}


def _segment_name(name: str) -> str:
    if not re.fullmatch(rf"{SEGMENTS}/[0-9]+", name):
        raise ValueError(f"{plain(str(name), 60)!r} is no segment's name")
    return name


def _stated(folder: Path) -> bytes:
    path = folder / MANIFEST
    return path.read_bytes() if path.is_file() else b""
