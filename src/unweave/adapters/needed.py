"""A framework that an adapter stands on and that is not installed is said with the command that installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from unweave.errors import MissingExtra


@contextmanager
def needed(feature: str, extra: str) -> Iterator[None]:
    """Around the imports of a framework.

    Args:
        feature: what needs it, as the error says it.
        extra: the extra of this package that brings it.

    Raises:
        MissingExtra: it is not installed, or something that it needs is not.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(feature, extra) from error
