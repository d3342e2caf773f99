"""Every byte of what was made of shards and taken from them, compared with what was written.

What is damaged is made again by the command that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from unweave.base.artifact import Manifest
from unweave.cluster import gathering
from unweave.cluster.shards import folder_of, read_note
from unweave.cluster.stages import CUT, SHARED, STAGES, found_damaged, kind_of, place_of
from unweave.cluster.store import Store
from unweave.cluster.workers import Workers, run
from unweave.errors import CorruptArtifact, MissingArtifact
from unweave.stages.health import Found
from unweave.stages.places import ARTIFACTS


class Checked(NamedTuple):
    """An artefact that was read."""

    place: str
    """In the store."""
    n_bytes: int
    said: str
    """What is wrong with it; empty if it is whole."""


@dataclass(frozen=True)
class Check:
    """Reads all that was made of a shard or taken from it; what is damaged is no longer noted as made."""

    store: Store

    def __call__(self, shard: str) -> list[Checked]:
        noted = dict.fromkeys(CUT) | {
            name: note.artifacts.get(name)
            for stage, of in STAGES.items() if (note := read_note(self.store, shard, stage)) is not None
            for name in of.makes
        }  # fmt: skip
        reads: dict[str, Callable[[], Manifest]] = {
            place_of(shard, name): partial(self._read, shard, name, fingerprint) for name, fingerprint in noted.items()
        }
        return [_of(place, read) for place, read in {**reads, **gathering.checks(self.store, shard)}.items()]

    def _read(self, shard: str, name: str, fingerprint: str | None) -> Manifest:
        with found_damaged(self.store, shard, name):
            manifest = self.store.check(place_of(shard, name), kind_of(name))
            if fingerprint not in (None, manifest.fingerprint):
                raise CorruptArtifact(f"{place_of(shard, name)} is not what was made")
        return manifest


def _of(place: str, read: Callable[[], Manifest]) -> Checked:
    try:
        return Checked(place, read().bytes, "")
    except CorruptArtifact as error:
        return Checked(place, 0, str(error))


def checked(workers: Workers, store: Store, shards: Sequence[str]) -> list[Found]:
    """The state of everything: what is damaged one by one, what is whole together."""
    whole: dict[str, int] = {}
    damaged = []
    for artifact, name in SHARED.items():
        try:
            whole[name] = store.check(name, kind_of(artifact)).bytes
        except MissingArtifact:  # what needs it says so
            continue
        except CorruptArtifact as error:
            said = f"{error}; to have it made again, run: unweave {ARTIFACTS[artifact].command} PROJECT"
            damaged.append(Found(name, "damaged", 0, said))
    for shard, every in run(workers, Check(store), shards, "reading shards").items():
        for one in every:
            if one.said:
                damaged.append(Found(one.place, "damaged", 0, one.said))
            else:
                key = one.place.replace(folder_of(shard), "shards/*")
                whole[key] = whole.get(key, 0) + one.n_bytes
    return [*damaged, *(Found(name, "whole", n_bytes, "") for name, n_bytes in whole.items())]
