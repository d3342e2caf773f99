"""A search of an index: by one compiled call where it has one segment, step by step where it has more."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.base.words import read_only
from unweave.errors import BadData
from unweave.index import kernels
from unweave.index.hits import Hits
from unweave.index.kernels import Formula, Plan, Scratch, as_latents
from unweave.index.segment import Segment

_NO_LATENTS = np.zeros(0, np.uint32)
_local = threading.local()
_compiled: set[Any] = set()
"""Kernels that this process has called."""


class Asked(NamedTuple):
    """What is asked of an index; see `ConceptIndex.search`."""

    latents: NDArray[np.integer[Any]]
    weights: NDArray[np.floating[Any]]
    cutoff: int
    banned: Sequence[int]
    allowed: NDArray[np.bool_] | None
    passage_k: int | None
    effort: float


class Whole:
    """All segments of an index, as a search sees them."""

    def __init__(
        self, segments: Sequence[Segment], first: NDArray[np.int64], document_frequency: NDArray[np.int64]
    ) -> None:
        """Take them together.

        Args:
            first: (n_segments + 1,) the position of each segment's first passage.
            document_frequency: (n_latents,) how many passages have each latent.
        """
        self._segments, self._first = segments, first
        self._document_frequency = read_only(document_frequency)
        no_scales = np.zeros((1, len(document_frequency)), np.float32)
        self._scales = read_only(np.max([s.scales for s in segments] or no_scales, axis=0))

    def search(self, asked: Asked, formula: Formula) -> Hits:
        """The best passages, as `ConceptIndex.search` says."""
        self._refuse_options(asked)
        if not len(asked.latents):
            return Hits(np.zeros(0, np.int64), np.zeros(0, np.float32))
        _say_if_compiling(kernels.search_one if len(self._segments) == 1 else kernels.scan)
        scratch = _scratch(len(self._document_frequency))
        try:
            keys = (self._of_one if len(self._segments) == 1 else self._of_many)(asked, formula, scratch)
        except BaseException:
            vars(_local).clear()  # what was half done is not to reach another search
            raise
        keys.sort()
        return Hits(*kernels.hits_of_keys(keys[: asked.cutoff]))

    def _of_one(self, asked: Asked, formula: Formula, scratch: Scratch) -> NDArray[np.uint64]:
        (segment,) = self._segments
        query = _contiguous(asked)
        arguments = (
            segment.postings, segment.forward, formula, segment.n_passages, self._document_frequency, self._scales,
            *query, asked.cutoff, asked.effort, _banned(asked), self._may_be_found(0, asked.allowed),
        )  # fmt: skip
        while True:
            ended, keys = kernels.search_one(*arguments, scratch)
            if ended == kernels.DONE:
                return keys  # type: ignore[no-any-return]
            if ended != kernels.CROWDED:
                self._refuse(ended, asked, segment)
            scratch = _local.scratch = Scratch.new(len(self._document_frequency), 2 * len(scratch.positions))

    def _of_many(self, asked: Asked, formula: Formula, scratch: Scratch) -> NDArray[np.uint64]:
        query, total = _contiguous(asked), (self._document_frequency, self._scales)
        can_be_meant, fields = kernels.begin(*query, *total, formula, asked.effort, asked.cutoff, scratch)
        if not can_be_meant:
            self._refuse_query(asked)
        plan = Plan(*fields)
        for nth, segment in enumerate(self._segments):
            arguments = (segment.postings, segment.forward, formula, self._first[nth], segment.n_passages,
                         segment.scales, plan, _banned(asked), self._may_be_found(nth, asked.allowed))  # fmt: skip
            while (ended := kernels.scan(*arguments, scratch)) == kernels.CROWDED:
                scratch = scratch.with_room(2 * len(scratch.positions))
            if ended != kernels.DONE:
                self._refuse(ended, asked, segment)
        n = kernels.drop_unneeded(scratch, plan)
        positions, scores = scratch.positions[:n], scratch.values[:n]
        for nth, some in () if plan.at_once else by_segment(self._first, positions):
            segment = self._segments[nth]
            where = self._first[nth], positions[some], segment.n_passages
            if not kernels.score_all(segment.forward, formula, *where, scratch.weights, scores[some]):
                segment.refuse("forward")
        keys: NDArray[np.uint64] = kernels.sort_keys(scores, positions)
        kernels.end(plan, scratch)
        return keys

    def _may_be_found(self, nth: int, allowed: NDArray[np.bool_] | None) -> NDArray[np.uint64]:
        live = self._segments[nth].live
        if allowed is None:
            return live
        bits = kernels.allowed_bits(allowed[self._first[nth] : self._first[nth + 1]])
        return read_only(bits & live if len(live) else bits)

    # --- what cannot be meant ---------------------------------------------------------------------

    def _refuse_options(self, asked: Asked) -> None:
        latents, weights, cutoff, banned, allowed, passage_k, effort = asked
        if latents.shape != weights.shape or latents.ndim != 1:
            raise BadData(
                f"latents of shape {latents.shape} came with weights of shape {weights.shape}; expected one each"
            )
        if cutoff < 1:
            raise BadData(f"cutoff must be at least 1, got {cutoff}")
        if passage_k is not None and passage_k < 1:
            raise BadData(f"passage_k must be at least 1, got {passage_k}")
        if not 0 < effort <= 1:
            raise BadData(f"effort must lie above 0 and not above 1, got {effort}")
        if allowed is not None and allowed.shape != (self._first[-1],):
            raise BadData(f"allowed has the shape {allowed.shape}, expected one value for each of {self._first[-1]}")
        n_latents = len(self._document_frequency)
        if len(banned) and any(not 0 <= latent < n_latents for latent in banned):
            raise BadData(f"banned latents must be from 0 to {n_latents - 1}, got {list(banned)}")

    def _refuse(self, ended: int, asked: Asked, segment: Segment) -> NoReturn:
        if ended == kernels.BAD_QUERY:
            self._refuse_query(asked)
        segment.refuse("lists" if ended == kernels.BAD_POSTINGS else "forward")

    def _refuse_query(self, asked: Asked) -> NoReturn:
        latents, n_latents = asked.latents, len(self._document_frequency)
        if not np.isfinite(asked.weights.astype(np.float32)).all():
            raise BadData("a query's weights must be finite numbers")
        if latents.min() < 0 or latents.max() >= n_latents:
            raise BadData(
                f"a query's latents must be from 0 to {n_latents - 1}, got {latents.min()} to {latents.max()}"
            )
        if len(np.unique(latents)) != len(latents):
            raise BadData("a query's latents must be unique; add up the weights of those that occur twice")
        raise BadData(
            f"a query of {len(latents)} latents; at most {kernels.MOST_LATENTS} can be searched: keep its strongest"
        )


def by_segment(first: NDArray[np.int64], positions: NDArray[Any]) -> Iterator[tuple[int, slice]]:
    """Which of these ascending positions are in each segment that has any, given where each begins."""
    if len(first) == 2:
        yield 0, slice(None)
        return
    ends = np.searchsorted(positions, first)
    for nth, (start, end) in enumerate(itertools.pairwise(ends.tolist())):
        if start < end:
            yield nth, slice(start, end)


def _contiguous(asked: Asked) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """A query as kernels read it."""
    latents, weights = np.ascontiguousarray(asked.latents, np.int64), np.ascontiguousarray(asked.weights, np.float32)
    return read_only(latents), read_only(weights)


def _banned(asked: Asked) -> NDArray[np.uint32]:
    return as_latents(list(asked.banned)) if len(asked.banned) else _NO_LATENTS


def _say_if_compiling(kernel: Any) -> None:
    """Say what takes so long, if a kernel that is about to be called is neither in memory nor on the disk."""
    if kernel in _compiled:
        return
    _compiled.add(kernel)
    function = kernel.py_func
    pattern = f"{Path(function.__code__.co_filename).stem}.{function.__name__}-*.nbi"
    if not kernel.signatures and not any(Path(kernel._cache.cache_path).glob(pattern)):
        progress.say("compiling the search, once after installation: some seconds")


def _scratch(n_latents: int) -> Scratch:
    """This thread's, kept from one search to the next."""
    scratch: Scratch | None = getattr(_local, "scratch", None)
    if scratch is None or len(scratch.weights) != n_latents:
        scratch = _local.scratch = Scratch.new(n_latents)
    return scratch
