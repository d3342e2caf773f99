"""What the first searches need, opened before somebody asks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial

from unweave.errors import UnweaveError
from unweave.project import Project

logger = logging.getLogger(__name__)


def warm_up(project: Project, stopped: Callable[[], bool] = lambda: False) -> None:
    """Open the corpus, the names, the systems and the encoder, as far as they are there.

    What is missing or out of date is said to whoever asks for it.

    Args:
        stopped: whether nobody needs it any more.
    """
    for open_one in _steps(project):
        if stopped():
            return
        try:
            open_one()
        except (UnweaveError, OSError) as error:
            logger.debug("not everything could be opened ahead: %s", error)


def _steps(project: Project) -> Iterator[Callable[[], object]]:
    yield lambda: project.concepts.shown()
    systems: list[str] = []
    yield lambda: systems.extend(project.overview().systems)
    for system in systems:
        yield partial(project.search_steered, "warm", 1, system=system, explain=True)
