"""What is not installed is said before any work, with the command that installs it."""

from __future__ import annotations

from importlib.util import find_spec

from unweave.errors import MissingExtra


def require(feature: str, extra: str, *modules: str) -> None:
    """Look for modules without importing them.

    Args:
        feature: what needs them, as the error says it.
        extra: the extra of this package that brings them.

    Raises:
        MissingExtra: one is not installed.
    """
    if any(find_spec(module) is None for module in modules):
        raise MissingExtra(feature, extra)
