"""What the explorer shows at once: a steered search beside the unsteered one, words of many passages, the project."""

from __future__ import annotations

from collections.abc import Sequence

from unweave.project.asking import check_asked
from unweave.project.explanations import Explaining
from unweave.retrieval.steering import AS_IT_IS, Steering
from unweave.stages import active, marking, overview, steered
from unweave.stages.asked import Asked
from unweave.stages.marking import Marked
from unweave.stages.overview import Overview
from unweave.stages.steered import Steered


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

    def mark(self, passage_ids: Sequence[str], latents: Sequence[int]) -> list[Marked]:
        """The words of some passages that carry some concepts, each passage read once; see `stages.marking`."""
        return marking.mark(self, passage_ids, latents)

    def activated_by(self, passage_id: str) -> dict[int, float]:
        """The concepts that a passage activates, the strongest first."""
        return active.activated_by(self, passage_id)
