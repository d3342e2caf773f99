"""Some passages of all shards, with their embeddings, as an ordinary project: to train an SAE on, or to name it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave import settings
from unweave.base import progress
from unweave.base.artifact import MANIFEST, Manifest, read_manifest
from unweave.base.digests import digest_of
from unweave.base.plain import plain
from unweave.base.records import Passage
from unweave.cluster.scratch import Scratch
from unweave.cluster.shards import folder_of
from unweave.cluster.stages import Changes, fingerprint_of, mending, opened
from unweave.cluster.store import Store
from unweave.cluster.workers import Workers, run
from unweave.encode.embeddings import Embeddings, digests_of
from unweave.errors import CorruptArtifact, MissingArtifact
from unweave.stages.workspace import Workspace
from unweave.texts.corpus import Contents, Corpus
from unweave.texts.queries import QuerySet

SHARD, ROW = "shard", "row"
"""Metadata of a gathered passage: where it comes from."""
SAMPLE, READING = "sample", "reading"
"""What passages are gathered for, and the projects that they become: to train on, and to name from."""
_COMMANDS = {SAMPLE: "fit", READING: "name"}
_KINDS = {"corpus": Corpus.kind, "embeddings": Embeddings.kind}
"""What is taken of a shard."""


def drawn(n_passages: int, most: int, seed: int) -> NDArray[np.int64]:
    """At most so many rows of the corpus, drawn evenly, ascending."""
    if n_passages <= most:
        return np.arange(n_passages)
    return np.sort(np.random.default_rng(seed).choice(n_passages, most, replace=False, shuffle=False))


@dataclass(frozen=True)
class Taken:
    """Puts some passages of a shard, with their embeddings, where `gather` reads them."""

    store: Store
    changes: Changes
    purpose: str
    rows: Mapping[str, NDArray[np.int64]]
    """(n,) ascending, of each shard, counted from its first."""

    threads: int
    """See `OfShard`."""

    def __call__(self, shard: str) -> str:
        """The fingerprint of what was put there."""
        return mending(self.store, shard, self.changes, self.threads, lambda: self._take(shard))

    def _take(self, shard: str) -> str:
        rows = self.rows[shard]
        settings_ = {"rows": digest_of(str(rows.tolist())), "shard": shard}
        made_from = {name: fingerprint_of(self.store, shard, name) for name in ("corpus", "embeddings/passages")}
        if (taken := self._taken_before(shard, settings_, made_from)) is not None:
            return taken
        with opened(self.store, shard, ("embeddings/passages",), self.changes) as project:
            there, corpus, embeddings = project.path / "taken", project.corpus, project.embedded("passages")
            made = Corpus.write(there, map(_placed, [shard] * len(rows), rows.tolist(), _at(corpus, rows)),
                                settings=settings_, made_from=made_from)  # fmt: skip
            self.store.publish(there, Corpus.kind, self._place(shard, "corpus"))
            Embeddings.write(
                project.path / "taken-embeddings", digests_of(Contents(made)), lambda at: embeddings.take(rows[at]),
                label=f"passages of {shard}", settings=embeddings.manifest.settings,
                made_from={"corpus": made.manifest.fingerprint},
            )  # fmt: skip
            self.store.publish(project.path / "taken-embeddings", Embeddings.kind, self._place(shard, "embeddings"))
            return made.manifest.fingerprint

    def _taken_before(self, shard: str, settings_: Mapping[str, Any], made_from: Mapping[str, str]) -> str | None:
        """The fingerprint of these very passages, if they lie where they would be put; the embeddings came last."""
        try:
            corpus = self.store.manifest(self._place(shard, "corpus"), Corpus.kind)
            embeddings = self.store.manifest(self._place(shard, "embeddings"), Embeddings.kind)
        except (MissingArtifact, CorruptArtifact):
            return None
        there = (
            corpus.settings == settings_
            and corpus.made_from == made_from
            and embeddings.made_from == {"corpus": corpus.fingerprint}
            and self.store.is_whole(self._place(shard, "corpus"), Corpus.kind, corpus.fingerprint)
            and self.store.is_whole(self._place(shard, "embeddings"), Embeddings.kind, embeddings.fingerprint)
        )
        return corpus.fingerprint if there else None

    def fetch(self, shard: str, into: Path) -> tuple[Corpus, Embeddings]:
        """What was put there, copied into a folder.

        Raises:
            CorruptArtifact: it is not what was put there, and will be put there anew.
        """
        for what, kind in _KINDS.items():
            place = self._place(shard, what)
            with _taken_anew(self.store, place, self.purpose):
                self.store.fetch(place, kind, into / what)
        return Corpus.load(into / "corpus"), Embeddings.load(into / "embeddings")

    def _place(self, shard: str, what: str) -> str:
        return _place_of(self.purpose, shard, what)


def _place_of(purpose: str, shard: str, what: str) -> str:
    return f"gathered/{purpose}/{folder_of(shard)}/{what}"


def checks(store: Store, shard: str) -> dict[str, Callable[[], Manifest]]:
    """What was taken of a shard, by its place in the store, each to be read whole.

    A check raises CorruptArtifact where something is not what was put there, and will be put there anew.
    """

    def check(purpose: str, place: str, kind: str) -> Manifest:
        with _taken_anew(store, place, purpose):
            return store.check(place, kind)

    found: dict[str, Callable[[], Manifest]] = {}
    for purpose, (what, kind) in product(_COMMANDS, _KINDS.items()):
        place = _place_of(purpose, shard, what)
        if f"{place}/{MANIFEST}" in store.sizes(place):
            found[place] = partial(check, purpose, place, kind)
    return found


@contextmanager
def _taken_anew(store: Store, place: str, purpose: str) -> Iterator[None]:
    """What is not whole when it is read is said with the command that takes it anew, which then does."""
    try:
        yield
    except (CorruptArtifact, MissingArtifact) as error:
        with suppress(OSError):  # who only reads may not
            store.remove(f"{place}/{MANIFEST}")
        said = f"{plain(str(error), 300)}; to have it taken anew, run: unweave {_COMMANDS[purpose]} PROJECT"
        raise CorruptArtifact(said) from error


def gather(
    workers: Workers, taken: Taken, folder: Path, changes: Mapping[str, Mapping[str, Any]], label: str
) -> Workspace:
    """Passages of many shards as one project in a folder, in the corpus's order; nothing is embedded again.

    Args:
        changes: the project's settings that are not the default.
    """
    fingerprints = run(workers, taken, list(taken.rows), label)
    made_of = {"gathered": str(digest_of(str(sorted(fingerprints.items()))))}
    if not (folder / settings.FILE).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        settings.write_new(folder / settings.FILE, changes)
    if not _is_of(folder, made_of):
        _fill(taken, folder, made_of)
    return Workspace.open(folder, changes)


def _is_of(folder: Path, made_from: Mapping[str, str]) -> bool:
    try:
        corpus = read_manifest(folder / "corpus", Corpus.kind)
        embeddings = read_manifest(folder / "embeddings/passages", Embeddings.kind)
        return bool(corpus.settings["about"] == made_from and embeddings.made_from["corpus"] == corpus.fingerprint)
    except (MissingArtifact, CorruptArtifact, KeyError):
        return False


def _fill(taken: Taken, folder: Path, made_of: Mapping[str, str]) -> None:
    """Write the corpus and the embeddings of a gathered project, the corpus last but one: embeddings are of it."""
    with Scratch() as scratch:
        parts = _fetched(taken, scratch)
        QuerySet.write(folder / "queries", (), {}, settings={})
        corpus = Corpus.write(folder / "corpus", (p for part, _ in parts for p in part), settings={"about": made_of})
        _write_embeddings(folder, corpus, [embeddings for _, embeddings in parts])


def _fetched(taken: Taken, scratch: Path) -> list[tuple[Corpus, Embeddings]]:
    parts = []
    with progress.steps("fetching passages", total=len(taken.rows), unit="shards") as advance:
        for shard in taken.rows:
            parts.append(taken.fetch(shard, scratch / shard))
            advance(1)
    return parts


def _write_embeddings(folder: Path, corpus: Corpus, parts: Sequence[Embeddings]) -> None:
    first = np.concatenate([[0], np.cumsum([len(part) for part in parts])])

    def rows(at: NDArray[np.int64]) -> NDArray[np.float32]:
        ends = np.searchsorted(at, first)
        return np.concatenate([
            part.take(at[ends[i] : ends[i + 1]] - first[i]) for i, part in enumerate(parts) if ends[i] < ends[i + 1]
        ])  # fmt: skip

    Embeddings.write(
        folder / "embeddings/passages", digests_of(Contents(corpus)), rows, label="passages that were gathered",
        settings=parts[0].manifest.settings, made_from={"corpus": corpus.manifest.fingerprint},
    )  # fmt: skip


def _at(corpus: Corpus, rows: NDArray[np.int64]) -> Iterator[Passage]:
    return (corpus[row] for row in rows.tolist())


def _placed(shard: str, row: int, passage: Passage) -> Passage:
    """A passage that says where it comes from, under an id that no passage of another shard has."""
    metadata = {**passage.metadata, SHARD: shard, ROW: row}
    return passage._replace(passage_id=f"{shard}/{passage.passage_id}", metadata=metadata)
