"""What the explorer shows at once: a steered search beside the unsteered one, words of many passages, the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unweave.evaluation.leaderboard import Leaderboard
from unweave.project.asking import check_asked
from unweave.project.explanations import Explaining
from unweave.retrieval.steering import AS_IT_IS, Steering
from unweave.stages import active, compare, marking, overview, steered
from unweave.stages.asked import Asked
from unweave.stages.marking import Marked
from unweave.stages.overview import Overview
from unweave.stages.steered import Standing, Steered

if TYPE_CHECKING:
    from unweave.stages.send import Plan, Sent


class Showing(Explaining):
    """The verbs of a project that answer several questions together, each of which another verb answers alone."""

    def overview(self) -> Overview:
        """What there is of the project, what is out of date, and what it can be asked."""
        return overview.overview(self)

    def search_steered(
        self, query: Asked, cutoff: int = 10, *, system: str = "CL-SR", steering: Steering = AS_IT_IS,
        explain: bool = False,
    ) -> Steered:  # fmt: skip
        """Search as `search` does, and say where each hit stands without boosts and bans; see `stages.steered`."""
        check_asked(query, cutoff)
        return steered.search_steered(self, query, cutoff, system, steering, explain=explain)

    def standing(
        self, query: Asked, passage_id: str, *, system: str = "dense", steering: Steering = AS_IT_IS
    ) -> Standing:
        """The score of one passage as `explain` gives it, and its rank in the search.

        Args:
            steering: boosts bend both; bans and filters leave passages out of the ranking alone.

        Raises:
            NotThere: the corpus has no passage of this id, or the system does not find it.
        """
        why = self.explain(
            query, passage_id, system=system, steering=replace(steering, banned=(), allowed=None)
        )  # fmt: skip
        return Standing(steered.rank_of(self, query, passage_id, system, steering), why)

    def verdicts(self, measure: str = "nDCG@10", *, against: str = "dense") -> Leaderboard:
        """Which evaluated systems are better or worse than one of them for sure; see `stages.compare.verdicts`."""
        return compare.verdicts(self, measure, against)

    def mark(self, passage_ids: Sequence[str], latents: Sequence[int]) -> list[Marked]:
        """The words of some passages that carry some concepts, each passage read once; see `stages.marking`."""
        return marking.mark(self, passage_ids, latents)

    def activated_by(self, passage_id: str) -> dict[int, float]:
        """The concepts that a passage activates, the strongest first."""
        return active.activated_by(self, passage_id)

    def export_plan(
        self, engine: str, out: Path | str, *, to: str | None = None, profile: str = "default", texts: bool = False,
        dense: bool = False,
    ) -> Plan:  # fmt: skip
        """What `export_engine` would do: mapping, size, and what becomes of the numbers; nothing is written."""
        from unweave.stages import send

        return send.plan(self, engine, Path(out), to=to, profile=profile, texts=texts, dense=dense)

    def export_engine(
        self, engine: str, out: Path | str, *, to: str | None = None, profile: str = "default", texts: bool = False,
        dense: bool = False, n_queries: int = 50,
    ) -> Sent:  # fmt: skip
        """Put the passages into another engine, and see whether it finds what the index finds; see `stages.send`.

        Args:
            engine: `jsonl`, `parquet`, `anserini`, `ciff`, `qdrant-edge` and the like.
            out: a folder for what is written, and for what is needed beside the engine.
            to: where the engine keeps its data, if that is not in files.
            profile: which index: `default` or `paper`.
            texts: send titles, texts and metadata along.
            dense: send the embeddings along.
            n_queries: queries that are put to both.
        """
        from unweave.stages import send

        return send.export_engine(
            self, engine, Path(out), to=to, profile=profile, texts=texts, dense=dense, n_queries=n_queries
        )  # fmt: skip
